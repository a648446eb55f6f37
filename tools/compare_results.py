"""Hold two result folders of the same shot against each other: python -m tools.compare_results BEFORE AFTER

Compares meshes and Gaussians of the caches, and the arrays of every stage that both folders kept; prints the largest
difference of each. Exits 1 where vertices differ by more than 1e-6 metres or pictures by more than 1/255.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ani3d_formats.frames import FrameCache
from ani3dhuman.storage.frames_on_disk import SUFFIX, FrameFile, Frames

VERTICES, PICTURES = 1e-6, 1 / 255  # metres, and of the full range


@dataclass(frozen=True)
class Difference:
    """The largest difference of one array: `largest` in the array's own unit, and the bound it is held to, if any."""

    name: str
    largest: float
    bound: float | None = None

    @property
    def good(self) -> bool:
        return self.bound is None or self.largest <= self.bound * (1 + 1e-4)


def compare(before: Path, after: Path) -> Iterator[Difference]:
    """Differences of two result folders, `.work` stages included where both have them."""
    for old in sorted(before.glob("*.ani3d")):
        a, b = FrameCache.open(old), FrameCache.open(after / old.name)
        yield from (
            _difference(f"mesh {name}", a.meshes()[name].vertices, b.meshes()[name].vertices, VERTICES)
            for name in a.meshes()
        )
        yield from (_difference(f"cache {name}", array, b.arrays[name]) for name, array in a.arrays.items())
    for stage in sorted((before / ".work").glob("*-*")):
        name = stage.name.rpartition("-")[0]
        for twin in (after / ".work").glob(f"{name}-*"):
            if twin.name.rpartition("-")[0] == name:
                yield from _stage(name, stage, twin)


def _stage(name: str, before: Path, after: Path) -> Iterator[Difference]:
    for stem in sorted({file.stem for file in before.iterdir() if file.suffix in (".npy", SUFFIX)}):
        old, new = _read(before, stem), _read(after, stem)
        if old is not None and new is not None and old.dtype.kind in "fiub":
            bound = VERTICES if stem == "vertices" else None
            yield _difference(f"stage {name}/{stem}", old, new, bound)


def _read(stage: Path, stem: str) -> np.ndarray | Frames | None:
    """An array of a stage, which older results keep whole and later ones frame by frame; None without it."""
    if (whole := stage / f"{stem}.npy").is_file():
        return np.load(whole, mmap_mode="r", allow_pickle=False)
    return FrameFile.open(frames) if (frames := stage / f"{stem}{SUFFIX}").is_file() else None


def _difference(
    name: str, old: np.ndarray | Frames, new: np.ndarray | Frames, bound: float | None = None
) -> Difference:
    if old.shape != new.shape:
        return Difference(f"{name}: {old.shape} became {new.shape}", float("inf"), bound)
    # a frame at a time: stages are large
    pairs = zip(old if old.ndim else [old], new if new.ndim else [new], strict=True)
    largest = max((float(np.abs(np.subtract(x, y, dtype=np.float64)).max(initial=0)) for x, y in pairs), default=0.0)
    if old.dtype == np.uint8:
        return Difference(name, largest / 255, PICTURES)
    return Difference(name, largest, bound)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    folders = parser.parse_args()
    found = list(compare(folders.before, folders.after))
    for difference in found:
        print(f"{'' if difference.good else 'TOO FAR '}{difference.name:50} {difference.largest:.3g}")
    if not found:
        sys.exit("The folders have no cache in common.")
    sys.exit(0 if all(difference.good for difference in found) else 1)


if __name__ == "__main__":
    main()
