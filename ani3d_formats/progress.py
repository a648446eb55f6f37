"""Progress of long work: a stage name, a step count, the time left, and a way to stop.

A stage receives one `Progress` and calls `advance`; whoever started the work decides what a
report looks like (terminal bar, wire event) and whether to cancel.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .errors import Cancelled


@dataclass(frozen=True)
class Report:
    """One moment of one stage. `eta` is in seconds, `preview` an optional (H,W,3) uint8 sRGB picture, `loss` what a
    fit has reached."""

    stage: str
    step: int
    total: int
    eta: float
    elapsed: float
    message: str = ""
    preview: np.ndarray | None = None
    loss: float | None = None


@dataclass
class Progress:
    """Counts steps of one stage, estimates the time left, and raises `Cancelled` when asked to stop."""

    stage: str
    total: int
    listener: Callable[[Report], None] | None = None
    should_cancel: Callable[[], bool] = lambda: False
    step: int = 0
    started: float = field(default_factory=time.monotonic)

    def advance(
        self, steps: int = 1, message: str = "", preview: np.ndarray | None = None, loss: float | None = None
    ) -> None:
        """Count `steps` more, report, and raise `Cancelled` if the caller wants to stop."""
        self.step = min(self.step + steps, self.total)
        elapsed = time.monotonic() - self.started
        eta = elapsed / self.step * (self.total - self.step) if self.step else float("inf")
        if self.listener:
            self.listener(Report(self.stage, self.step, self.total, eta, elapsed, message, preview, loss))
        if self.should_cancel():
            raise Cancelled(self.stage)
