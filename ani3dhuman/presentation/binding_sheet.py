"""How Gaussians of others were bound to a character, for the eye: part of the body, distance, what was left out."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ani3d_formats.atomic import write_bytes

from ..avatar.from_splats import Bound
from ..splats.splats import Splats
from .cache_sheet import MAX_POINTS
from .style import GRID, STYLE

LEFT_OUT, UNCERTAIN = "#d1495b", "#e8a33d"
TURN = 0.381966  # of the circle of hues from one part to the next, so that neighbours differ


def plot_binding(splats: Splats, bound: Bound, face_parts: np.ndarray, title: str, png: Path) -> None:
    """Draw four views of N Gaussians into the picture `png`: colours, parts, distances, and what needs a look.

    Args:
        splats: all that were to be bound.
        bound: what came of it.
        face_parts: (F,) the number of each face's part of the body.
    """
    parts = face_parts[bound.avatar.binding.triangle_ids.numpy()]
    hues = np.stack([(parts * TURN) % 1, np.full(len(parts), 0.65), np.full(len(parts), 0.85)], axis=1)
    far = float(np.percentile(bound.distances, 98))
    near = np.clip(bound.distances / max(1e-9, far), 0, 1)
    doubt = np.full((splats.count, 4), (0.75, 0.76, 0.79, 0.5))
    doubt[np.flatnonzero(bound.kept)[bound.uncertain]] = matplotlib.colors.to_rgba(UNCERTAIN)
    doubt[~bound.kept] = matplotlib.colors.to_rgba(LEFT_OUT)
    kept = splats.means[bound.kept]
    views = (
        ("As they came", splats.means, np.clip(np.c_[splats.colors, splats.opacities], 0, 1)),
        ("Part of the body", kept, matplotlib.colors.hsv_to_rgb(hues)),
        (f"Distance from the mesh (dark: {1000 * far:.0f} mm)", kept, matplotlib.colormaps["cividis_r"](near)),
        ("Left out (red), uncertain (yellow)", splats.means, doubt),
    )
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(15, 6.5), dpi=110, layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
        for number, (name, means, colors) in enumerate(views):
            axes = figure.add_subplot(1, 4, number + 1)
            step = max(1, len(means) // MAX_POINTS)
            rank = np.argsort(-means[:, 1], kind="stable")[::step]  # what is nearest to the eye is drawn last
            axes.scatter(means[rank, 0], means[rank, 2], s=2.0, c=colors[rank], linewidths=0)
            axes.set_aspect("equal", adjustable="datalim")
            axes.set_title(name)
            axes.set_xlabel("x (m)")
            axes.grid(color=GRID, lw=0.6)
            axes.set_axisbelow(True)
        data = io.BytesIO()
        FigureCanvasAgg(figure).print_png(data)
    write_bytes(png, data.getvalue())
