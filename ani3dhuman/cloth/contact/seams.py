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
    about, beside = about_held(x, own, cover, lists)
    cover.seam[beside] = BESIDE
    cover.seam[about] = SEWN


def about_held(x: np.ndarray, own: np.ndarray, cover: Cover, lists: Lists) -> tuple[np.ndarray, np.ndarray]:
    """Vertices within an edge of crossings at places `x` (V,3) of which a vertex is held, and those beside these.

    What is held in part crosses along a curve, whose other parts cannot come apart either: they are beside it too, and
    cross what they do. `own` as of `find_seams`; both are (V,) bool, and what is about is beside.
    """
    about, rows = np.zeros(len(x), bool), crossings(x, cover, lists)
    if len(rows) == 0:
        return about, about
    edge, side, face = rows.T
    corners = np.column_stack([cover.faces[edge, side], cover.faces[edge, (side + 1) % 3], cover.faces[face]])
    corners = corners[own[corners].all(1)]
    about[corners[(cover.inv_mass[corners] == 0).any(1)]] = True
    curve, count = about.copy(), -1
    while count != (count := int(curve.sum())):
        curve[corners[curve[corners].any(1)]] = True
    about[cover.faces[about[cover.faces].any(1)]] = True
    beside = about | curve
    beside[cover.faces[beside[cover.faces].any(1)]] = True  # as far as what passes there reaches
    return about, beside
