"""Triangles drawn into pictures: against rays that are cut with the triangles one by one."""

import numpy as np
import pytest

from ani3dhuman.mesh.raster import NEAR, Cutouts, draw_triangles

SIZE = (30, 40)
K = np.array([[50, 0, 20], [0, 55, 15], [0, 0, 1]], np.float32)


def turned(angle):
    view = np.eye(4, dtype=np.float32)
    view[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    view[:3, 3] = 0.1, -0.2, 3
    return view


def soup(count=40, seed=0):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-0.8, 0.8, (count, 1, 3)) + rng.uniform(-0.4, 0.4, (count, 3, 3))
    return corners.reshape(-1, 3).astype(np.float32), np.arange(3 * count).reshape(-1, 3)


def by_rays(vertices, faces, view):
    """Nearest face, depth and place (H,W,3) at each pixel's centre, by solving t d = a + u (b - a) + v (c - a)."""
    local = vertices @ view[:3, :3].T.astype(float) + view[:3, 3]
    nearest, depth, place = np.full(SIZE, -1), np.full(SIZE, np.inf), np.zeros((*SIZE, 3))
    for row in range(SIZE[0]):
        for column in range(SIZE[1]):
            x, y = (column + 0.5 - K[0, 2]) / K[0, 0], (row + 0.5 - K[1, 2]) / K[1, 1]
            for f, (a, b, c) in enumerate(local[faces]):
                t, u, v = np.linalg.solve(np.stack([[x, y, 1], a - b, a - c], 1), a)
                if u >= 0 and v >= 0 and u + v <= 1 and 0 < t < depth[row, column]:
                    nearest[row, column], depth[row, column] = f, t
                    place[row, column] = a + u * (b - a) + v * (c - a)
    return nearest, depth, place


def test_pixels_show_what_rays_through_their_centres_meet():
    vertices, faces = soup()
    view = turned(0.3)
    shown = draw_triangles(vertices, faces, view, K, SIZE)
    nearest, depth, place = by_rays(vertices, faces, view)
    same = shown.faces == nearest
    assert same.mean() > 0.998, "but for centres on an edge"
    seen = same & (nearest >= 0)
    assert 0.2 < seen.mean() < 0.9
    np.testing.assert_allclose(shown.depth[seen], depth[seen], rtol=1e-5)
    corners = (vertices @ view[:3, :3].T + view[:3, 3])[faces[shown.faces[seen]]]
    found = np.einsum("nc,nck->nk", shown.barycentrics[seen], corners)
    np.testing.assert_allclose(found, place[seen], atol=1e-4)
    assert np.isinf(shown.depth[same & (nearest < 0)]).all()


def test_a_triangle_behind_the_camera_or_without_area_is_not_drawn():
    vertices = np.array([[0, 0, -1], [1, 0, -1], [0, 1, 5], [0, 0, 2], [0, 0, 2], [1, 1, 2]], np.float32)
    shown = draw_triangles(vertices, np.array([[0, 1, 2], [3, 4, 5]]), np.eye(4), K, SIZE)
    assert (shown.faces == -1).all() and NEAR > 0


WALL = np.array([[-9, -9, 2], [9, -9, 2], [9, 9, 2], [-9, 9, 2]], np.float32)
BEHIND = WALL + np.array([0, 0, 1], np.float32)
QUADS = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])


@pytest.mark.parametrize("alpha", [0, 64, 128, 255])
def test_a_face_shows_in_as_many_pixels_as_it_is_opaque(alpha):
    cutouts = Cutouts(
        np.array([0, 0, -1, -1], np.int32),
        np.zeros((4, 3, 2), np.float32),
        np.full(4, alpha, np.uint8),
        np.array([[0, 2, 2]], np.int64),
    )
    shown = draw_triangles(np.concatenate([WALL, BEHIND]), QUADS, np.eye(4), K, SIZE, cutouts=cutouts)
    assert (shown.faces < 2).mean() == pytest.approx(alpha / 255, abs=0.03)
    assert (shown.faces >= 0).all(), "what lies behind shows through"


def test_a_hole_is_where_the_picture_has_it():
    alphas = np.zeros((2, 2), np.uint8)
    alphas[0, 1] = 255  # the top row, right: large u, large v
    uvs = (WALL[:, :2] / 18 + 0.5)[QUADS[:2]].astype(np.float32)
    cutouts = Cutouts(np.zeros(2, np.int32), uvs, alphas.ravel(), np.array([[0, 2, 2]], np.int64))
    shown = draw_triangles(WALL, QUADS[:2], np.eye(4), K, SIZE, cutouts=cutouts)
    right, low = np.meshgrid(np.arange(40) + 0.5 > K[0, 2], np.arange(30) + 0.5 > K[1, 2])
    np.testing.assert_array_equal(shown.faces >= 0, right & low)  # y runs downwards, and so v does here
