"""CPU kernels against the float64 torch reference: values and gradients, thirty scenes and two of full size."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from agreement import compare
from agreement_scenes import SCENES
from gaussian_scenes import NAMES, Scene, random_scene
from torch import Tensor

from ani3dhuman.rendering import rasterize


@pytest.mark.parametrize("name", SCENES)
def test_kernels_agree_with_the_oracle(name: str) -> None:
    found = compare(*SCENES[name])
    assert found.left_out <= 0.01, "the band around the thresholds must stay a rim"
    assert found.value <= 1e-5
    assert found.gradient <= 1e-4, found.worst


def test_there_are_thirty_scenes_and_they_show_something() -> None:
    assert len(SCENES) >= 30
    for name, (scene, options) in SCENES.items():
        alphas = rasterize(*scene.arguments(), **scene.size, **options)[1]
        assert alphas.max() > 0.5 or name == "no Gaussians", name


def test_the_comparison_sees_an_error_of_one_in_ten_thousand(monkeypatch: pytest.MonkeyPatch) -> None:
    from ani3dhuman.rendering import reference

    exact = reference.blend

    def slightly_off(means2d: Tensor, conics: Tensor, opacities: Tensor, *rest: Tensor) -> Tensor:
        return exact(means2d, conics, opacities * (1 - 1e-4), *rest)

    monkeypatch.setattr(reference, "blend", slightly_off)
    found = compare(*SCENES["plain"])
    assert found.value > 1e-5 and found.gradient > 1e-4


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="compiles for another x86 processor: only this processor's code was checked",
)
def test_kernels_compiled_for_an_older_processor_agree_too(tmp_path: Path) -> None:
    program = """
from agreement import compare
from agreement_scenes import SCENES
for name in ("expected depth", "needles antialiased", "larger than a tile"):
    found = compare(*SCENES[name])
    print(found.value, found.gradient)
"""
    older = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+bmi,+bmi2,+lzcnt,+popcnt"}
    place = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent)}
    environment = {**os.environ, **older, **place}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    for line in ran.stdout.splitlines():
        value, gradient = map(float, line.split())
        assert value <= 1e-5 and gradient <= 1e-4
    assert len(ran.stdout.splitlines()) == 3


# A dense table of 50,000 Gaussians by pixels does not fit, so pixels near a threshold cannot be named here as in
# `agreement`. A bounded share of pixels may differ by any amount, all others must agree closely.
FLIPPED_PIXELS = 1e-3
VALUE_TOLERANCE = 1e-5
FLIPPED_GRADIENTS = 5e-3
GRADIENT_TOLERANCE = 1e-4  # of an element, relative to its size and the root mean square of its tensor
GRADIENT_NORM_TOLERANCE = 2e-3
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
    image, alphas, _ = rasterize(*scene.arguments(), **scene.size, backend=backend, **options)
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


@pytest.mark.parametrize("mode", FULL_SIZE)
def test_50000_gaussians(mode: str) -> None:
    about_scene, options = FULL_SIZE[mode]
    assert_same_rendering(random_scene(50_000, width=120, height=208, size=0.008, **about_scene), **options)
