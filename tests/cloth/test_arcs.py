"""Between two frames limbs go on arcs."""

from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation
from synthetic import tube

from ani3dhuman.cloth.arcs import Arc, stops
from ani3dhuman.cloth.kernels import Pose
from ani3dhuman.mesh.kernels import point_normals

HIP = np.array([0.1, 0.0, 1.0])


def leg():
    return tube(np.full(12, 0.06), np.linspace(1.0, 0.1, 12))


def turned(points, degrees, shift=0.0):
    turn = Rotation.from_euler("xyz", np.multiply(degrees, [1, 0.3, 0.2]), degrees=True)
    return (turn.apply(points - HIP) + HIP + [0, shift, 0]).astype(np.float32)


def pose(points, faces):
    return Pose(points[:4], points, point_normals(points, faces))


def test_a_rigid_turn_of_120_degrees_keeps_its_shape_half_way():
    points, faces = leg()
    rotation = Rotation.from_rotvec(np.radians(120) * np.array([0.8, 0.6, 0]))
    ends = (rotation.apply(points - HIP) + HIP).astype(np.float32)
    half = Rotation.from_rotvec(np.radians(60) * np.array([0.8, 0.6, 0])).apply(points - HIP) + HIP
    arc = Arc.of(points, ends, faces)
    np.testing.assert_allclose(arc.at(0.5), half, atol=1e-5)
    np.testing.assert_allclose(arc.at(0.0), points, atol=1e-6)
    np.testing.assert_allclose(arc.at(1.0), ends, atol=1e-6)
    assert np.linalg.norm((points + ends) / 2 - half, axis=1).max() > 0.4  # where straight lines are


def test_without_a_turn_or_without_faces_the_way_is_straight():
    points, faces = leg()
    moved = points + np.float32([0.3, 0, 0.1])
    np.testing.assert_allclose(Arc.of(points, moved, faces).at(0.25), points + np.float32([0.075, 0, 0.025]), atol=1e-6)
    ends = turned(points, 90)
    straight = Arc.of(points, ends, np.zeros((0, 3), int)).at(0.5)
    np.testing.assert_allclose(straight, (points + ends) / 2, atol=1e-6)


def test_a_frame_has_as_many_stops_as_its_fastest_turn_asks_for():
    points, faces = leg()
    start = pose(points, faces)
    none, every = np.zeros((0, 3), int), np.arange(len(points))
    assert len(stops(start, pose(turned(points, 80), faces), none, faces, every[:0])) == 2  # nothing is near it
    assert len(stops(start, pose(turned(points, 5), faces), none, faces, every)) == 2
    way = stops(start, pose(turned(points, 80), faces), none, faces, every)
    assert 4 <= len(way) <= 9 and way[0] is start
    long = [np.linalg.norm(each.body[-1] - each.body[0]) for each in way]
    np.testing.assert_allclose(long, long[0], atol=1e-4)
    step = [np.linalg.norm(b.body - a.body, axis=1).max() for a, b in pairwise(way)]
    assert max(step) < 1.05 * min(step)
