"""Meshes whose error, motion, folds, stretch and depth are known beforehand."""

import numpy as np
import pytest
from patterns import sheet, sphere

from ani3dhuman.mesh.signed_distance import signed_distances
from ani3dhuman.metrics import geometry

BIND, FACES = sheet()
COUNT, FRAMES = len(BIND), 16
FREE = np.arange(COUNT) >= 10  # the first row is pinned
TIME = np.arange(FRAMES)[:, None, None]
RIGID = BIND + 0.01 * TIME * np.array([1.0, 2.0, 0.0])
SWING = 0.03 * np.sin(0.7 * TIME) * np.array([0.0, 0.0, 1.0]) * FREE[:, None]
TRUTH = RIGID + SWING


def test_equal_meshes_are_perfect():
    assert geometry.mean_error(geometry.node_errors(TRUTH, TRUTH), FREE) == 0
    assert geometry.acceleration_ratio(TRUTH, TRUTH, RIGID, FREE) == 1
    assert geometry.amplitude_ratio(TRUTH, TRUTH, RIGID, FREE) == 1


def test_node_error_by_visibility():
    moved = TRUTH.copy()
    visible = np.zeros((FRAMES, COUNT), bool)
    visible[:, 10:40] = True
    moved[:, 10:40, 0] += 0.02
    moved[:, 40:, 2] -= 0.05
    moved[:, :10, 2] += 9
    errors = geometry.node_errors(moved, TRUTH)
    assert geometry.mean_error(errors, visible & FREE) == pytest.approx(0.02)
    assert geometry.mean_error(errors, ~visible & FREE) == pytest.approx(0.05)
    assert geometry.mean_error(errors, FREE) == pytest.approx((30 * 0.02 + 80 * 0.05) / 110)
    assert np.isnan(geometry.mean_error(errors, np.zeros(COUNT, bool)))


def test_twice_the_motion_is_four_times_the_energy():
    doubled = RIGID + 2 * SWING
    assert geometry.acceleration_ratio(doubled, TRUTH, RIGID, FREE) == pytest.approx(4)
    assert geometry.amplitude_ratio(doubled, TRUTH, RIGID, FREE) == pytest.approx(2)
    assert geometry.acceleration_ratio(RIGID, TRUTH, RIGID, FREE) == 0
    for ratio in (geometry.acceleration_ratio, geometry.amplitude_ratio):
        assert np.isnan(ratio(TRUTH, RIGID, RIGID, FREE))


def test_acceleration_and_amplitude_by_hand():
    thrown = RIGID + 0.5 * 0.004 * TIME**2 * np.array([0, 0, 1.0])
    assert geometry.acceleration_energy(thrown, RIGID, FREE) == pytest.approx(0.004**2)
    flapping = RIGID + 0.1 + 0.02 * (-1.0) ** TIME * np.array([1.0, 0, 0])
    assert geometry.amplitude(flapping, RIGID, FREE) == pytest.approx(0.02)


def test_bend_angle_of_a_folded_hinge():
    hinge = np.array([[0, 1, 2, 3]])
    for angle in (-2.5, -0.4, 0.0, 1.0, 3.0):
        points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, -np.cos(angle), np.sin(angle)]])
        assert abs(geometry.bend_angles(points, hinge)[0]) == pytest.approx(abs(angle), abs=1e-12)
    up, down = (np.array([[0, 0, 0], [1, 0, 0], [0, 1, s], [0, -1, s]]) for s in (0.5, -0.5))
    assert geometry.bend_angles(up, hinge) == pytest.approx(-geometry.bend_angles(down, hinge))


def test_fold_energy_of_a_crease_by_hand():
    """Two right triangles with legs 1 about an edge of length sqrt 2, folded by a right angle: 3 x 2 / 1 x (pi/2)^2."""
    bind = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0]], float)
    middle, out = np.array([0.5, 0.5, 0]), np.array([0, 0, np.sqrt(0.5)])
    folded = bind.copy()
    folded[3] = middle + out
    faces = np.array([[2, 0, 1], [3, 1, 0]])
    everything = np.ones(4, bool)
    energy = geometry.fold_energy(np.stack([bind, folded]), faces, bind, everything)
    assert energy == pytest.approx(6 * (np.pi / 2) ** 2 / 2)
    assert geometry.fold_energy(folded[None], faces, folded, everything) == 0
    assert np.isnan(geometry.fold_energy(folded[None], faces, bind, np.arange(4) > 0))


def test_folds_do_not_hear_rigid_motion_or_stretch_and_grow_with_waves():
    def waves(height):
        return np.stack([BIND + height * np.sin(90 * BIND[:, :1]) * np.array([0, 0, 1.0])])

    everything = np.ones(COUNT, bool)
    turn = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0.0]])
    assert geometry.fold_energy(1.3 * BIND[None] @ turn.T + 5, FACES, BIND, everything) == pytest.approx(0, abs=1e-12)
    energies = [geometry.fold_energy(waves(h), FACES, BIND, everything) for h in (0.001, 0.002, 0.004)]
    assert energies[1] / energies[0] == pytest.approx(4, rel=0.05)
    assert energies[2] > energies[1]
    assert geometry.fold_ratio(waves(0.002), waves(0.001), FACES, BIND, everything) == energies[1] / energies[0]
    assert np.isnan(geometry.fold_ratio(waves(0.002), BIND[None], FACES, BIND, everything))


def test_stretch_of_a_scaled_mesh():
    everything = np.ones(COUNT, bool)
    assert np.isnan(geometry.edge_stretch(TRUTH, FACES, BIND, np.zeros(COUNT, bool)))
    assert geometry.edge_stretch(np.stack([1.07 * BIND] * 3), FACES, BIND, everything) == pytest.approx(1.07)
    torn = BIND.copy()
    torn[0] -= 5  # pinned, so no free edge is longer
    assert geometry.edge_stretch(torn[None], FACES, BIND, FREE) == pytest.approx(1)


def test_penetration_of_a_sphere_into_a_sphere():
    """Cloth is a sphere of 10 cm pushed 3 cm into a body of 20 cm: at most 3 cm deep, elsewhere |x| - 20 cm."""
    body, body_faces = sphere(0.2)
    ball, _ = sphere(0.1, 24, 40)
    centres = np.array([[0, 0, 0.27], [0.4, 0, 0.0]])  # the second frame hangs free
    both = np.concatenate([body, ball])
    vertices = np.stack([both, both])
    vertices[:, len(body) :] += centres[:, None]
    bodies = np.stack([both, both])
    cloth = np.arange(len(both)) >= len(body)
    depth = np.maximum(0.2 - np.linalg.norm(vertices[:, cloth], axis=-1), 0)
    assert depth.max() == pytest.approx(0.03, abs=1e-9)
    deepest, share = geometry.penetration(vertices, cloth, bodies, body_faces, percentile=100)
    assert deepest == pytest.approx(30, abs=0.3)
    p99, share = geometry.penetration(vertices, cloth, bodies, body_faces)
    assert p99 == pytest.approx(1000 * np.percentile(depth, 99), abs=0.4)
    assert share == pytest.approx((depth > 0.001).mean(), abs=0.01)
    assert np.isnan(geometry.penetration(vertices, cloth & ~cloth, bodies, body_faces)[0])
    assert geometry.penetration(vertices[1:], cloth, bodies[1:], body_faces) == (0, 0)


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
