"""An avatar fitted on the device and on the CPU: how long, and how like pictures it has not seen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.avatar.fitting.fitted import fitted_avatar
from ani3dhuman.device import CPU, Compute

GAUSSIANS, STEPS = 40_000, 300
TINY = 300, 10
BAND = 0.1  # dB that the likeness may be from the CPU's


def compared(device: str, shot: Path, tiny: bool) -> dict[str, Any]:
    """Rows: seconds, and dB before and after; `_cpu` beside it.

    Args:
        device: as of `Compute.device`.
        shot: file of the shot whose character it is.
        tiny: few Gaussians and steps are enough.
    """
    given, rows = Shot.load(shot), dict[str, Any]()
    gaussians, steps = TINY if tiny else (GAUSSIANS, STEPS)
    for ending, compute in (("", CPU if device == "cpu" else Compute(device, device)), ("_cpu", CPU)):
        fitted_avatar(given, 200, 2, 0, Progress("fit", 1), None, compute)  # compiles
        began = time.perf_counter()
        made = fitted_avatar(given, gaussians, steps, 0, Progress("fit", 1), None, compute)
        rows[f"fit_s{ending}"] = round(time.perf_counter() - began, 2)
        rows[f"fit_db{ending}"] = made.notes["held_out_db"]
    rows["fit_passed"] = abs(rows["fit_db"][1] - rows["fit_db_cpu"][1]) <= BAND
    return rows
