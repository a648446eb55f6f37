"""Why restoration and refinement are left out: they work on garment and hair that a camera sees, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ani3d_formats.regions import is_loose

from ..clip import CoarseClip
from ..device import to_numpy
from ..rendering.draw import draw_tensors

SEEN = 0.02  # share of a pixel from which on something counts as seen


def why_left_out(clip: CoarseClip) -> str:
    """One sentence that says why there is nothing to restore in a clip; "" where there is something."""
    if not is_loose(clip.avatar.region_ids).any():
        why = "This character has no garment and no hair"
    else:
        why = "No frame shows the character"
        for alpha, preserve in _coverage(clip):  # most often the first frame is enough
            if (alpha.astype(np.float32) - preserve > SEEN).any():
                return ""
            if (alpha > SEEN).any():
                why = "No frame shows garment or hair"
    return f"{why}: there is nothing to restore or refine."


def _coverage(clip: CoarseClip) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(H,W) of each frame, how much of a pixel shows the character, and how much body or face; drawn without light
    where there are no pictures yet."""
    if clip.pictures is not None:
        yield from zip(clip.pictures.alpha, clip.pictures.preserve, strict=True)
        return
    posed = clip.posed(clip.vertices, lit=False)
    kept = clip.compute.tensor(~is_loose(clip.avatar.region_ids)[:, None])
    for t in range(clip.frames):
        channels, alpha = draw_tensors(posed.drawn(t), kept, clip.cameras, t)
        yield to_numpy(alpha), to_numpy(channels[..., 0])
