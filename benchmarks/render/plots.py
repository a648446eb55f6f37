"""Pictures of the figures."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import matplotlib
import numpy as np

from ani3dhuman.presentation.style import GRID, STYLE

from .measure import Times

matplotlib.use("Agg")
from matplotlib import pyplot as plt

FORWARD, BOTH, CHARACTER = "#3b6fb6", "#c8553d", "#4f9d69"


def growth(rows: list[dict[str, float]], path: Path) -> None:
    """Time against drawn Gaussians per pixel, with the straight line through it."""
    x = np.array([row["pairs_per_pixel"] for row in rows])
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(6, 3.6), dpi=160, layout="constrained")
        for name, label, color in (("both_ms", "forward and backward", BOTH), ("forward_ms", "forward", FORWARD)):
            y = np.array([row[name] for row in rows])
            slope, start = np.polyfit(x, y, 1)
            axis.plot(x, start + slope * x, color=color, linewidth=1, alpha=0.5)
            axis.plot(x, y, "o", color=color, label=f"{label}: {start:.0f} + {slope:.2f} per Gaussian")
        axis.set(xlabel="Gaussians drawn per pixel", ylabel="milliseconds, one thread", xlim=(0, None), ylim=(0, None))
        axis.set_title("Cost grows linearly with overlap (50,000 Gaussians, 480x832)")
        axis.grid(color=GRID)
        axis.legend(frameon=False)
        figure.savefig(path)
        plt.close(figure)


def grid(rows: list[dict[str, object]], threads: int, path: Path) -> None:
    """Time against the count of Gaussians, a panel a picture size."""
    sizes = sorted({cast(tuple[int, int], row["size"]) for row in rows})
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(sizes), figsize=(9, 3.4), dpi=160, layout="constrained", sharey=True)
        for axis, size in zip(axes, sizes, strict=True):
            for scene, marker in (("cloud", "o"), ("character", "s")):
                own = [row for row in rows if row["scene"] == scene and row["size"] == size]
                for what, color in (("both", BOTH), ("forward", FORWARD)):
                    times = [row[f"{what}_{threads}"] for row in own]
                    medians = [t.median for t in times if isinstance(t, Times)]
                    counts = [row["count"] for row in own]
                    name = "forward and backward" if what == "both" else "forward"
                    axis.plot(counts, medians, marker=marker, color=color, label=f"{scene}, {name}",
                              linestyle="-" if scene == "cloud" else ":")  # fmt: skip
            axis.set(xscale="log", yscale="log", xlabel="Gaussians", title="{}x{}".format(*size))
            axis.grid(color=GRID)
            axis.axhline(25, color="#9aa0a8", linewidth=0.8, linestyle="--")
        axes[0].set_ylabel(f"milliseconds, {threads} threads")
        axes[0].annotate("40 frames a second", (0.03, 25), xycoords=("axes fraction", "data"), fontsize=7, va="bottom")
        axes[-1].legend(frameon=False, fontsize=7)
        figure.savefig(path)
        plt.close(figure)
