"""Appearance: how a residual field changes size, opacity and colour of Gaussians.

Offsets live at mesh vertices, like those of motion, and reach Gaussians by barycentric interpolation. They have no
unit: near 0 an offset of 1 is worth the bound of its channel, and no offset leads beyond the bound. So offsets add up
over rounds and blend over windows without a thought of limits, and one learning rate suits all channels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ani3d_formats.errors import Ani3DError

from .binding import SurfaceBinding

CHANNELS = 5  # log of the scale, logit of the opacity, red, green, blue
MAX_SCALE = 1.5  # factor on all three axes of a Gaussian, either way
MAX_LOGIT = 1.5  # from an opacity of 0.9 that is 0.67 to 0.98
MAX_COLOR = 0.25  # added to sRGB-encoded 0..1, either way
_BOUNDS = (math.log(MAX_SCALE), MAX_LOGIT, *[MAX_COLOR] * 3)


def apply_appearance(
    binding: SurfaceBinding, appearance: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Scales, opacities and colours of Gaussians under the appearance of the mesh; differentiable.

    A Gaussian whose corners all have appearance 0 stays the same to the bit.

    Args:
        binding: of N Gaussians.
        appearance: (V,5) offsets at the mesh's vertices, no unit.
        scales: (N,3) linear, metres.
        opacities: (N,) 0..1.
        colors: (N,3) sRGB, 0 or more.

    Returns:
        The three in the same shapes and ranges.
    """
    offsets = torch.tanh(binding.interpolate(appearance)) * appearance.new_tensor(_BOUNDS)
    # a logit plus x, without the logit: exact for x = 0, and for an opacity of 0 or 1
    gain = torch.expm1(offsets[:, 1])
    opacities = (opacities * (1 + gain) / (1 + opacities * gain)).clamp(0, 1)
    return scales * offsets[:, :1].exp(), opacities, (colors + offsets[:, 2:]).clamp(min=0)


def check_appearance(appearance: np.ndarray, frames: int, vertices: int) -> None:
    """Raise ``appearance.shape`` unless `appearance` is finite numbers (frames, vertices, 5)."""
    expected = (frames, vertices, CHANNELS)
    if appearance.shape != expected or not np.isfinite(appearance).all():
        found = f"has shape {appearance.shape}" if appearance.shape != expected else "is not finite"
        raise Ani3DError(
            "appearance.shape",
            f"The appearance of a mesh with {vertices} vertices in {frames} frames {found}.",
            f"Give finite numbers of shape {expected}, as refinement returns them.",
        )
