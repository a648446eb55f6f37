"""The as-rigid-as-possible energy against answers known beforehand, and its rotations against an SVD's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ani3dhuman.refinement.rigidity import best_rotations, rigidity

TURN = torch.tensor(Rotation.from_rotvec([0, 0, 1.1]).as_matrix(), dtype=torch.float32)


def star(count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Edges from one vertex all around, not in a plane."""
    angles = torch.arange(count) * 2 * math.pi / count
    edges = torch.stack([angles.cos(), angles.sin(), 0.2 * (2 * angles).cos()], -1)
    return edges, torch.zeros(count, dtype=torch.long)


def test_rotation_costs_nothing_and_scaling_does():
    edges, sources = star()
    turned = edges @ TURN.T
    assert rigidity(edges, turned, sources, 1).item() == pytest.approx(0, abs=1e-10)
    # every edge 1.3 times as long: the strain 0.3 squared
    assert rigidity(edges, 1.3 * turned, sources, 1).item() == pytest.approx(0.09, rel=1e-4)
    assert rigidity(0.01 * edges, 0.013 * turned, sources, 1).item() == pytest.approx(0.09, rel=1e-4)


def test_each_vertex_has_a_rotation_of_its_own_and_none_mirrors():
    edges, sources = star()
    before, after = torch.cat([edges, edges]).numpy(), torch.cat([edges @ TURN.T, edges]).numpy()
    R = best_rotations(before, after, torch.cat([sources, sources + 1]).numpy(), 2)
    np.testing.assert_allclose(R, np.stack([TURN.numpy(), np.eye(3)]), atol=1e-5)
    mirrored = best_rotations(edges.numpy(), (edges * torch.tensor([1.0, 1, -1])).numpy(), sources.numpy(), 1)
    assert np.linalg.det(mirrored[0]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 0.05), (1, 1, 0), (1, 0.01, 0), (1, 0, 0)])
@pytest.mark.parametrize("noise", [0.05, 0.3, 3.0])
@pytest.mark.parametrize("angle", [0.0, 0.3, 3.1])
def test_no_rotation_explains_more_whatever_shape_the_neighbours_have(shape, noise, angle):
    count, degree = 200, 6
    rng = np.random.default_rng(0)
    turns = Rotation.from_rotvec(angle * np.array([0.6, 0, 0.8])).as_matrix()
    before = rng.normal(size=(count, degree, 3)) * shape
    spread = noise * np.abs(before).max(-1, keepdims=True)
    after = before @ turns.T + spread * rng.normal(size=before.shape)
    weights = 1 / (before**2).sum(-1)
    U, _, Vt = np.linalg.svd(np.einsum("ve,vei,vej->vij", weights, after, before))
    U[:, :, 2] *= np.linalg.det(U @ Vt)[:, None]

    sources = np.repeat(np.arange(count), degree)
    R = best_rotations(before.reshape(-1, 3), after.reshape(-1, 3), sources, count)

    def unexplained(rotations: np.ndarray) -> np.ndarray:
        return (weights * ((after - before @ rotations.transpose(0, 2, 1)) ** 2).sum(-1)).sum(1)

    squares = (weights * ((before**2).sum(-1) + (after**2).sum(-1))).sum(1)
    assert (unexplained(R) - unexplained(U @ Vt) < 5e-6 * squares).all()
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.broadcast_to(np.eye(3), R.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(R), 1, atol=1e-9)


def test_gradient_is_that_of_the_energy():
    edges, sources = star()
    generator = torch.Generator().manual_seed(0)
    after = edges @ TURN.T + 0.1 * torch.randn(edges.shape, generator=generator)
    way = torch.randn(edges.shape, generator=generator)
    given = after.clone().requires_grad_()
    (3 * rigidity(edges, given, sources, 1)).backward()
    ahead, back = (rigidity(edges, after + step * way, sources, 1).item() for step in (1e-3, -1e-3))
    assert (given.grad * way).sum().item() == pytest.approx(3 * (ahead - back) / 2e-3, rel=1e-3)


def test_vertices_without_edges_and_edges_without_length_do_no_harm():
    edges, sources = star()
    before = torch.cat([edges, torch.zeros(1, 3)])
    after = before.clone().requires_grad_()
    energy = rigidity(before, after, torch.cat([sources, torch.tensor([2])]), 4)
    energy.backward()
    assert energy.item() == pytest.approx(0, abs=1e-12)
    assert torch.isfinite(after.grad).all()
