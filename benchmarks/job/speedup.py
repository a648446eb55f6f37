"""The same job here and by an earlier commit, one after the other: how many times faster it has become.

The shot's file of today is given to the earlier program under the version that it reads. Avatars are fitted today and
were not then: they are known here, as for a second shot of a character, and the seconds of the fit are a row of their
own where this machine had to do it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.shot import Shot

from ..cut_shot import cut_shot

COMMIT = "2e8e4f4"
SHOT_VERSION = 1  # that it reads
ROOT = Path(__file__).resolve().parents[2]


def checked_out(folder: Path) -> Path:
    """The tree of the earlier commit, as git has it, without touching this checkout's files or branches."""
    if not (folder / "pyproject.toml").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", COMMIT], cwd=ROOT, capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def for_earlier(shot: Shot, path: Path) -> Path:
    """The shot as a file for that commit."""
    arrays = shot.to_arrays()
    meta = json.loads(str(arrays["meta"][()])) | {"version": SHOT_VERSION}
    np.savez(path, **{**arrays, "meta": np.array(json.dumps(meta))})  # type: ignore[arg-type]
    return path


def timed(tree: Path, shot: Path, out: Path, more: tuple[str, ...] = ()) -> dict[str, float]:
    """Seconds, CPU seconds and peak GB of the job's command, with `more` settings, in a checkout; and of its stages."""
    started = time.monotonic()
    command = [sys.executable, "-m", "ani3dhuman.cli", "animate", str(shot.resolve()), "-o", str(out.resolve())]
    command += [word for setting in more for word in ("--set", setting)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    process = subprocess.Popen(command, cwd=tree, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} in {tree} ended with {process.returncode}")
    report = json.loads((out / "report.json").read_text())
    seconds, peak = time.monotonic() - started, used.ru_maxrss / 1e6 * 1.024
    rows = {"s": seconds, "cpu_s": used.ru_utime + used.ru_stime, "peak_gb": peak}
    return rows | {f"{stage}_s": value for stage, value in report["seconds"].items()}


def speedup(shot: Path, folder: Path, rows: dict[str, Any], keep: Callable[[], None]) -> None:
    """Fill `rows`: `now_*` and `then_*` of two frames, to compile and fit, and of all; `keep()` after each."""
    whole = Shot.load(shot)
    trees = {"then": checked_out(folder / COMMIT), "now": ROOT}
    for name, tree in trees.items():
        for label, frames, more in ((f"{name}_first", 2, ("refine_steps=2",)), (name, whole.frames, ())):
            if f"{label}_s" in rows:
                continue
            given, path = cut_shot(whole, frames, whole.meta.width, whole.meta.height), folder / f"{label}.npz"
            if name == "then":
                for_earlier(given, path)
            else:
                given.save(path)
            found = timed(tree, path, folder / label, more)
            rows |= {f"{label}_{key}": round(value, 3) for key, value in found.items()}
            keep()
    rows["speedup_preview"] = round(rows["then_s"] / rows["now_s"], 2)
    rows["speedup_preview_cpu"] = round(rows["then_cpu_s"] / rows["now_cpu_s"], 2)
    rows["encode_seconds"] = rows["now_pictures_s"]
    keep()
