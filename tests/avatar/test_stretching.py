"""Gaussians stretch and shear with their triangles: as deformation gradients say, on any device, in the fit too."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from synthetic import make_shot

from ani3dhuman.avatar.binding import SurfaceBinding
from ani3dhuman.avatar.fitting.surfels import Placed, Posed, Surfels
from ani3dhuman.avatar.from_mesh import avatar_from_shot
from ani3dhuman.avatar.posing import PosedAvatar
from ani3dhuman.avatar.stretching import LEAST, MOST, shapes_of

FACES = torch.tensor([[0, 1, 2], [2, 1, 3]])
REST = torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0.02, 0.08, 0], [0.11, 0.09, 0]])


def bound(count=40, seed=0):
    """A binding of Gaussians, turned at random about the normals, and their scales."""
    rng = np.random.default_rng(seed)
    half = torch.from_numpy(rng.uniform(-3, 3, count).astype(np.float32))
    none = torch.zeros(count)
    weights = torch.from_numpy(rng.dirichlet(np.ones(3), count).astype(np.float32))
    ids = torch.from_numpy(rng.integers(0, 2, count))
    quats = torch.stack([half.cos(), none, none, half.sin()], 1)
    scales = rng.uniform(0.5, 2, (count, 3)).astype(np.float32) * np.float32([0.01, 0.01, 0.001])
    return SurfaceBinding(FACES, ids, weights, quats, None, shapes_of(REST, FACES)), torch.from_numpy(scales)


def covariances(quats, scales):
    axes = Rotation.from_quat(np.asarray(quats, float)[:, [1, 2, 3, 0]]).as_matrix() * np.asarray(scales)[:, None]
    return axes @ axes.transpose(0, 2, 1)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_covariances_follow_the_deformation_gradient(kind):
    binding, scales = bound()
    gradient = np.array([[1.3, 0.25, 0], [-0.1, 0.8, 0], [0, 0, 1]])
    turn = Rotation.from_rotvec([0.4, -1.0, 0.7]).as_matrix()
    deformed = torch.from_numpy(REST.numpy() @ gradient.T @ turn.T).to(kind)
    binding = replace(
        binding,
        barycentrics=binding.barycentrics.to(kind),
        local_quats=binding.local_quats.to(kind),
        rest_shapes=binding.rest_shapes.to(kind),
    )
    at_rest = covariances(binding.pose(REST.to(kind))[1], scales)
    _, quats = binding.pose(deformed)
    found = covariances(*binding.stretch(deformed, quats, scales.to(kind)))
    whole = turn @ gradient
    np.testing.assert_allclose(found, whole @ at_rest @ whole.T, atol=2e-5 * at_rest.max())


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_those_that_lean_or_stand_follow_too(kind):
    """Captured Gaussians lie at any angle to their triangle; across it nothing is stretched."""
    binding, scales = bound(60, 3)
    turns = Rotation.random(60, rng=np.random.default_rng(1)).as_quat()[:, [3, 0, 1, 2]]
    binding = replace(
        binding,
        barycentrics=binding.barycentrics.to(kind),
        local_quats=torch.from_numpy(turns).to(kind),
        rest_shapes=binding.rest_shapes.to(kind),
    )
    gradient = np.array([[1.25, 0.2, 0], [-0.1, 0.85, 0], [0, 0, 1]])
    turn = Rotation.from_rotvec([0.4, -1.0, 0.7]).as_matrix()
    deformed = torch.from_numpy(REST.numpy() @ gradient.T @ turn.T).to(kind)
    at_rest = covariances(binding.pose(REST.to(kind))[1], scales)
    _, quats = binding.pose(deformed)
    turned, sizes = binding.stretch(deformed, quats, scales.to(kind))
    whole = turn @ gradient
    wanted = whole @ at_rest @ whole.T
    bounded = ((sizes / scales).min(1)[0] > 1.01 * LEAST) & ((sizes / scales).max(1)[0] < 0.99 * MOST)
    assert bounded.float().mean() > 0.6  # a thin one that leans may become many times as thick, and is held
    found = covariances(turned, sizes)
    np.testing.assert_allclose(found[bounded], wanted[bounded], atol=3e-5 * at_rest.max())
    assert (sizes / scales).min() >= 0.999 * LEAST and (sizes / scales).max() <= 1.001 * MOST


def test_what_keeps_its_shape_stays_to_the_bit():
    binding, scales = bound()
    turned = torch.from_numpy((REST.numpy() @ Rotation.from_rotvec([1.0, 2, 3]).as_matrix().T).astype(np.float32))
    _, quats = binding.pose(turned)
    again, sizes = binding.stretch(turned, quats, scales)
    assert torch.equal(again, quats) and torch.equal(sizes, scales)


def test_flat_and_torn_triangles_stay_within_bounds():
    binding, scales = bound()
    for points in (REST * torch.tensor([9.0, 0.01, 1]), REST * 0, REST[[0, 0, 0, 3]]):
        _, quats = binding.pose(points)
        turned, sizes = binding.stretch(points, quats, scales)
        assert torch.isfinite(turned).all() and torch.isfinite(sizes).all()
        share = sizes / scales
        assert share.min() > 0.999 * LEAST and share.max() < 1.001 * MOST and torch.equal(sizes[:, 2], scales[:, 2])


def test_cloth_that_is_pulled_stays_closed_and_bones_sizes_count_once():
    shot = make_shot(1)
    avatar, vertices = avatar_from_shot(shot, 1500), shot["vertices"][None]
    plain = PosedAvatar(avatar, vertices, None, shot.cameras).frame(0)
    np.testing.assert_array_equal(plain.scales.numpy(), avatar.scales)
    wide = PosedAvatar(avatar, vertices * np.float32([1.5, 1.5, 1.5]), None, shot.cameras)
    grown = wide.frame(0).scales.numpy() / avatar.scales
    np.testing.assert_allclose(np.median(grown[:, :2]), 1.5, rtol=1e-4)
    np.testing.assert_allclose(grown[:, 2], 1, rtol=1e-5)
    sized = replace(wide, sizes=np.full(vertices.shape[:2], 1.5, np.float32)).frame(0).scales.numpy() / avatar.scales
    np.testing.assert_allclose(sized, 1.5, rtol=1e-3)
    shapes = avatar.binding.rest_shapes
    assert shapes is not None
    nothing = replace(avatar.binding, rest_shapes=torch.zeros_like(shapes))  # as of strands
    of_strands = replace(
        wide, avatar=replace(avatar, binding=nothing), sizes=np.full(vertices.shape[:2], 1.5, np.float32)
    )
    np.testing.assert_allclose(of_strands.frame(0).scales.numpy() / avatar.scales, 1.5, rtol=1e-5)


@pytest.mark.parametrize("eye", [None, np.array([0.3, -2, 1], np.float32)], ids=["where it is", "lifted"])
def test_the_fits_gradient_is_that_of_what_it_places(eye):
    shot = make_shot(1)
    avatar = avatar_from_shot(shot, 400)
    avatar = replace(avatar, lifts=np.linspace(0, 0.5, avatar.count, dtype=np.float32))
    rng = np.random.default_rng(3)
    surfels = Surfels(avatar, shot["vertices"])
    surfels.values[:, 2:5] = rng.normal(0, 0.4, (avatar.count, 3))
    deformed = shot["vertices"] @ np.array([[1.2, 0.3, 0], [0, 0.9, 0.1], [0.1, 0, 1.1]], np.float32)
    posed, ids = Posed.of(deformed, avatar.binding), np.arange(avatar.count)
    weights = rng.normal(size=(avatar.count, 3, 3))

    def loss(quats, scales):
        w, x, y, z = (quats / quats.norm(dim=1, keepdim=True)).unbind(1)
        rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
        rows += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
        rows += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
        axes = torch.stack(rows, 1).view(-1, 3, 3) * scales[:, None]
        return (torch.from_numpy(weights) * (axes @ axes.transpose(1, 2))).sum((1, 2)) * 1e4

    def placed():
        found, _ = surfels.placed(ids, posed, eye)
        return torch.from_numpy(found.quats.astype(float)), torch.from_numpy(found.scales.astype(float))

    drawn = [part.requires_grad_() for part in placed()]
    on_quats, on_scales = (part.numpy() for part in torch.autograd.grad(loss(*drawn).sum(), drawn))
    before, none = surfels.values.copy(), np.zeros((avatar.count, 3), np.float32)
    small = 1e-2
    numeric = []
    for column in range(2, 5):
        ends = []
        for sign in (1, -1):
            surfels.values[:] = before
            surfels.values[:, column] += sign * small
            ends.append(loss(*placed()))
        numeric.append(((ends[0] - ends[1]) / (2 * small)).numpy())
    surfels.values[:] = before
    gradient = Placed(none, on_quats.astype(np.float32), on_scales.astype(np.float32), none[:, 0])
    surfels.step(ids, posed, surfels.placed(ids, posed, eye)[1], gradient, none, np.zeros(avatar.count, bool), 0.0)
    found = surfels.descent.means[:, 2:5] / 0.1  # the first mean is a tenth of the gradient
    pull = surfels.descent.pull[2:5] * (before - surfels.descent.first)[:, 2:5]
    np.testing.assert_allclose(found - pull, np.stack(numeric, 1), atol=2e-3 * np.abs(numeric).max())


def test_a_fit_goes_on_where_a_pose_makes_triangles_collapse():
    shot = make_shot(1)
    avatar = avatar_from_shot(shot, 400)
    surfels = Surfels(avatar, shot["vertices"])
    ids, posed = np.arange(avatar.count), Posed.of(shot["vertices"] * np.float32([1, 1, 0]), avatar.binding)
    drawn, left = surfels.placed(ids, posed)
    ones = [np.ones_like(part) for part in (drawn.means, drawn.quats, drawn.scales, drawn.opacities)]
    surfels.step(ids, posed, left, Placed(*ones), np.ones_like(drawn.means), np.ones(avatar.count, bool), 0.1)
    assert np.isfinite(surfels.values).all() and (surfels.placed(ids, posed)[0].scales > 0).all()
