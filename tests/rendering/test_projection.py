"""Projection and spherical harmonics against gsplat's own torch code: values and gradients."""

from __future__ import annotations

import pytest
import torch
from gaussian_scenes import Scene, random_scene
from gsplat.cuda._torch_impl import _fully_fused_projection, _quat_scale_to_covar_preci, _spherical_harmonics
from torch import Tensor

from ani3dhuman.rendering.cpu.autograd import Project, Shade
from ani3dhuman.rendering.reference import evaluate_harmonics, project
from ani3dhuman.rendering.view import View

INPUTS = ("means", "quats", "scales", "viewmats")


def projected_by_gsplat(scene: Scene, ortho: bool) -> tuple[Tensor, ...]:
    covars, _ = _quat_scale_to_covar_preci(scene.quats, scene.scales, compute_preci=False)
    return _fully_fused_projection(
        scene.means,
        covars,
        scene.viewmats,
        scene.Ks,
        scene.width,
        scene.height,
        calc_compensations=True,
        camera_model="ortho" if ortho else "pinhole",
    )


def gradients(outputs: list[Tensor], seen: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(3)
    loss = torch.zeros((), dtype=torch.float64)
    for output in outputs:
        # each output alike in weight, whatever its unit; only what the camera sees, since the rest is undefined
        weights = torch.randn(output.shape, generator=generator, dtype=torch.float64) / output.detach().abs().max()
        loss = loss + (output.double() * weights)[:, seen].sum()
    return torch.autograd.grad(loss, inputs)


@pytest.mark.parametrize("ortho", [False, True], ids=["pinhole", "ortho"])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_projection_agrees_with_gsplat(backend: str, ortho: bool) -> None:
    plain = random_scene(2000, width=75, height=50, size=0.04, ortho=ortho)
    plain.opacities.fill_(1.0)  # gsplat's torch code does not let the opacity shrink radii
    exact = plain.to(torch.float64)
    exact_inputs = [getattr(exact, name).requires_grad_() for name in INPUTS]
    radii, *expected = projected_by_gsplat(exact, ortho)
    seen = (radii[0] > 0).all(-1)
    assert 500 < seen.sum() < 2000, "some inside the picture, some outside"

    scene = plain if backend == "cpu" else plain.to(torch.float64)
    inputs = [getattr(scene, name).requires_grad_() for name in INPUTS]
    view = View(scene.width, scene.height, camera_model="ortho" if ortho else "pinhole", rasterize_mode="antialiased")
    if backend == "cpu":
        means2d, covs2d, depths, compensations, plain_conics, own_radii, _ = Project.apply(
            scene.means, scene.quats, scene.scales, scene.opacities, scene.viewmats, scene.Ks, view
        )
        # the kernel differentiates covariances; conics are for looking at
        xx, xy, yy = covs2d.unbind(-1)
        conics = torch.stack([yy, -xy, xx], -1) / (xx * yy - xy * xy)[..., None]
        assert torch.allclose(conics[:, seen].float(), plain_conics[:, seen], rtol=1e-5, atol=1e-6)
    else:
        meta = project(scene.means, scene.quats, scene.scales, scene.opacities, scene.viewmats[0], scene.Ks[0], view)
        means2d, conics, depths, compensations, own_radii = (
            meta[name][None] for name in ("means2d", "conics", "depths", "opacities", "radii")
        )
    outputs = [means2d, depths, conics, compensations]
    # 255 e^(-r^2/2) < 1 ends a Gaussian a hair before gsplat's 3.33, and dimming by antialiasing brings it in further
    assert ((own_radii <= radii) & (own_radii >= (0.5 * radii).floor()))[:, seen].double().mean() > 0.9
    assert ((own_radii[0] > 0).all(-1) <= seen).all()
    tolerance = 2e-5 if backend == "cpu" else 1e-12
    for own, theirs in zip(outputs, expected, strict=True):
        own, theirs = own[:, seen].double(), theirs[:, seen]
        assert (own - theirs).abs().max() <= tolerance * theirs.abs().max()
    assert (means2d[:, seen].double() - expected[0][:, seen]).abs().max() <= 1e-4, "pixels"
    drawn = (own_radii[0] > 0).all(-1)
    expected_gradients = gradients(expected, drawn, exact_inputs)
    for name, own, theirs in zip(INPUTS, gradients(outputs, drawn, inputs), expected_gradients, strict=True):
        difference = (own.double() - theirs)[..., :3, :] if name == "viewmats" else own.double() - theirs
        assert difference.norm() <= 10 * tolerance * theirs.norm(), name


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_harmonics_agree_with_gsplat(degree: int) -> None:
    scene = random_scene(500, width=75, height=50, size=0.04, sh_degree=3)
    scene.colors.mul_(3)
    centres = torch.tensor([[0.3, -0.2, 0.1], [-2.0, 1.0, 0.5]])
    radii = torch.ones(2, 500, 2, dtype=torch.int32)
    weights = torch.randn(2, 500, 3, generator=torch.Generator().manual_seed(1))

    inputs = [t.clone().requires_grad_() for t in (scene.means, centres, scene.colors)]
    own = Shade.apply(inputs[0], inputs[1], inputs[2], radii, degree)
    own_gradients = torch.autograd.grad((own * weights).sum(), inputs)

    exact = [t.double().requires_grad_() for t in (scene.means, centres, scene.colors)]
    directions = exact[0][None] - exact[1][:, None]
    coefficients = exact[2][None].expand(2, -1, -1, -1)
    theirs = torch.clamp_min(_spherical_harmonics(degree, directions, coefficients) + 0.5, 0)
    their_gradients = torch.autograd.grad((theirs * weights).sum(), exact, allow_unused=True)

    assert (own - theirs).abs().max() < 1e-6
    assert (theirs == 0).any(), "clamped colours must occur"
    for mine, their in zip(own_gradients, their_gradients, strict=True):
        if their is None:  # degree 0 does not look at the direction
            assert mine.abs().max() == 0
        else:
            assert (mine - their).norm() <= 1e-5 * their.norm()
    reference = torch.stack([evaluate_harmonics(degree, d, exact[2]) for d in directions])
    assert (torch.clamp_min(reference + 0.5, 0) - theirs).abs().max() < 1e-12
