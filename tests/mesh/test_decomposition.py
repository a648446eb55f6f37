"""Meshes that bones moved are taken apart into such bones."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ani3dhuman.mesh.decomposition import decompose


def bent(frames=8, count=90):
    """A strip that two bones bend, with weights that go over smoothly."""
    rng = np.random.default_rng(0)
    rest = np.stack([np.linspace(0, 1, count), *rng.uniform(-0.1, 0.1, (2, count))], 1)
    share = np.clip((rest[:, 0] - 0.4) / 0.2, 0, 1)[:, None]
    points = []
    for t in range(frames):
        first = Rotation.from_euler("z", 0.1 * t).as_matrix()
        second = first @ Rotation.from_euler("y", 0.15 * t).as_matrix()
        pivot = np.array([0.5, 0, 0])
        points.append((1 - share) * (rest @ first.T) + share * ((rest - pivot) @ second.T + first @ pivot))
    return rest, np.array(points)


def test_two_bones_are_found_in_what_two_bones_moved():
    rest, points = bent()
    found = decompose(rest, points, 2)
    assert found.rms < 1e-4 and found.worst < 1e-3
    np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-9)
    assert (found.weights >= 0).all()
    np.testing.assert_allclose(np.linalg.det(found.transforms[..., :3, :3]), 1, atol=1e-9)


def test_more_bones_follow_waves_more_closely_and_the_error_is_what_it_is():
    x, y = np.meshgrid(np.linspace(0, 1, 12), np.linspace(0, 1, 12))
    rest = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)
    points = np.array([rest + 0.05 * np.sin(6 * rest[:, :1] + 0.7 * t) * [0, 0, 1] for t in range(10)])
    few, many = (decompose(rest, points, bones) for bones in (2, 10))
    assert many.rms < 0.3 * few.rms
    moved = np.zeros_like(points)
    for k in range(4):
        own = many.transforms[:, many.indices[:, k]]
        moved += many.weights[None, :, k, None] * (np.einsum("tvij,vj->tvi", own[..., :3, :3], rest) + own[..., :3, 3])
    away = np.linalg.norm(moved - points, axis=2)
    np.testing.assert_allclose((many.rms, many.worst), (np.sqrt(np.mean(away**2)), away.max()), rtol=1e-9)


def test_what_stands_still_needs_one_bone():
    rest = np.random.default_rng(0).normal(size=(40, 3))
    found = decompose(rest, np.repeat(rest[None], 3, 0), 5)
    assert found.transforms.shape[1] == 1 and found.worst < 1e-9
