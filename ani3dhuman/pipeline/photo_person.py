"""One photo to a person of Gaussians, by a program that the user has (LHM, LHM++ or another), called by a contract.

The command is run with `{photo}` and `{out}` replaced by a file and an empty folder. It writes `person.ply` there (or
.spz, .splat ...): Gaussians in the pose of the shot's mesh at rest. Lines ``@progress DONE TOTAL`` that it prints are
shown.
"""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from collections import deque
from pathlib import Path

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ..blender.program import running
from ..splats.formats import read_splats
from ..splats.splats import Splats

STEM = "person"
_PROGRESS = re.compile(r"@progress (\d{1,9}) (\d{1,9})\s*")
_HOLES = ("{photo}", "{out}")


def person_of_photo(photo: Path, command: str, axes: str | None, progress: Progress) -> Splats:
    """The Gaussians that `command` makes of a photo.

    Args:
        command: a command line with `{photo}` and `{out}`; no shell reads it.
        axes: of the file it writes; None: as usual for its format.
        progress: shows what the program tells; stopping it stops the program.

    Raises:
        Ani3DError: ``photo.missing``, ``photo.command``, ``photo.failed``, ``photo.no_result``; ``splats.*``.
        Cancelled: at the program's next line.
    """
    if not photo.is_file():
        raise Ani3DError("photo.missing", f"There is no photo at {photo}.", "Check the path.")
    words = shlex.split(command)
    if not words or not all(any(hole in word for word in words) for hole in _HOLES):
        raise Ani3DError("photo.command", f"The command lacks {' or '.join(_HOLES)}.", "Say where photo and result go.")
    if shutil.which(words[0]) is None:
        raise Ani3DError("photo.command", f"There is no program '{words[0]}'.", "Give its full path.")
    with tempfile.TemporaryDirectory(prefix="ani3dhuman-photo-") as folder:
        out = Path(folder) / "out"
        out.mkdir()
        said = {"{photo}": str(photo.resolve()), "{out}": str(out)}
        for hole, text in said.items():
            words = [word.replace(hole, text) for word in words]
        last: deque[str] = deque(maxlen=5)
        with running(words) as process:
            assert process.stdout is not None
            for line in process.stdout:
                told = _PROGRESS.fullmatch(line)
                if told:
                    progress.total = max(int(told[2]), 1)
                    progress.advance(max(int(told[1]) - progress.step, 0))
                elif line.strip():
                    last.append(line.strip())
            code = process.wait()
        if code:
            what = f"The program ended with status {code}: {' / '.join(last)[-400:]}"
            raise Ani3DError("photo.failed", f"{what}.", "Run the command by itself to see more.")
        files = sorted(path for path in out.iterdir() if path.name.startswith(f"{STEM}.") and path.is_file())
        if not files:
            held = ", ".join(sorted(path.name for path in out.iterdir())) or "nothing"
            raise Ani3DError("photo.no_result", f"The program wrote {held}, not {STEM}.ply.", "See the contract.")
        return read_splats(files[0], axes)
