"""Blender as a program: where it is, and a script that runs in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from . import script

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


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
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


def run_script(task: str, options: Mapping[str, Any], blender: str | None, progress: Progress | None = None) -> None:
    """Run a task of `script.py` in Blender.

    Args:
        task: its name there; options: JSON values, and paths.
        blender: see `find_blender`.
        progress: advanced as the script tells; stopping it stops Blender.

    Raises:
        Ani3DError: ``blender.missing``; ``blender.failed`` with what Blender says.
    """
    said = json.dumps({name: str(value) if isinstance(value, Path) else value for name, value in options.items()})
    command = [*find_blender(blender), str(Path(script.__file__)), "--", task, said]
    last: deque[str] = deque(maxlen=5)
    with running(command) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(script.PROGRESS):
                if progress:
                    progress.advance()
            elif line.strip():
                last.append(line.strip())
        code = process.wait()
    if code:
        raise Ani3DError("blender.failed", f"Blender ended with status {code}: {' / '.join(last)[-400:]}", HINT)
