"""The picture of the sampler study: what each parameter does, from a clean and from a degraded start."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ani3dhuman.metrics.table import mean_ci

STYLES = {("ODE", "clean"): "C0--", ("ODE", "degraded"): "C0-", ("SGSS", "clean"): "C1--", ("SGSS", "degraded"): "C1-"}
ROWS = {"node_error_cm": "node error, cm", "acceleration_ratio": "acceleration / truth"}


def plot_sweep(found: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Node error and acceleration over strength, steps and guidance; `found` by "variant, parameter value / start"."""
    figure = Figure(figsize=(11, 6))
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(ROWS), 3, squeeze=False)
    for column, parameter in enumerate(("strength", "steps", "guidance")):
        for row, (key, label) in enumerate(ROWS.items()):
            plot = axes[row][column]
            for (sampler, start), style in STYLES.items():
                points = []
                for name, figures in found.items():
                    variant, at = name.split(" / ")
                    if at == start and variant.startswith(f"{sampler}, {parameter} "):
                        points.append((float(variant.split()[-1]), *mean_ci(figures[key])))
                if points:
                    x, mean, half = zip(*sorted(points), strict=True)
                    plot.errorbar(x, mean, half, fmt=style, marker=".", lw=1.2, label=f"{sampler}, {start} start")
            plot.set(xlabel=parameter, ylabel=label)
            if row:
                plot.axhline(1, color="0.7", lw=0.8)
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
