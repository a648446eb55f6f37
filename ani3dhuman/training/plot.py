"""The loss curve of a training as a picture."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ani3d_formats.atomic import atomic_path


def plot_history(history: list[dict[str, float]], path: Path) -> None:
    """Training and validation loss over minutes, PNG; `history` entries hold minutes, train, and perhaps validation."""
    figure = Figure(figsize=(7, 4))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name in ("train", "validation"):
        points = [(entry["minutes"], entry[name]) for entry in history if name in entry]
        if points:
            axes.plot(*zip(*points, strict=True), label=name)
    axes.set(xlabel="minutes of training", ylabel="loss", title="Compact prior, flow matching")
    axes.set_yscale("log")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    with atomic_path(path) as partial:
        figure.savefig(partial, dpi=110)
