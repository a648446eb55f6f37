"""`ani3dhuman-engine film`: draws film frames for the program that started it, one after the other.

It reads JSON, one object a line. The first names the work: `{"cache": FOLDER, "film": FILE, "out": FOLDER}`; each one
after it a frame: `{"frame": 12, "depth": FILE or "", "packed": true}`. It answers with lines: while it draws
`{"frame": 12, "step": 3, "total": 32}`, at last `{"frame": 12, "file": PATH}`, or `{"error": {"code", "message",
"hint"}}`, after which the next frame may be asked for. It ends with its input.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import IO

from ani3d_formats.errors import Ani3DError
from ani3d_formats.explain import explain
from ani3d_formats.progress import Report


def film(arguments: list[str]) -> int:
    """The command; 1 where the work itself cannot be begun."""
    argparse.ArgumentParser(prog="ani3dhuman-engine film", description=__doc__).parse_args(arguments)
    return serve(sys.stdin, sys.stdout)


def serve(asked: IO[str], told: IO[str]) -> int:
    """Answer the lines of `asked` in `told` until there are no more; 0, or 1 after a first line that is no work."""
    # imported here, since every other command would wait for torch
    from ani3d_formats.film_camera import Film
    from ani3d_formats.frames import FrameCache
    from ani3dhuman.pipeline.film_in_scene import FilmInScene

    def say(**what: object) -> None:
        told.write(json.dumps(what) + "\n")
        told.flush()

    def hear(frame: int, report: Report) -> None:
        say(frame=frame, step=report.step, total=report.total)

    work: FilmInScene | None = None
    out = Path()
    for line in asked:
        try:
            wanted = _object(line)
            if work is None:
                out = Path(str(wanted["out"]))
                out.mkdir(parents=True, exist_ok=True)
                work = FilmInScene(FrameCache.open(Path(str(wanted["cache"]))), Film.load(Path(str(wanted["film"]))))
                continue
            frame, depth = wanted["frame"], str(wanted.get("depth") or "")
            if not isinstance(frame, int):
                raise KeyError("frame")
            packed = wanted.get("packed") is not False
            file = work.render(frame, out, Path(depth) if depth else None, partial(hear, frame), packed=packed)
            say(frame=frame, file=str(file))
        except Exception as error:
            known = explain(error, out, "film.failed", "Render the shot again; the engine's output may say more.")
            say(error={"code": known.code, "message": known.message, "hint": known.hint})
            if work is None:
                return 1
    return 0


def _object(line: str) -> dict[str, object]:
    """The JSON object in a line. Raises `Ani3DError` ``film.request``."""
    try:
        wanted = json.loads(line)
    except (ValueError, RecursionError):
        wanted = None
    if not isinstance(wanted, dict) or not ("frame" in wanted or {"cache", "film", "out"} <= set(wanted)):
        raise Ani3DError("film.request", f"{line[:80]!r} asks for no frame.", "See ani3dhuman-engine film --help.")
    return wanted
