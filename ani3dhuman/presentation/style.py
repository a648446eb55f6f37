"""How plots look: one ink, one grid, no frame on top and right."""

from __future__ import annotations

from typing import Any

INK, GRID = "#2b2d33", "#e4e6ea"
STYLE: Any = {  # for matplotlib.rc_context
    "font.size": 9,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
}
