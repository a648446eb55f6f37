"""What every backend must do, checked on every backend this machine has."""

from __future__ import annotations

import inspect
import math
from dataclasses import fields, replace
from typing import Any

import gsplat
import pytest
import torch
from gaussian_scenes import NAMES, Scene, random_scene, single_gaussian
from torch import Tensor

from ani3dhuman.rendering import rasterize
from ani3dhuman.rendering.cuda import rasterize_cuda
from ani3dhuman.rendering.reference import rasterize_reference
from ani3dhuman.rendering.view import Tensors, View

CUDA = torch.cuda.is_available()
FAST_BACKENDS = ["cpu", "cuda"] if CUDA else ["cpu"]


@pytest.fixture(params=[*FAST_BACKENDS, "reference"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.skipif(not CUDA, reason="no CUDA device here: none of this file's checks ran on gsplat's CUDA backend")
def test_tensors_on_a_gpu_are_drawn_there() -> None:
    image, _, _ = rasterize(*single_gaussian().to("cuda").arguments(), **single_gaussian().to("cuda").size)
    assert image.is_cuda


@pytest.mark.parametrize(
    "view",
    [
        View(33, 26, near_plane=1.0, far_plane=3.5, radius_clip=2.0, eps2d=0.1, render_mode="RGB+ED"),
        View(33, 26, camera_model="ortho", rasterize_mode="antialiased", render_mode="D"),
        View(33, 26, sh_degree=1),
    ],
    ids=["expected-depth", "ortho-antialiased", "harmonics"],
)
def test_gsplat_is_handed_everything_under_its_names(monkeypatch: pytest.MonkeyPatch, view: View) -> None:
    """gsplat itself draws on CUDA only; the reference stands in for it, behind gsplat's own signature."""
    takes = inspect.signature(gsplat.rasterization)

    def stand_in(*given: Any, **named: Any) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        arguments = takes.bind(*given, **named).arguments  # fails for a name that gsplat does not know
        assert arguments.pop("packed") is False, "meta then has the shapes of the other backends"
        options = View(**{option.name: arguments.pop(option.name) for option in fields(View)})
        return rasterize_reference(Tensors(**arguments), options)

    monkeypatch.setattr(gsplat, "rasterization", stand_in)
    scene = random_scene(40, width=33, height=26, size=0.1, sh_degree=view.sh_degree, ortho=view.ortho)
    background = torch.tensor([[0.1, 0.2, 0.3]]).expand(len(scene.viewmats), 3) if view.has_colors else None
    tensors = Tensors(*scene.arguments(), background)
    expected = rasterize_reference(tensors, view)
    assert expected[1].max() > 0.1
    for drawn, wanted in zip(rasterize_cuda(tensors, view)[:2], expected[:2], strict=True):
        assert torch.equal(drawn, wanted)


def draw(scene: Scene, backend: str, **options: Any) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    device = "cuda" if backend == "cuda" else "cpu"
    options = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    image, alphas, meta = rasterize(*scene.to(device).arguments(), **scene.to(device).size, backend=backend, **options)
    return image.cpu(), alphas.cpu(), {k: v.cpu() for k, v in meta.items() if isinstance(v, torch.Tensor)}


def test_one_gaussian_is_the_formula(backend: str) -> None:
    image, alphas, meta = draw(single_gaussian(), backend)
    assert image.shape == (1, 26, 33, 3) and alphas.shape == (1, 26, 33, 1)
    variance = (60 * 0.1 / 2) ** 2 + 0.3
    for x, y in ((16, 12), (19, 12), (16, 9), (13, 15)):
        expected = 0.8 * math.exp(-((x - 16) ** 2 + (y - 12) ** 2) / (2 * variance))
        assert alphas[0, y, x, 0] == pytest.approx(expected, abs=1e-5)
        assert image[0, y, x].tolist() == pytest.approx([expected, 0.5 * expected, 0.25 * expected], abs=1e-5)
    assert meta["means2d"].shape == (1, 1, 2) and meta["conics"].shape == (1, 1, 3)
    assert meta["means2d"][0, 0].tolist() == pytest.approx([16.5, 12.5])
    assert meta["conics"][0, 0].tolist() == pytest.approx([1 / variance, 0, 1 / variance], abs=1e-6)
    assert meta["depths"].tolist() == [[2.0]]
    extent = math.sqrt(2 * math.log(0.8 * 255)) * math.sqrt(variance)
    assert meta["radii"].tolist() == [[[math.ceil(extent)] * 2]]


def test_x_is_right_and_y_is_down(backend: str) -> None:
    _, alphas, _ = draw(single_gaussian(means=torch.tensor([[0.2, 0.1, 2.0]])), backend)
    peak = int(alphas.argmax())
    assert (peak % 33, peak // 33) == (16 + 6, 12 + 3)


def test_quaternions_are_wxyz_and_need_not_be_unit(backend: str) -> None:
    half = math.radians(45) / 2  # +45 degrees about the axis of sight: from x (right) towards y (down)
    quats = 3 * torch.tensor([[math.cos(half), 0, 0, math.sin(half)]])
    _, alphas, _ = draw(single_gaussian(quats=quats, scales=torch.tensor([[0.15, 0.02, 0.02]])), backend)
    assert alphas[0, 15, 19, 0] > 0.3 and alphas[0, 9, 19, 0] < 0.05


def test_backgrounds_lie_behind_colours_only(backend: str) -> None:
    plain, alphas, _ = draw(single_gaussian(), backend)
    background = torch.tensor([[0.1, 0.2, 0.3]])
    image, _, _ = draw(single_gaussian(), backend, backgrounds=background, render_mode="RGB+D")
    assert torch.allclose(image[..., :3], plain + (1 - alphas) * background, atol=1e-6)
    assert torch.allclose(image[..., 3:], 2 * alphas, atol=1e-5)


def test_depth_modes(backend: str) -> None:
    _, alphas, _ = draw(single_gaussian(), backend)
    seen = alphas > 0
    accumulated, _, _ = draw(single_gaussian(), backend, render_mode="D")
    expected, _, _ = draw(single_gaussian(), backend, render_mode="ED")
    assert accumulated.shape == expected.shape == (1, 26, 33, 1)
    assert torch.allclose(accumulated, 2 * alphas, atol=1e-5)
    assert torch.allclose(expected[seen], torch.tensor(2.0), atol=1e-4) and not expected[~seen].any()


def test_nearer_covers_farther_whatever_the_order(backend: str) -> None:
    two = single_gaussian(
        means=torch.tensor([[0.0, 0, 3], [0.0, 0, 2]]),
        quats=torch.tensor([[1.0, 0, 0, 0]] * 2),
        scales=torch.full((2, 3), 0.2),
        opacities=torch.tensor([0.9, 0.6]),
        colors=torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]),
    )
    image, alphas, _ = draw(two, backend)
    assert image[0, 12, 16].tolist() == pytest.approx([0.4 * 0.9, 0.6, 0], abs=1e-5)
    assert alphas[0, 12, 16, 0] == pytest.approx(1 - 0.4 * 0.1, abs=1e-5)


def test_equal_depths_are_drawn_in_index_order(backend: str) -> None:
    many = single_gaussian(
        means=torch.tensor([[0.0, 0, 2]] * 20),
        quats=torch.tensor([[1.0, 0, 0, 0]] * 20),
        scales=torch.full((20, 3), 0.1),
        opacities=torch.full((20,), 0.3),
        colors=torch.eye(20),
    )
    image, _, _ = draw(many, backend)
    assert image[0, 12, 16].tolist() == pytest.approx([0.3 * 0.7**k for k in range(20)], abs=1e-5)


def test_an_opaque_gaussian_ends_the_pixel(backend: str) -> None:
    three = single_gaussian(
        means=torch.tensor([[0.0, 0, 2], [0.0, 0, 2.5], [0.0, 0, 3]]),
        quats=torch.tensor([[1.0, 0, 0, 0]] * 3),
        scales=torch.full((3, 3), 0.2),
        opacities=torch.ones(3),
        colors=torch.eye(3),
    )
    image, _, _ = draw(three, backend)
    # alpha stops at 0.999; the second would leave 1e-6, less than 1e-4, so it is not drawn
    assert image[0, 12, 16].tolist() == pytest.approx([0.999, 0, 0], abs=1e-6)


def test_a_gap_in_a_wall_shows_what_is_behind(backend: str) -> None:
    x = torch.tensor([0.0, 1.0] * 50 + [4.0])  # a hundred specks hide the left of a row of five pixels
    z = torch.cat([2 + 0.01 * torch.arange(100), torch.tensor([5.0])])
    row = single_gaussian(
        means=torch.stack([(x - 2) * z / 60, torch.zeros(101), z], -1),
        quats=torch.tensor([[1.0, 0, 0, 0]] * 101),
        scales=torch.full((101, 3), 1e-4),
        opacities=torch.full((101,), 0.9),
        colors=torch.cat([torch.zeros(100, 3), torch.ones(1, 3)]),
        Ks=torch.tensor([[[60.0, 0, 2.5], [0, 60.0, 0.5], [0, 0, 1]]]),
        width=5,
        height=1,
    )
    image, _, _ = draw(row, backend)
    assert image[0, 0, 4].tolist() == pytest.approx([0.9] * 3, abs=1e-4)
    assert image[0, 0, :2].max() < 1e-3


@pytest.mark.parametrize("z", [-2.0, 0.005, 0.0])
def test_nothing_behind_or_too_near_is_drawn(backend: str, z: float) -> None:
    image, alphas, meta = draw(single_gaussian(means=torch.tensor([[0.0, 0, z]])), backend)
    assert not image.any() and not alphas.any() and not meta["radii"].any()


def test_radius_clip(backend: str) -> None:
    _, _, meta = draw(single_gaussian(), backend)
    radius = float(meta["radii"].max())
    _, kept, _ = draw(single_gaussian(), backend, radius_clip=radius - 1)
    _, dropped, _ = draw(single_gaussian(), backend, radius_clip=radius)
    assert kept.any() and not dropped.any()


def test_many_channels_in_one_pass(backend: str) -> None:
    colors = torch.linspace(0, 1, 32)[None]
    image, alphas, _ = draw(single_gaussian(colors=colors), backend, render_mode="RGB+D")
    assert torch.allclose(image[..., :32], alphas * colors[0], atol=1e-6)
    assert torch.allclose(image[..., 32:], 2 * alphas, atol=1e-5)


def test_far_plane(backend: str) -> None:
    _, alphas, _ = draw(single_gaussian(), backend, far_plane=1.9)
    assert not alphas.any()


def test_an_orthographic_camera_ignores_distance(backend: str) -> None:
    scene = single_gaussian(Ks=torch.tensor([[[30.0, 0, 16.5], [0, 30.0, 12.5], [0, 0, 1]]]))
    near, _, _ = draw(scene, backend, camera_model="ortho")
    far, _, _ = draw(replace(scene, means=torch.tensor([[0.0, 0, 9.0]])), backend, camera_model="ortho")
    assert near.max() > 0.7 and torch.equal(near, far)


def test_antialiasing_dims_what_eps2d_widens(backend: str) -> None:
    small = single_gaussian(scales=torch.full((1, 3), 0.01))
    _, alphas, _ = draw(small, backend, rasterize_mode="antialiased")
    variance = (60 * 0.01 / 2) ** 2
    assert alphas[0, 12, 16, 0] == pytest.approx(0.8 * variance / (variance + 0.3), abs=1e-5)


def test_no_gaussians_is_the_background(backend: str) -> None:
    empty = single_gaussian(
        means=torch.zeros(0, 3),
        quats=torch.zeros(0, 4),
        scales=torch.zeros(0, 3),
        opacities=torch.zeros(0),
        colors=torch.zeros(0, 3),
    )
    image, alphas, meta = draw(empty, backend, backgrounds=torch.tensor([[0.1, 0.2, 0.3]]))
    assert not alphas.any() and torch.allclose(image, torch.tensor([0.1, 0.2, 0.3]).expand_as(image))
    assert meta["means2d"].shape == (1, 0, 2)


def test_cameras_are_independent(backend: str) -> None:
    scene = random_scene(200, width=45, height=30, size=0.06)
    other = scene.viewmats.clone()
    other[:, 0, 3] += 0.2
    both = replace(
        scene,
        viewmats=torch.cat([scene.viewmats, other]),
        Ks=scene.Ks.repeat(2, 1, 1),
        colors=torch.stack([scene.colors, 1 - scene.colors]),
    )
    image, _, meta = draw(both, backend, render_mode="RGB+ED")
    first, _, _ = draw(scene, backend, render_mode="RGB+ED")
    second, _, _ = draw(replace(scene, viewmats=other, colors=1 - scene.colors), backend, render_mode="RGB+ED")
    assert meta["depths"].shape == (2, 200)
    assert torch.equal(meta["visible_counts"], (meta["radii"] > 0).all(-1).sum(0).int())
    assert set(meta["visible_counts"].tolist()) == {0, 1, 2}
    assert torch.allclose(image, torch.cat([first, second]), atol=1e-6)


@pytest.mark.parametrize("backend", FAST_BACKENDS)
def test_gradients_agree_with_the_reference(backend: str) -> None:
    scene = random_scene(200, width=45, height=30, size=0.06, sh_degree=3)
    target = torch.rand(1, 30, 45, 4, generator=torch.Generator().manual_seed(0))

    def gradients(own: Scene, name: str) -> list[Tensor]:
        tensors = own.differentiable()
        image, _, _ = rasterize(*own.arguments(), **own.size, sh_degree=3, render_mode="RGB+D", backend=name)
        loss = (image - target.to(image)).square().sum()
        return [g.double().cpu() for g in torch.autograd.grad(loss, tensors)]

    found = gradients(scene.to("cuda" if backend == "cuda" else "cpu"), backend)
    for name, own, exact in zip(NAMES, found, gradients(scene.to(torch.float64), "reference"), strict=True):
        assert (own - exact).norm() <= 2e-3 * exact.norm(), name
