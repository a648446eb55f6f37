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
        _give_back(clip, kept, free, held)
    return kept


def _give_back(clip: CoarseClip, kept: np.ndarray, free: np.ndarray, held: np.ndarray) -> None:
    """Change the offsets `kept` (T,V,3) of vertices `free` so that they take no swing, as those `held` see it.

    Frame by frame: all that they see of a long clip is more than one wants in memory at once.
    """
    bind, frames = clip.bind_vertices[held], range(clip.frames)
    fits = [rigid_fit(bind, clip.rigid_vertices[t, held]) for t in frames]
    weight = clip.freedom[free, None]

    def seen(t: int) -> np.ndarray:
        turn, place = fits[t]
        return np.asarray((clip.vertices[t, free] - place) @ turn)

    def change(t: int) -> np.ndarray:
        return np.asarray(kept[t, free] @ fits[t][0])

    mean, mean_change = (sum(each(t) for t in frames) / clip.frames for each in (seen, change))
    against = own = 0.0
    for t in frames:
        swing = seen(t) - mean
        against += float((weight * swing * (change(t) - mean_change)).sum())
        own += float((weight * swing**2).sum())
    share = against / max(own, 1e-12)
    if share < 0:
        for t in frames:
            kept[t, free] -= (share * weight * ((seen(t) - mean) @ fits[t][0].T)).astype(np.float32)
