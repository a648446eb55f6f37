"""The reference itself against finite differences in float64: all inputs, all switches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gaussian_scenes import random_scene
from torch import Tensor

from ani3dhuman.rendering import rasterize

STEP = 1e-6


@pytest.mark.parametrize(
    ("about_scene", "options"),
    [
        ({}, {"render_mode": "RGB+ED"}),
        ({"sh_degree": 3}, {"sh_degree": 3, "rasterize_mode": "antialiased"}),
        ({"ortho": True}, {"camera_model": "ortho", "render_mode": "RGB+D"}),
    ],
    ids=["pinhole", "harmonics antialiased", "orthographic"],
)
def test_gradients_are_slopes(about_scene: dict[str, Any], options: dict[str, Any]) -> None:
    scene = random_scene(12, width=20, height=17, size=0.12, **about_scene).to(torch.float64)
    background = torch.tensor([[0.2, 0.4, 0.6]], dtype=torch.float64)
    tensors = [scene.means, scene.quats, scene.scales, scene.opacities, scene.colors, scene.viewmats[:, :3], background]
    tensors = [t.clone().requires_grad_() for t in tensors]
    bottom = torch.tensor([[[0.0, 0, 0, 1]]], dtype=torch.float64)

    def loss(
        means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor, top: Tensor, back: Tensor
    ) -> Tensor:
        image, alphas, _ = rasterize(
            means, quats, scales, opacities, colors, torch.cat([top, bottom], 1), scene.Ks, **scene.size,
            backgrounds=back, backend="reference", **options,
        )  # fmt: skip
        generator = torch.Generator().manual_seed(2)
        both = torch.cat([image, alphas], -1)
        return (both * torch.randn(both.shape, generator=generator, dtype=torch.float64)).sum()

    gradients = torch.autograd.grad(loss(*tensors), tensors)
    generator = torch.Generator().manual_seed(4)
    for index, gradient in enumerate(gradients):
        for _ in range(4):
            direction = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
            values = []
            for sign in (1, -1):
                moved = [t.detach() for t in tensors]
                moved[index] = moved[index] + sign * STEP * direction
                values.append(loss(*moved))
            slope = float(values[0] - values[1]) / (2 * STEP)
            assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-6), index
