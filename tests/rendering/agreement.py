"""How closely the CPU kernels agree with the float64 oracle, outside a stated band around the thresholds.

The picture jumps where a Gaussian crosses a rule's edge: alpha 1/255 (drawn or not), alpha 0.999 (clamped or not),
transmittance 1e-4 (the pixel ends or goes on), and the order of two Gaussians. Float32 and float64 may stand on
different sides of such an edge. `near_threshold` finds the pixels where the oracle itself comes within BAND of one;
they are left out, and their share is reported. Everywhere else all values and all gradients count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from gaussian_scenes import NAMES, Scene
from torch import Tensor

from ani3dhuman.rendering import rasterize
from ani3dhuman.rendering.reference import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN, project
from ani3dhuman.rendering.view import View

BAND = 2e-5  # relative distance to a threshold; about 100 roundings of float32
DEPTH_BAND = 1e-6  # relative difference of depths whose order float32 may not see


@dataclass(frozen=True)
class Agreement:
    """Largest differences of one scene.

    Attributes:
        value: largest absolute difference of a channel or alpha, depth channels relative to the largest depth.
        gradient: largest difference of a gradient's element over its size plus the root mean square of its tensor.
        left_out: share of pixels inside the band.
        worst: name of the tensor with the largest gradient difference.
    """

    value: float
    gradient: float
    left_out: float
    worst: str


def near_threshold(scene: Scene, options: dict[str, Any]) -> Tensor:
    """(C,H,W) bool: pixels where a rule's edge is within the band, found by a dense float64 table."""
    exact = scene.to(torch.float64)
    view = View(scene.width, scene.height, **{k: v for k, v in options.items() if k != "backgrounds"})
    near = []
    with torch.no_grad():
        for camera in range(len(exact.viewmats)):
            shapes = (exact.means, exact.quats, exact.scales, exact.opacities)
            meta = project(*shapes, exact.viewmats[camera], exact.Ks[camera], view)
            order = torch.sort(meta["depths"], stable=True).indices
            order = order[(meta["radii"][order] > 0).all(-1)]
            ys = torch.arange(exact.height, dtype=torch.float64) + 0.5
            xs = torch.arange(exact.width, dtype=torch.float64) + 0.5
            pixels = torch.cartesian_prod(ys, xs).flip(-1)
            dx, dy = (pixels[None] - meta["means2d"][order][:, None]).unbind(-1)
            a, b, c = meta["conics"][order][:, :, None].unbind(1)
            raw = meta["opacities"][order][:, None] * torch.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy)
            shown = raw >= ALPHA_MIN * (1 - BAND)
            after = torch.cumprod(1 - torch.where(shown, raw.clamp(max=ALPHA_MAX), 0), 0)
            edge = ((raw / ALPHA_MIN - 1).abs() < BAND) | ((raw / ALPHA_MAX - 1).abs() < BAND)
            # rounding of T adds up over the Gaussians in front, so this band is wider
            edge |= shown & ((after / TRANSMITTANCE_MIN - 1).abs() < 20 * BAND)
            depths = meta["depths"][order]
            gaps = (depths[1:] - depths[:-1]) / depths[1:].abs().clamp(min=1e-6)
            unsure = (gaps > 0) & (gaps < DEPTH_BAND)
            if unsure.any():
                edge[1:] |= unsure[:, None] & shown[1:] & shown[:-1]
            near.append(edge.any(0).reshape(exact.height, exact.width))
    return torch.stack(near)


def compare(scene: Scene, options: dict[str, Any]) -> Agreement:
    """Render and differentiate a random weighting of image and alphas with both backends."""
    near = near_threshold(scene, options)
    results = []
    for backend, dtype in (("cpu", torch.float32), ("reference", torch.float64)):
        own = scene.to(dtype)
        tensors = own.differentiable()
        extra = {}
        if options.get("backgrounds") is not None:
            extra["backgrounds"] = options["backgrounds"].to(dtype).requires_grad_()
            tensors = [*tensors, extra["backgrounds"]]
        image, alphas, _ = rasterize(*own.arguments(), **own.size, backend=backend, **{**options, **extra})
        generator = torch.Generator().manual_seed(11)
        loss = torch.zeros((), dtype=dtype)
        for picture in (image, alphas):
            weights = torch.randn(picture.shape, generator=generator, dtype=torch.float64).to(dtype)
            loss = loss + (picture * torch.where(near[..., None], 0, weights)).sum()
        gradients = torch.autograd.grad(loss, tensors, allow_unused=True)
        gradients = [torch.zeros_like(t) if g is None else g for t, g in zip(tensors, gradients, strict=True)]
        results.append((image.detach().double(), alphas.detach().double(), [g.double() for g in gradients]))
    (image, alphas, found), (exact_image, exact_alphas, exact) = results
    scale = torch.ones(image.shape[-1], dtype=torch.float64)
    if options.get("render_mode", "RGB").endswith("D"):
        scale[-1] = exact_image[..., -1].abs().max().clamp(min=1)
    difference = torch.cat([(image - exact_image).abs() / scale, (alphas - exact_alphas).abs()], -1).amax(-1)
    value = float(torch.where(near, 0, difference).max())
    errors = {}
    for name, own, true in zip([*NAMES, "backgrounds"], found, exact, strict=False):
        rms = true.square().mean().sqrt() if true.numel() else torch.zeros(())
        errors[name] = (
            float(((own - true).abs() / (true.abs() + rms).clamp(min=1e-30)).max())
            if rms > 0
            else float(own.abs().sum())
        )
    worst = max(errors, key=lambda name: errors[name])
    return Agreement(value, errors[worst], float(near.double().mean()), worst)
