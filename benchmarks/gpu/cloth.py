"""Cloth on the device and on the CPU: how long, how far apart, and whether anything tears, crosses or sinks in."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import patch

import numpy as np

from ani3d_formats.shot import Shot
from ani3dhuman.cloth import solver
from ani3dhuman.cloth.card.steps import DeviceSteps, try_device

from ..cloth import hard_set
from ..cloth.judge import DEPTH, STRETCH, Judge
from ..cloth.solve import Solved, solve
from ..cloth.speed import skirt

SIZES = (5_000, 28_500)  # free vertices of a skirt on a walk
SEQUENCES = ("spin_720", "kick", "overlapping")  # of the hard set
TREMBLE = 0.1  # how far accelerations may be from the CPU's, relatively


def compared(device: str, tiny: bool) -> dict[str, Any]:
    """Rows for each scene: seconds a frame, the way in counted as part of it, and what a judge finds; `_cpu` beside it.

    `cloth_passed` says that nothing is worse than on the CPU or outside the hard set's bars. Device "cpu" is warp's.
    """
    shots = {"skirt_400": skirt(400, 4)} if tiny else {f"skirt_{size}": skirt(size) for size in SIZES}
    if not tiny:
        shots |= {name: hard_set.SEQUENCES[name]() for name in SEQUENCES}
    began = time.perf_counter()
    try_device(device)
    rows: dict[str, Any] = {"cloth_compile_s": time.perf_counter() - began}
    solve(skirt(300, 2))  # compiles the CPU's
    passed = True
    for name, shot in shots.items():
        with patch.object(solver, "steps_on", lambda _: DeviceSteps(device)):
            there = solve(shot)
        found, passes = _beside(shot, there, solve(shot))
        rows |= {f"cloth_{name}_{what}": value for what, value in found.items()}
        passed = passed and passes
    rows = {name: round(value, 4) for name, value in rows.items()}
    return {**rows, "cloth_passed": passed}


def _beside(shot: Shot, there: Solved, here: Solved) -> tuple[dict[str, float], bool]:
    judge, free = Judge(shot, here.pins), here.pins < 1
    rows: dict[str, float] = {}
    for ending, solved in (("", there), ("_cpu", here)):
        verdict = judge.verdict(solved.vertices)
        rows |= {
            f"s{ending}": solved.seconds_frame,
            f"pairs{ending}": float(verdict.pairs.max()),
            f"stretch{ending}": float(verdict.stretch.max()),
            f"depth_mm{ending}": float(verdict.depth_mm.max()),
            f"acceleration_mm{ending}": 1000 * float(_accelerations(solved.vertices[:, free])),
        }
    rows["apart_mm"] = 1000 * float(np.linalg.norm(there.vertices - here.vertices, axis=2)[:, free].mean())
    passes = (
        rows["pairs"] <= rows["pairs_cpu"]
        and rows["stretch"] <= max(STRETCH, rows["stretch_cpu"])
        and rows["depth_mm"] <= max(1000 * DEPTH, rows["depth_mm_cpu"])
        and abs(rows["acceleration_mm"] - rows["acceleration_mm_cpu"]) <= TREMBLE * rows["acceleration_mm_cpu"]
    )
    return rows, passes


def _accelerations(vertices: np.ndarray) -> np.floating[Any]:
    """Mean size of second differences of vertices (T,P,3)."""
    return np.linalg.norm(np.diff(vertices, 2, axis=0), axis=2).mean()
