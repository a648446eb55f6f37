"""The picture of the sampler study: what each parameter does, from a clean and from a degraded start."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ani3dhuman.presentation.style import GRID, STYLE

Found = dict[str, dict[str, list[float]]]
COLORS, LINES = {"ODE": "#2e6fbb", "SGSS": "#d1495b"}, {"clean": "--", "degraded": "-"}
PANELS = (
    ("strength", "node_error_cm", "Node error, cm"),
    ("steps", "node_error_cm", "Node error, cm"),
    ("guidance", "preserved_error_mm", "Error in pinned cloth, mm"),
)


def plot_sweep(found: Found, path: Path) -> None:
    """Means over sequences, without intervals: the same sequences and noise stand behind every point.

    Args:
        found: figures by "variant, parameter value / start" and name.
        path: PNG to write.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11, 3.6), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        for plot, (parameter, key, label) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
            _panel(plot, found, parameter, key)
            plot.set(xlabel=parameter)
            plot.set_title(label)
            plot.grid(color=GRID, lw=0.6)
        figure.axes[0].legend(frameon=False, loc="lower right")
        figure.savefig(path)


def _panel(plot: Axes, found: Found, parameter: str, key: str) -> None:
    for sampler, color in COLORS.items():
        for start, line in LINES.items():
            points = []
            for name, figures in found.items():
                variant, at = name.split(" / ")
                if at == start and variant.startswith(f"{sampler}, {parameter} "):
                    points.append((float(variant.split()[-1]), float(np.nanmean(figures[key]))))
            if points:
                plot.plot(*zip(*sorted(points), strict=True), line, color=color, marker="o", ms=4, lw=1.6,
                          label=f"{sampler}, {start} start")  # fmt: skip
