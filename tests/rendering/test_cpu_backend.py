"""Behaviour that is the CPU backend's own: threads, memory, partial gradients."""

from __future__ import annotations

from dataclasses import replace

import numba
import pytest
import torch
from gaussian_scenes import Scene, random_scene
from torch import Tensor

from ani3dhuman.rendering import rasterize
from ani3dhuman.rendering.cpu.tiles import order_by_depth


@pytest.fixture
def scene() -> Scene:
    return random_scene(3000, width=120, height=90, size=0.03, sh_degree=3)


def everything(scene: Scene) -> list[Tensor]:
    own = scene.to(torch.float32)
    tensors = own.differentiable()
    image, alphas, _ = rasterize(*own.arguments(), sh_degree=3, render_mode="RGB+ED")
    return [image.detach(), alphas.detach(), *torch.autograd.grad(image.square().sum() + alphas.sum(), tensors)]


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one core only: thread counts could not be compared")
def test_same_bits_with_one_and_two_threads(scene: Scene) -> None:
    before = numba.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 2):
            numba.set_num_threads(threads)
            results.append(everything(scene))
    finally:
        numba.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_forward_only_gives_the_same_picture_and_keeps_nothing(scene: Scene) -> None:
    with_gradients = everything(scene)
    scene.means.requires_grad_()
    with torch.no_grad():
        image, alphas, _ = rasterize(*scene.arguments(), sh_degree=3, render_mode="RGB+ED")
    assert image.grad_fn is None and alphas.grad_fn is None
    assert torch.equal(image, with_gradients[0]) and torch.equal(alphas, with_gradients[1])


def test_only_what_asks_gets_a_gradient(scene: Scene) -> None:
    full = everything(scene)
    opacities = scene.opacities.clone().requires_grad_()
    image, alphas, _ = rasterize(*replace(scene, opacities=opacities).arguments(), sh_degree=3, render_mode="RGB+ED")
    (gradient,) = torch.autograd.grad(image.square().sum() + alphas.sum(), [opacities])
    assert torch.equal(gradient, full[2 + 3])


def test_gradients_of_two_cameras_add_up(scene: Scene) -> None:
    other = scene.viewmats.clone()
    other[:, 1, 3] -= 0.1
    both = replace(scene, viewmats=torch.cat([scene.viewmats, other]), Ks=scene.Ks.repeat(2, 1, 1))
    joint = everything(both)[2:]
    first, second = everything(scene)[2:], everything(replace(scene, viewmats=other))[2:]
    for a, b, c in zip(joint[:5], first[:5], second[:5], strict=True):
        assert torch.allclose(a, b + c, rtol=1e-4, atol=1e-5 * float(a.abs().max()))
    assert torch.allclose(joint[5], torch.cat([first[5], second[5]]), rtol=1e-4)


def test_projected_quantities_take_gradients(scene: Scene) -> None:
    tensors = scene.differentiable()
    _, _, meta = rasterize(*scene.arguments(), sh_degree=3)
    (gradient,) = torch.autograd.grad(meta["depths"][meta["radii"][..., 0] > 0].sum(), [tensors[0]])
    seen = (meta["radii"][0, :, 0] > 0).double()
    axis_of_sight = scene.viewmats[0, 2, :3].detach().double()
    assert torch.allclose(gradient.double(), seen[:, None] * axis_of_sight, atol=1e-6)


def test_strided_inputs_are_read_right(scene: Scene) -> None:
    turned = replace(scene, means=scene.means.T.contiguous().T, opacities=scene.opacities.repeat_interleave(2)[::2])
    image, _, _ = rasterize(*turned.arguments(), sh_degree=3)
    assert torch.equal(image, rasterize(*scene.arguments(), sh_degree=3)[0])


def test_depth_order_is_stable_and_knows_signs() -> None:
    generator = torch.Generator().manual_seed(0)
    depths = (torch.randint(-5, 6, (5000,), generator=generator) * 0.37).numpy()
    touched = torch.randint(0, 2, (5000,), generator=generator).int().numpy()
    order = order_by_depth(depths, 0, 5000, touched)
    expected = torch.sort(torch.from_numpy(depths), stable=True).indices
    assert order.tolist() == [i for i in expected.tolist() if touched[i]]
