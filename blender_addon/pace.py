# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a quality will take on this machine: as it took here before, else an estimate.

The estimate is what the demo's shot took with each quality on another machine, times how much slower this one is: by
what another quality took here, else by a small work that both did.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Thread

import numpy as np

# seconds a frame of the demo's 48 frames of 480x832 (docs/benchmarks/window.json, `presets`), 2 cores of a virtual
# machine (AMD EPYC)
REFERENCE = {"cloth": 0.25, "draft": 0.70, "preview": 1.02, "final": 1.61}
REFERENCE_WORK = 0.0265  # seconds that `small_work` took there
ROUNDS = 5  # of the small work, whose quickest counts


def small_work() -> float:
    """Seconds of the processor for a fixed work as jobs do it: sorting, gathering, small matrices."""
    rng = np.random.default_rng(0)
    rows, places = rng.integers(0, 50_000, 200_000), rng.normal(size=(50_000, 3)).astype(np.float32)
    matrices = rng.normal(size=(20_000, 3, 3)).astype(np.float32)
    started = time.thread_time()
    np.argsort(rows, kind="stable")
    np.add.at(places, rows[:20_000], 1.0)
    np.linalg.norm(places[rows] - places[np.roll(rows, 1)], axis=1)
    matrices @ matrices.transpose(0, 2, 1)
    return time.thread_time() - started


class Pace:
    """The machine's, measured once on a thread of its own; 0 until then."""

    def __init__(self) -> None:
        self.slower = 0.0
        self._began = False

    def begin(self) -> None:
        """Measure, if it has not begun."""
        if not self._began:
            self._began = True
            Thread(target=self._measure, daemon=True).start()

    def _measure(self) -> None:
        self.slower = min(small_work() for _ in range(ROUNDS)) / REFERENCE_WORK


def seconds_a_frame(preset: str, took: Mapping[str, float], slower: float) -> tuple[float, bool]:
    """Seconds a frame of a quality, and whether that is an estimate; 0 where nothing is known.

    Args:
        preset: the quality.
        took: seconds a frame of the qualities that ran here.
        slower: how much slower than the reference this machine is at the small work, 0 while unknown.
    """
    if preset in took:
        return took[preset], False
    ratios = [seconds / REFERENCE[name] for name, seconds in took.items() if name in REFERENCE]
    factor = float(np.median(ratios)) if ratios else slower
    return REFERENCE.get(preset, 0.0) * factor, True


pace = Pace()
