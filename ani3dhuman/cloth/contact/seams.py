"""Crossings that the skeleton keeps, as where the pinned end of a sleeve passes through the side of a dress.

No way leads out of these. What lies about them is let through, or it would be torn when the arm comes down; all else is
kept apart, from it too. Were whatever crosses let through, as where it may come apart, it would cross further and
further.
"""

from __future__ import annotations

import numpy as np

from .candidates import BESIDE, SEWN, Cover
from .touch import Lists, crossings


def find_seams(x: np.ndarray, own: np.ndarray, cover: Cover, lists: Lists) -> None:
    """Mark in `cover` what is about crossings at places `x` (V,3) of which a vertex is held.

    `own` (V,) bool: what is simulated here. What has been before is held too, but can be left.
    """
    rows = crossings(x, cover, lists)
    if len(rows) == 0:
        return
    edge, side, face = rows.T
    corners = np.column_stack([cover.faces[edge, side], cover.faces[edge, (side + 1) % 3], cover.faces[face]])
    kept = own[corners].all(1) & (cover.inv_mass[corners] == 0).any(1)
    about = np.zeros(len(x), bool)
    about[corners[kept]] = True
    about[cover.faces[about[cover.faces].any(1)]] = True
    cover.seam[cover.faces[about[cover.faces].any(1)]] = BESIDE  # as far as what passes there reaches
    cover.seam[about] = SEWN
