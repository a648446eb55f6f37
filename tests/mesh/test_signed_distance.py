"""Signed distances to a body: exact for a cube, within sampling for a wave, no inside beside an open rim."""

import numpy as np
import pytest
from patterns import sheet

from ani3dhuman.mesh.signed_distance import signed_distances


def nearest_by_sampling(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Distance to a dense sampling of the triangles: at most a little too large."""
    steps = np.linspace(0, 1, 13)
    weights = np.array([(1 - u - v, u, v) for u in steps for v in steps if u + v <= 1 + 1e-9])
    samples = np.einsum("wk,fkc->fwc", weights, corners).reshape(-1, 3)
    return np.array([np.linalg.norm(samples - p, axis=1).min() for p in points])


def test_distances_are_exact_on_a_moving_body():
    """A cube that grows and turns: distance and side of random points by the cube's own formula."""
    cube = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    rng = np.random.default_rng(3)
    points = rng.uniform(-2, 2, (3, 300, 3))
    points[:, :20] *= 0.01  # near the middle
    expected, bodies, seen = [], [], []
    for t, p in enumerate(points):
        size, angle = 1 + 0.2 * t, 0.5 * t
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        beyond = np.abs(p) - size
        outside = np.linalg.norm(np.maximum(beyond, 0), axis=1)
        expected.append(outside + np.minimum(beyond.max(1), 0))
        bodies.append(size * cube @ turn.T)
        seen.append(p @ turn.T)
    assert signed_distances(np.array(seen), np.array(bodies), faces) == pytest.approx(np.array(expected), abs=1e-12)


def test_distances_agree_with_sampling_and_an_open_rim_has_no_inside():
    vertices, faces = sheet(6, 5, 0.1)
    vertices[:, 2] = 0.1 * np.sin(9 * vertices[:, 0])
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.3, 0.8, (60, 3))
    distance = signed_distances(points[None], vertices[None], faces)[0]
    sampled = nearest_by_sampling(points, vertices[faces])
    assert (np.abs(distance) <= sampled + 1e-12).all()
    assert np.abs(distance) == pytest.approx(sampled, abs=5e-3)
    above, below, beside = [0.2, 0.25, 0.15], [0.2, 0.25, 0.05], [-0.3, 0.25, -0.1]
    signs = np.sign(signed_distances(np.array([[above, below, beside]]), vertices[None], faces)[0])
    assert list(signs) == [1, -1, 1]
