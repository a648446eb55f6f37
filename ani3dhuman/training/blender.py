"""Has Blender record takes of a .blend, in the background."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sysconfig
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from . import in_blender

VARIABLE = "ANI3DHUMAN_BLENDER"
HINT = f"Give Blender's program, or a Python that has bpy, with --blender or in {VARIABLE}."


def find_blender(program: str | None = None) -> list[str]:
    """The command that runs a script in Blender: of `program`, else of ANI3DHUMAN_BLENDER, else `blender`.

    Raises:
        Ani3DError: ``blender.missing``.
    """
    wanted = program or os.environ.get(VARIABLE) or "blender"
    found = shutil.which(wanted)
    if found is None:
        raise Ani3DError("blender.missing", f"There is no program '{wanted}'.", HINT)
    try:
        shown = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Ani3DError("blender.missing", f"'{found}' does not run ({error}).", HINT) from error
    version = shown.stdout + shown.stderr
    if "Blender" in version:
        return [found, "--background", "--python-exit-code", "1", "--python"]
    if version.startswith("Python"):
        return [found]
    raise Ani3DError("blender.missing", f"'{found}' is neither Blender nor a Python.", HINT)


def record_takes(
    blend: Path, folder: Path, takes: int, frames: int, seed: int, blender: str | None, progress: Progress
) -> None:
    """Record `takes` takes of the character in `blend` into `folder`; those that are there are kept.

    Args:
        frames: length of a take.
        seed: of the motions.
        blender: see `find_blender`.
        progress: counts frames; stopping it stops Blender.

    Raises:
        Ani3DError: ``blender.missing``, ``takes.no_file``; ``takes.failed`` with what Blender or the add-on says.
    """
    if not blend.is_file():
        raise Ani3DError("takes.no_file", f"There is no file {blend}.", "Give the .blend of your character.")
    options = {
        "blend": blend.resolve(), "folder": folder.resolve(), "takes": takes, "frames": frames, "seed": seed,
        "root": Path(__file__).parents[2], "libraries": sysconfig.get_path("platlib"),
    }  # fmt: skip
    command = [*find_blender(blender), str(Path(in_blender.__file__)), "--"]
    command += [text for name, value in options.items() for text in (f"--{name}", str(value))]
    last: deque[str] = deque(maxlen=5)
    problem = ""
    with _running(command) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(in_blender.PROGRESS):
                done, progress.total = json.loads(line.removeprefix(in_blender.PROGRESS))
                progress.advance(done - progress.step)
            elif line.startswith(in_blender.PROBLEM):
                problem = json.loads(line.removeprefix(in_blender.PROBLEM))
            elif line.strip():
                last.append(line.strip())
        code = process.wait()
    if problem:
        raise Ani3DError("takes.failed", problem)
    if code:
        raise Ani3DError("takes.failed", f"Blender ended with status {code}: {' / '.join(last)}", HINT)


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A program in a group of its own, so that Ctrl-C is ours to pass on; it does not outlive the block."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            interrupt = process.terminate if os.name == "nt" else partial(process.send_signal, signal.SIGINT)
            for stop in (interrupt, process.terminate, process.kill):
                if process.poll() is not None:
                    break
                stop()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
