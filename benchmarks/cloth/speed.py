"""Seconds a frame against size: a skirt on a walking body, self-collision as shipped. python -m benchmarks.cloth.speed.

With --blender N, by Blender's cloth as well: quality 10, self-collision, as far as it comes in N processor seconds.

Sizes that are done are kept in out/cloth_hard/speed until the solver changes. A frame's time is the median over the
frames of the shot, without the way in; processor seconds are those of all threads.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Cancelled
from ani3d_formats.progress import Progress, Report
from ani3d_formats.shot import Shot
from ani3dhuman.cloth.constraints import PINNED
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.pipeline.settings import CoarseSettings
from ani3dhuman.pipeline.stages import coarse_layer
from ani3dhuman.rigid import pose_rigid

from .peers import COMMANDS, arrays_for
from .registry import dress, person, walk
from .rows import HARD, MAKERS, ROOT, SOLVER, fingerprint
from .shots import Worn, make_shot

SIZES = (2_000, 5_000, 10_000, 28_500, 60_000)  # free vertices
FRAMES = 10
KEY = fingerprint((*MAKERS, *SOLVER, "benchmarks/cloth/speed.py"))
BARS = {5_000: 0.04, 28_500: 0.32}  # seconds a frame


def skirt(free: int, frames: int = FRAMES) -> Shot:
    """A walk in a skirt with about so many free vertices."""
    detail = 1.0
    for _ in range(3):
        parts = dress("knee_aline", "skirt", 21, detail)
        detail *= (free / sum(int((part.pins <= PINNED).sum()) for part in parts)) ** 0.5
    parts = dress("knee_aline", "skirt", 21, detail)
    return make_shot(f"skirt_{free}", person(), walk(frames, seed=17), [Worn(part) for part in parts])


def timed(shot: Shot) -> dict[str, Any]:
    """Seconds a frame of a shot's cloth."""
    rigid, pins = pose_rigid(shot, Progress("rigid", shot.frames)), pin_weights(shot)
    marks: list[tuple[int, float, float]] = []

    def note(report: Report) -> None:
        if not marks or report.step > marks[-1][0]:
            marks.append((report.step, time.perf_counter(), time.process_time()))

    began = time.perf_counter()
    coarse_layer(shot, rigid, pins, CoarseSettings(), Progress("cloth", 2 * shot.frames, note))
    whole = time.perf_counter() - began
    own = np.array(marks[: shot.frames])
    steps = np.diff(own, axis=0)
    return {
        "free_vertices": int((pins <= PINNED).sum()),
        "seconds_frame": float(np.median(steps[:, 1])),
        "fastest_frame": float(steps[:, 1].min()),
        "cpu_frame": float(np.median(steps[:, 2])),
        "seconds_before": float(own[0, 1] - began),
        "seconds": whole,
    }


def by_blender(free: int, limit: float) -> dict[str, float]:
    """Seconds a frame of Blender's own cloth on the same skirt, the way in among them, in `limit` processor seconds."""
    arrays, _ = arrays_for(skirt(free), limit)
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(given, **arrays)
        subprocess.run([*COMMANDS["blender"][0], str(given), str(made)], cwd=ROOT, check=True, capture_output=True)
        found = {name: float(value) for name, value in np.load(made).items() if value.ndim == 0}
    frames = found["frames"]
    return {
        "free_vertices": int((arrays["pins"] <= PINNED).sum()),
        "frames": frames,
        "cpu_frame": found["seconds"] / frames,
        "seconds_frame": found["wall"] / frames,
    }


def heard(free: int) -> float:
    """Seconds from a request to cancel, right after the start, until it is obeyed; so many free vertices."""
    shot = skirt(free, 2)
    rigid, pins = pose_rigid(shot, Progress("rigid", shot.frames)), pin_weights(shot)
    asked = time.perf_counter()
    with suppress(Cancelled):
        coarse_layer(shot, rigid, pins, CoarseSettings(), Progress("cloth", 4, None, lambda: True))
    return time.perf_counter() - asked


def measured(sizes: tuple[int, ...] = SIZES, run: bool = True) -> dict[int, dict[str, Any]]:
    """Figures by size, those that are kept and those that are missing; without `run` only what is kept."""
    found: dict[int, dict[str, Any]] = {}
    for free in sizes:
        made = HARD / "speed" / f"{free}.json"
        if not made.exists() or json.loads(made.read_text())["key"] != KEY:
            if not run:
                continue
            made.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(made, json.dumps({"key": KEY, **timed(skirt(free))}, indent=1).encode())
        found[free] = json.loads(made.read_text())
        print(f"{free:6d}: {found[free]}", flush=True)
    return found


def slope(found: dict[int, dict[str, Any]]) -> dict[str, float]:
    """The power of the size that processor time grows with, and how far time a vertex leaves its mean."""
    sizes = np.array([row["free_vertices"] for row in found.values()], float)
    times = np.array([row["cpu_frame"] for row in found.values()])
    each = times / sizes
    return {
        "cost_power": float(np.polyfit(np.log(sizes), np.log(times), 1)[0]),
        "cost_off_linear": float(np.abs(each / each.mean() - 1).max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int)
    parser.add_argument(
        "--cancel", type=int, default=0, help="how long a request to cancel takes with so many vertices"
    )
    parser.add_argument("--blender", type=float, default=0, help="processor seconds of Blender's cloth on each size")
    options = parser.parse_args()
    if options.cancel:
        print(f"cancelled after {heard(options.cancel):.1f} s")
        return
    timed(skirt(500, 3))  # compiles, or loads what was compiled
    found = measured(tuple(options.sizes) or SIZES)
    if len(found) > 1:
        print(slope(found))
    for free, ours in found.items() if options.blender else ():
        theirs = by_blender(free, options.blender)
        times = {name: round(theirs[name] / ours[name], 1) for name in ("seconds_frame", "cpu_frame")}
        print(f"{free:6d} by Blender's cloth: {theirs}; times ours: {times}", flush=True)


if __name__ == "__main__":
    main()
