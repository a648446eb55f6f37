"""The nearest points of a set that moves, against a search of all."""

import numpy as np
import pytest

from ani3dhuman.mesh.nearest import MOST, PointTree


@pytest.mark.parametrize("count", [1, 3, 40, 700])
def test_the_nearest_point_is_found_whatever_the_guess_and_however_points_moved(count):
    rng = np.random.default_rng(count)
    tree = PointTree(rng.normal(size=(count, 3)))
    points, x = rng.normal(size=(2, max(count, 50), 3)).astype(np.float32)
    points = points[:count]
    guess = rng.integers(0, count, len(x))
    far, near = tree.nearest(x, points, tree.boxes_of(points), guess)
    all_of_them = np.linalg.norm(x[:, None] - points, axis=2)
    assert (near == all_of_them.argmin(1)).all()
    np.testing.assert_allclose(far, all_of_them.min(1), rtol=1e-5)


def test_the_nearest_of_a_few_that_faces_what_is_nearest_is_found_and_none_that_is_too_far_or_looks_away():
    rng = np.random.default_rng(0)
    points, normals = rng.normal(size=(2, 500, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    tree = PointTree(points)
    boxes = tree.boxes_of(points)
    now = tree.nearest(x, points, boxes, np.zeros(len(x), int))[1]
    found = tree.across(x, points, boxes, normals, now, (0.5, -0.3, 0.1))
    wanted = []
    for place, first in zip(x, now, strict=True):
        away = np.linalg.norm(place - points, axis=1)
        near = [p for p in away.argsort()[:MOST] if away[p] < 0.5]
        faces = [p for p in near if normals[p] @ normals[first] < -0.3 and (place - points[p]) @ normals[p] > -0.1]
        wanted.append(faces[0] if faces else -1)
    assert (found == wanted).all() and 20 < (found >= 0).sum() < 180
