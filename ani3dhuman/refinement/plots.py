"""The course of a fit as a picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes

from ..presentation.style import GRID, INK, STYLE

COLORS = {
    "photometric": "#2e6fbb",
    "alpha": "#3aa6a0",
    "stretch": "#d1495b",
    "rigidity": "#ef8a3c",
    "acceleration": "#7a5195",
    "magnitude": "#9a7b4f",
    "planes": "#8a93a3",
    "proposal": "#3a7d44",
    "penetration": "#d64fc0",
    "appearance": "#6b4226",
}


def plot_losses(history: dict[str, list[float]], png: Path, title: str = "Residual field") -> None:
    """Draw `RefinementResult.history` on a log axis: every term, their sum, and the held-out frames.

    Of a history in rounds, which validates twice where a round begins, each begins at a line.
    """
    import matplotlib  # half a second, which jobs that fit no pixels need not wait for
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 5), dpi=110, layout="constrained")
        axes = figure.add_subplot()
        steps, validations = np.array(history.get("step", [])), np.array(history["validation_step"])
        starts = validations[1:][np.diff(validations) == 0]
        for start in starts:
            axes.axvline(start, color=INK, lw=0.8, ls=":")
        if len(steps):
            parts = np.searchsorted(steps, starts, side="right")
            _curve(axes, steps, parts, history["total"], INK, "total", 2.0)
            for name, color in COLORS.items():
                if name in history and max(history[name]) > 0:
                    _curve(axes, steps, parts, history[name], color, name, 1.3)
        axes.plot(
            history["validation_step"],
            history["validation"],
            color=INK,
            lw=0,
            marker="o",
            ms=5,
            mfc="white",
            label="held-out frames",
        )
        axes.set_yscale("log")
        # terms start at zero, which a log axis cannot show
        axes.set_ylim(bottom=max(min(history["validation"]), 1e-6) * 1e-3)
        axes.set_xlabel("step")
        axes.set_ylabel("weighted loss")
        axes.set_title(title, loc="left", weight="bold")
        axes.grid(color=GRID, lw=0.6, which="major")
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
        data = io.BytesIO()
        FigureCanvasAgg(figure).print_png(data)
    write_bytes(Path(png), data.getvalue())


def _curve(
    axes: Any, steps: np.ndarray, parts: np.ndarray, values: list[float], color: str, name: str, width: float
) -> None:
    """A faint line of every step under its running mean, since single frames differ more than steps do.

    The mean begins anew at the indices `parts`.
    """
    raw = np.maximum(values, 1e-9)
    axes.plot(steps, raw, color=color, lw=0.6, alpha=0.22)
    for number, (own, at) in enumerate(zip(np.split(raw, parts), np.split(steps, parts), strict=True)):
        if len(own):
            span = max(1, len(own) // 20)
            mean = np.convolve(np.pad(own, (span - 1, 0), mode="edge"), np.ones(span) / span, mode="valid")
            axes.plot(at, mean, color=color, lw=width, label=None if number else name)
