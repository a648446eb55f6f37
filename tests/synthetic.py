"""The tiny rigged character that kernels are compiled on, as shots for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ani3d_formats.frames import FrameCache
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.tiny_shot import COLUMNS, translation, tube, turn
from ani3dhuman.pipeline.tiny_shot import tiny_arrays as make_arrays

__all__ = ["COLUMNS", "make_arrays", "make_shot", "result_of", "translation", "tube", "turn"]


def make_shot(frames: int = 8, **size: int) -> Shot:
    return Shot.from_arrays(make_arrays(frames, **size))


def result_of(out: Path) -> np.ndarray:
    """(T,V,3) vertices of a job's result, as its cache has them."""
    meshes = FrameCache.open(out / "synthetic.ani3d").meshes()
    return np.concatenate([meshes[name].vertices for name in ("Body", "Skirt", "Hair")], axis=1)
