"""CPU kernels against the float64 torch reference: values and gradients, small and full-size scenes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gaussian_scenes import NAMES, Scene, random_scene
from torch import Tensor

from ani3dhuman.rendering import rasterize

# Rounding decides, now and then, on which side of a threshold (alpha 1/255, transmittance 1e-4) a Gaussian falls in one
# pixel. Such a flip is a jump, so a bounded share of pixels may differ by any amount and all others must agree closely.
FLIPPED_PIXELS = 1e-3
VALUE_TOLERANCE = 3e-5
# A flip also moves the gradients of the Gaussians in that pixel.
FLIPPED_GRADIENTS = 5e-3
GRADIENT_TOLERANCE = 3e-4  # of an element, relative to the root mean square of its tensor
GRADIENT_NORM_TOLERANCE = 2e-3

MODES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "classic": ({}, {}),
    "background": ({}, {"background": True}),
    "expected depth": ({}, {"render_mode": "RGB+ED", "background": True}),
    "accumulated depth": ({}, {"render_mode": "RGB+D"}),
    "depth alone": ({}, {"render_mode": "ED"}),
    "antialiased": ({}, {"rasterize_mode": "antialiased"}),
    "orthographic": ({"ortho": True}, {"camera_model": "ortho"}),
    "harmonics 0": ({"sh_degree": 0}, {"sh_degree": 0}),
    "harmonics 3": ({"sh_degree": 3}, {"sh_degree": 3}),
    "one channel": ({"channels": 1}, {}),
    "seven channels": ({"channels": 7}, {}),
    "32 channels": ({"channels": 32}, {}),
}
FULL_SIZE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "harmonics, depth, antialiased, background": (
        {"sh_degree": 3},
        {"sh_degree": 3, "render_mode": "RGB+ED", "rasterize_mode": "antialiased", "background": True},
    ),
    "orthographic, seven channels": ({"ortho": True, "channels": 7}, {"camera_model": "ortho"}),
}


def render(scene: Scene, backend: str, **options: Any) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Image, alphas and the gradients of a fixed random weighting of both."""
    tensors = scene.differentiable()
    dtype = scene.means.dtype
    generator = torch.Generator().manual_seed(7)
    if options.pop("background", False):
        background = torch.rand(1, 3, generator=generator).to(dtype).requires_grad_()
        options["backgrounds"] = background
        tensors = [*tensors, background]
    image, alphas, _ = rasterize(*scene.arguments(), backend=backend, **options)
    image_weights = torch.randn(image.shape, generator=generator).to(dtype)
    alpha_weights = torch.randn(alphas.shape, generator=generator).to(dtype)
    gradients = torch.autograd.grad(
        (image * image_weights).sum() + (alphas * alpha_weights).sum(), tensors, allow_unused=True
    )
    return image.detach(), alphas.detach(), [torch.zeros(1) if g is None else g for g in gradients]


def assert_same_rendering(scene: Scene, **options: Any) -> None:
    image, alphas, gradients = render(scene.to(torch.float32), "cpu", **options)
    exact_image, exact_alphas, exact_gradients = render(scene.to(torch.float64), "reference", **options)
    assert exact_alphas.max() > 0.5, "the scene must show something"
    error = torch.cat([image - exact_image, alphas - exact_alphas], -1).abs().amax(-1)
    assert (error > VALUE_TOLERANCE).double().mean() <= FLIPPED_PIXELS
    for name, gradient, exact in zip([*NAMES, "backgrounds"], gradients, exact_gradients, strict=False):
        scale = exact.square().mean().sqrt()
        difference = (gradient - exact).abs()
        assert difference.norm() <= GRADIENT_NORM_TOLERANCE * exact.norm(), name
        if exact.numel() > 100:
            far = (difference > GRADIENT_TOLERANCE * (scale + exact.abs())).double().mean()
            assert far <= FLIPPED_GRADIENTS, name


@pytest.mark.parametrize("mode", MODES)
def test_600_gaussians(mode: str) -> None:
    about_scene, options = MODES[mode]
    assert_same_rendering(random_scene(600, width=75, height=50, size=0.04, **about_scene), **options)


@pytest.mark.parametrize("mode", FULL_SIZE)
def test_50000_gaussians(mode: str) -> None:
    about_scene, options = FULL_SIZE[mode]
    assert_same_rendering(random_scene(50_000, width=120, height=208, size=0.008, **about_scene), **options)


def test_needles_and_saturated_gaussians() -> None:
    scene = random_scene(300, width=75, height=50, size=0.04)
    scene.scales[:100, 0] *= 30
    scene.scales[:100, 1:] *= 0.01
    scene.scales[100:120] *= 40
    scene.opacities[100:200] = 1.0
    assert_same_rendering(scene)


def test_crowded_scene_where_pixels_finish_early() -> None:
    scene = random_scene(3000, width=75, height=50, size=0.1)
    scene.opacities.mul_(0.5).add_(0.5)
    alphas = rasterize(*scene.arguments())[1]
    assert (alphas > 0.999).double().mean() > 0.95
    assert_same_rendering(scene)
