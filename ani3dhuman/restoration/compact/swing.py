"""A restored layer swings as far as the coarse one: what a prior's offsets take from its motion is given back.

A network that is trained on squared errors shrinks what it is unsure of. Its offsets may turn, delay and fold cloth;
the part of them that is the coarse motion the other way round is left out.
"""

from __future__ import annotations

import numpy as np

from ani3d_formats.regions import GARMENT, HAIR

from ...clip import CoarseClip
from ...cloth.preroll import rigid_fit

HELD = 0.5  # freedom up to which a vertex goes with the body


def keep_swing(clip: CoarseClip, offsets: np.ndarray) -> np.ndarray:
    """Offsets (T,V,3), metres, from `clip.vertices`, without what makes garments or hair swing less.

    Swing is the motion about each vertex's mean place as the held part of the garment, or of the hair, sees it. The
    share of it that is found in the offsets by least squares, over all free vertices of the clip, is taken out if it is
    negative.
    """
    kept, freedom = offsets.astype(np.float32), clip.freedom
    for region in (GARMENT, HAIR):
        own = clip.vertex_regions == region
        free = np.flatnonzero(own & (freedom > 0))
        held = np.flatnonzero(own & (freedom <= HELD))
        if len(free) == 0:
            continue
        if len(held) < 3:
            held = np.flatnonzero(freedom == 0)
        if len(held) < 3:
            continue
        bind = clip.bind_vertices[held]
        turns, places = zip(*(rigid_fit(bind, frame[held]) for frame in clip.rigid_vertices), strict=True)
        R, at = np.stack(turns), np.stack(places)
        seen = np.einsum("tji,tvj->tvi", R, clip.vertices[:, free] - at[:, None])
        given = np.einsum("tji,tvj->tvi", R, kept[:, free])
        swing, change = seen - seen.mean(0), given - given.mean(0)
        weight = freedom[free, None]
        share = (weight * swing * change).sum() / max(float((weight * swing**2).sum()), 1e-12)
        if share < 0:
            kept[:, free] -= (share * weight * np.einsum("tij,tvj->tvi", R, swing)).astype(np.float32)
    return kept
