"""A stand-in for the pipeline: a job module whose settings say what to do. See `engine.job`."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.early_frames import NAME, EarlyFrames
from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress, Report

_prepared_for = ""


def prepare(preset: str) -> None:
    global _prepared_for
    if preset == "unknown":
        raise Ani3DError("settings.preset", "There is no such preset.", "Choose another.")
    _prepared_for = preset


def check(shot: dict[str, np.ndarray], settings: dict[str, Any]) -> str:
    if "vertices" not in shot:
        raise Ani3DError("shot.missing_array", "The shot has no array 'vertices'.", "Export the shot again.")
    text = str(shot["meta"][()])
    return json.loads(text)["name"] if text.startswith("{") else text


def run(
    shot: dict[str, np.ndarray],
    settings: dict[str, Any],
    out: Path,
    listener: Callable[[Report], None],
    should_cancel: Callable[[], bool],
    stages: object = None,
) -> Path:
    (out / "worker.pid").write_text(str(os.getpid()))
    (out / "prepared").write_text(_prepared_for)
    (out.parent / "card").write_text(os.environ.get("ANI3D_CARD", ""))
    todo = settings.get("do", "finish")
    if todo == "disk full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out / "position.npy"))
    if todo == "known error":
        raise Ani3DError("avatar.no_faces", "The avatar has no faces.", "Give it some.")
    if todo == "unknown error":
        raise RuntimeError("who would have thought")
    if todo == "crash":
        os.abort()
    if todo in ("crash once", "stop once") and not (out / "again").exists():
        (out / "again").touch()
        os.kill(os.getpid(), signal.SIGSTOP if todo == "stop once" else signal.SIGKILL)
        time.sleep(600)
    if todo == "garble reports":
        for handle in range(3, 20):  # one of them is the pipe to the engine
            with contextlib.suppress(OSError):
                os.write(handle, b"\xc1 is no message")
        time.sleep(600)
    if todo == "be deaf":  # ignores cancel, with a child process of its own
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (out / "child.pid").write_text(str(child.pid))
    if todo == "show early":
        early = EarlyFrames(out / NAME, np.zeros((3, 40_000, 3), np.float32))
        early.show(0, np.arange(40_000), np.ones((40_000, 3)))
        early.show(1, np.arange(40_000), 2 * np.ones((40_000, 3)))
    steps = int(settings.get("steps", 5))
    for _stage in ("rigid", "refine"):
        progress = Progress(_stage, steps, listener, (lambda: False) if todo == "be deaf" else should_cancel)
        for step in range(steps):
            time.sleep(settings.get("seconds", 0.0))
            progress.advance(message=f"step {step}", preview=np.full((300, 200, 3), step, np.uint8))
    print("printed by the job")
    result = out / "result"
    (result / "Ann.ani3d").mkdir(parents=True, exist_ok=True)
    np.save(result / "Ann.ani3d" / "position.npy", shot["vertices"])
    noise = np.random.default_rng(0).integers(0, 256, 5_500_000, dtype=np.uint8)
    (result / "large.bin").write_bytes(noise.tobytes())  # several chunks, more than the window, the last not whole
    (result / "empty.txt").write_bytes(b"")
    (result / ".hidden").write_bytes(b"of no use to anyone else")
    return result
