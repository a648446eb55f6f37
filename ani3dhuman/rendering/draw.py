"""One frame of posed Gaussians drawn into any channels: colour, labels, motion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import GaussianFrames

from ..device import CPU, to_numpy
from .rasterize import rasterize

# Variance, pixels squared, that widens Gaussians in a picture: the least at which none falls between pixels. The usual
# 0.3 lets dots and edges grow.
BLUR = 0.05


def draw(
    gaussians: GaussianFrames,
    features: np.ndarray,
    cameras: CameraPath,
    frame: int,
    with_depth: bool = False,
    background: np.ndarray | None = None,
    blur: float = BLUR,
) -> tuple[np.ndarray, np.ndarray]:
    """`draw_tensors` of arrays, on the CPU.

    Args:
        gaussians: T frames of N Gaussians.
        features: (N,D), D at most 32 (31 with depth).
        cameras: T cameras.
        frame: index of the frame.
        with_depth, background, blur: as of `draw_tensors`.

    Returns:
        Channels (H,W,D), premultiplied but for the depth, and alpha (H,W); float32.
    """
    shape = gaussians.means[frame], gaussians.quats[frame], gaussians.scales[frame], gaussians.opacities_at(frame)
    parts = [CPU.tensor(part) for part in shape]
    channels, alpha = draw_tensors(parts, CPU.tensor(features), cameras, frame, with_depth, background, blur)
    return to_numpy(channels), to_numpy(alpha)


@torch.no_grad()
def draw_tensors(
    gaussians: Sequence[Tensor],
    features: Tensor,
    cameras: CameraPath,
    frame: int,
    with_depth: bool = False,
    background: np.ndarray | None = None,
    blur: float = BLUR,
) -> tuple[Tensor, Tensor]:
    """Composite `features` of the Gaussians of one frame, without gradients, on the device that they are on.

    Args:
        gaussians: means (N,3), quats (N,4), scales (N,3), opacities (N,), as `avatar.posing.Posed` begins.
        features: (N,D), D at most 32 (31 with depth).
        cameras: a path.
        frame: index of the camera.
        with_depth: add expected depth in metres as the last channel.
        background: (D,) behind the features; the alpha stays that of the Gaussians.
        blur: by what Gaussians are widened, `eps2d` of `rasterize`.

    Returns:
        Channels (H,W,D), premultiplied but for the depth, and alpha (H,W); float32.
    """
    means, quats, scales, opacities = gaussians[:4]

    def placed(values: np.ndarray) -> Tensor:
        return CPU.tensor(values).to(means.device)[None]

    channels, alpha, _ = rasterize(
        means,
        quats,
        scales,
        opacities,
        features,
        placed(cameras.viewmats[frame]),
        placed(cameras.Ks[frame]),
        width=cameras.width,
        height=cameras.height,
        backgrounds=None if background is None else placed(background),
        eps2d=blur,
        render_mode="RGB+ED" if with_depth else "RGB",
        camera_model="ortho" if cameras.camera_type == "orthographic" else "pinhole",
    )
    return channels[0], alpha[0, ..., 0]
