"""One frame of posed Gaussians drawn into any channels: colour, labels, motion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import GaussianFrames

from ..device import CPU, to_numpy
from .cpu.samples import mean_samples
from .rasterize import rasterize
from .view import Options

# Variance, pixels squared, that widens Gaussians in a picture: the least at which none falls between samples. The usual
# 0.3 lets dots and edges grow.
BLUR = 0.0125
SAMPLES = 2  # of a pixel along each side: one of its middle alone leaves steps along edges
FAINT = 1e-10  # coverage, by which depths are divided, is no less


def draw(
    gaussians: GaussianFrames,
    features: np.ndarray,
    cameras: CameraPath,
    frame: int,
    with_depth: bool = False,
    background: np.ndarray | None = None,
    blur: float = BLUR,
    samples: int = SAMPLES,
) -> tuple[np.ndarray, np.ndarray]:
    """`draw_tensors` of arrays, on the CPU.

    Args:
        gaussians: T frames of N Gaussians.
        features: (N,D), D at most 32 (31 with depth).
        cameras: T cameras.
        frame: index of the frame.
        with_depth, background, blur, samples: as of `draw_tensors`.

    Returns:
        Channels (H,W,D), premultiplied but for the depth, and alpha (H,W); float32.
    """
    shape = gaussians.means[frame], gaussians.quats[frame], gaussians.scales[frame], gaussians.opacities_at(frame)
    parts = [CPU.tensor(part) for part in shape]
    channels, alpha = draw_tensors(parts, CPU.tensor(features), cameras, frame, with_depth, background, blur, samples)
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
    samples: int = SAMPLES,
) -> tuple[Tensor, Tensor]:
    """Composite `features` of the Gaussians of one frame, without gradients, on the device that they are on.

    Args:
        gaussians: means (N,3), quats (N,4), scales (N,3), opacities (N,), as `avatar.posing.Posed` begins.
        features: (N,D), D at most 32 (31 with depth).
        cameras: a path.
        frame: index of the camera.
        with_depth: add expected depth in metres as the last channel.
        background: (D,) behind the features; the alpha stays that of the Gaussians.
        blur: by what Gaussians are widened, `eps2d` of `sampled`.
        samples: along each side of a pixel, which is their mean.

    Returns:
        Channels (H,W,D), premultiplied but for the depth, and alpha (H,W); float32.
    """
    means, quats, scales, opacities = gaussians[:4]

    def placed(values: np.ndarray) -> Tensor:
        return CPU.tensor(values).to(means.device)[None]

    channels, alpha = sampled(
        (means, quats, scales, opacities, features),
        placed(cameras.viewmats[frame]),
        placed(cameras.Ks[frame]),
        samples=samples,
        width=cameras.width,
        height=cameras.height,
        backgrounds=None if background is None else placed(background),
        eps2d=blur,
        render_mode="RGB+ED" if with_depth else "RGB",
        camera_model="ortho" if cameras.camera_type == "orthographic" else "pinhole",
    )
    return channels[0], alpha[0, ..., 0]


def sampled(
    gaussians: Sequence[Tensor], viewmats: Tensor, Ks: Tensor, samples: int = SAMPLES, **options: Unpack[Options]
) -> tuple[Tensor, Tensor]:
    """`rasterize` whose pixels are the mean of `samples` along each side, 1 or more; differentiable.

    All else is as there, for the picture wanted: `eps2d` is in squares of its pixels, `BLUR` unless given. `gaussians`
    are means, quats, scales, opacities and colors.

    Returns:
        Channels (C,H,W,X) and alphas (C,H,W,1).
    """
    means, quats, scales, opacities, colors = gaussians
    options["width"], options["height"] = samples * options["width"], samples * options["height"]
    options["eps2d"] = samples**2 * options.get("eps2d", BLUR)
    drawn = rasterize(means, quats, scales, opacities, colors, viewmats, finer(Ks, samples), **options)
    channels, alphas, _ = drawn
    if samples == 1:
        return channels, alphas
    with_depth = options.get("render_mode", "RGB").endswith("ED")
    if channels.device.type == "cpu" and not channels.requires_grad:
        return _mean_on_cpu(channels, alphas, samples, with_depth)
    if with_depth:  # a mean of depths by coverage
        depth = _mean(channels[..., -1:] * alphas, samples) / _mean(alphas, samples).clamp(min=FAINT)
        return torch.cat([_mean(channels[..., :-1], samples), depth], -1), _mean(alphas, samples)
    return _mean(channels, samples), _mean(alphas, samples)


def _mean_on_cpu(channels: Tensor, alphas: Tensor, samples: int, with_depth: bool) -> tuple[Tensor, Tensor]:
    """Means of channels (C,samples*H,samples*W,X), the last of which may be a depth, and alphas (C,...,1)."""
    cameras, height, width, count = channels.shape
    pixels = np.empty((cameras, height // samples, width // samples, count), np.float32)
    coverage = np.empty(pixels.shape[:3], np.float32)
    planes = np.ascontiguousarray(to_numpy(channels).transpose(0, 3, 1, 2))
    shares = np.ascontiguousarray(to_numpy(alphas)[..., 0])
    mean_samples(planes, shares, samples, count - 1 if with_depth else -1, np.float32(FAINT), pixels, coverage)
    return torch.from_numpy(pixels), torch.from_numpy(coverage[..., None])


def finer(Ks: Tensor, samples: int) -> Tensor:
    """Intrinsics (C,3,3) for pictures with `samples` times as many pixels along each side."""
    return Ks * Ks.new_tensor([[samples], [samples], [1]])


def _mean(picture: Tensor, samples: int) -> Tensor:
    """(C,H,W,X) of a picture (C,samples*H,samples*W,X)."""
    return avg_pool2d(picture.permute(0, 3, 1, 2), samples).permute(0, 2, 3, 1)
