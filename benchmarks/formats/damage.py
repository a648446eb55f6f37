"""315 damaged files of all formats: each is refused with a sentence, or read to sound numbers; nothing is written.

    python -m benchmarks.formats.damage FOLDER

By itself, so that memory is its own and a crash of somebody's library is seen.
"""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3dhuman.splats.formats import FORMATS, read_splats, write_splats
from ani3dhuman.splats.splats import Splats
from ani3dhuman.splats.usd import write_usd

from .samples import one_frame, some

DAMAGED = 315
COUNT = 200


def cut(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: int(rng.integers(len(data)))]


def flipped(data: bytearray, rng: np.random.Generator) -> bytearray:
    for place in rng.integers(0, len(data), 4):
        data[place] = int(rng.integers(256))
    return data


def wild(data: bytearray, rng: np.random.Generator) -> bytearray:
    place = int(rng.integers(0, min(400, len(data) - 4)))
    data[place : place + 4] = b"\xff\xff\xff\x7f"
    return data


def not_a_number(data: bytearray, rng: np.random.Generator) -> bytearray:
    place = len(data) - 4 * int(rng.integers(1, max(2, len(data) // 8)))
    data[place : place + 4] = struct.pack("<f", np.nan)
    return data


DAMAGES: tuple[Callable[[bytearray, np.random.Generator], bytearray], ...] = (cut, flipped, wild, not_a_number)


def made_of(folder: Path, splats: Splats) -> dict[str, bytes]:
    """A sound file of every format by its name."""
    for each in FORMATS:
        if each.parts:
            write_splats(folder / f"d{each.ending}", splats)
    cache = one_frame(folder / "d.ani3d", splats)
    for ending in (".usda", ".usdc"):
        write_usd(folder / f"d{ending}", cache, range(1, 2))
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def sound(path: Path) -> bool:
    """Whether a file is refused with a code and a hint, or read to finite numbers."""
    try:
        read = read_splats(path)
    except Ani3DError as refused:
        return refused.code.startswith("splats.") and bool(refused.hint)
    return bool(np.isfinite(read.means).all() and np.isfinite(read.sh).all())


def main(folder: Path) -> dict[str, float]:
    rng, wrong = np.random.default_rng(0), 0
    inside = folder / "in"
    inside.mkdir(parents=True, exist_ok=True)
    files = made_of(inside, some(COUNT, 2))
    known = set(inside.iterdir())
    subprocess.run([sys.executable, "-m", "benchmarks.formats.traps", str(inside)], check=True)
    trapped = {path.name: path.read_bytes() for path in sorted(set(inside.iterdir()) - known)}
    cases = [*trapped.items()]
    names = list(files)
    for number in range(DAMAGED - len(cases)):
        name = names[number % len(names)]
        damage = DAMAGES[number // len(names) % len(DAMAGES)]
        cases.append((name, bytes(damage(bytearray(files[name]), rng))))
    before = sorted(folder.rglob("*"))
    for number, (name, data) in enumerate(cases):
        (inside / name).write_bytes(data)
        try:
            good = sound(inside / name)
        except Exception as error:
            good = False
            print(f"{name}, number {number}: {type(error).__name__}: {error}", file=sys.stderr)
        wrong += not good
        if name in files:
            (inside / name).write_bytes(files[name])
    wrong += sorted(folder.rglob("*")) != before  # somebody wrote what was not asked for
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"malformed": len(cases), "malformed_traps": len(trapped), "malformed_bad": wrong, "malformed_peak_gb": peak}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(json.dumps(main(Path(sys.argv[1]))))
