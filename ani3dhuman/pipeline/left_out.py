"""Why restoration and refinement are left out: they work on garment and hair that a camera sees, and nothing else."""

from __future__ import annotations

import numpy as np

from ani3d_formats.regions import is_loose

from ..clip import CoarseClip

SEEN = 0.02  # share of a pixel from which on something counts as seen


def why_left_out(clip: CoarseClip) -> str:
    """One sentence that says why there is nothing to restore in a clip; "" where there is something."""
    pictures = clip.pictures or clip.layer_when_asked(clip.vertices)  # most often the first frame is enough
    if not is_loose(clip.avatar.region_ids).any():
        why = "This character has no garment and no hair"
    elif not any((alpha > SEEN).any() for alpha in pictures.alpha):
        why = "No frame shows the character"
    elif not any(_loose_seen(*maps) for maps in zip(pictures.alpha, pictures.preserve, strict=True)):
        why = "No frame shows garment or hair"
    else:
        return ""
    return f"{why}: there is nothing to restore or refine."


def _loose_seen(alpha: np.ndarray, preserve: np.ndarray) -> bool:
    return bool((alpha.astype(np.float32) - preserve > SEEN).any())
