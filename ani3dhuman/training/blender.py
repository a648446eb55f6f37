"""Has Blender record takes of a .blend, in the background."""

from __future__ import annotations

import json
import sysconfig
from collections import deque
from pathlib import Path

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ..blender.program import HINT, find_blender, running
from . import in_blender


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
    with running(command) as process:
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
