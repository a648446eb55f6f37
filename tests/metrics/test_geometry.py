"""Meshes whose error, motion, folds, stretch and depth are known beforehand."""

import numpy as np
import pytest
from patterns import sheet, sphere

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
