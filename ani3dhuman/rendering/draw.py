"""One frame of posed Gaussians drawn into any channels: colour, labels, motion."""

from __future__ import annotations

import numpy as np
import torch

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import GaussianFrames

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
    """Composite `features` of the Gaussians of one frame, without gradients, on the CPU.

    Args:
        gaussians: T frames of N Gaussians.
        features: (N,D), D at most 32 (31 with depth).
        cameras: T cameras.
        frame: index of the frame.
        with_depth: add expected depth in metres as the last channel.
        background: (D,) behind the features; the alpha stays that of the Gaussians.
        blur: by what Gaussians are widened, `eps2d` of `rasterize`.

    Returns:
        Channels (H,W,D), premultiplied but for the depth, and alpha (H,W); float32.
    """
    with torch.no_grad():
        channels, alpha, _ = rasterize(
            _tensor(gaussians.means[frame]),
            _tensor(gaussians.quats[frame]),
            _tensor(gaussians.scales[frame]),
            _tensor(gaussians.opacities_at(frame)),
            _tensor(features),
            _tensor(cameras.viewmats[frame : frame + 1]),
            _tensor(cameras.Ks[frame : frame + 1]),
            width=cameras.width,
            height=cameras.height,
            backgrounds=None if background is None else _tensor(background)[None],
            eps2d=blur,
            render_mode="RGB+ED" if with_depth else "RGB",
            camera_model="ortho" if cameras.camera_type == "orthographic" else "pinhole",
        )
    return channels[0].numpy(), alpha[0, ..., 0].numpy()


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.require(array, np.float32, ["C", "W"]))  # memory maps cannot be written: copied
