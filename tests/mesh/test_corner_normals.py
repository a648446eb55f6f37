"""The normals that a mesh is shaded by stay what they are at rest, and turn with the surface."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ani3dhuman.mesh.corner_normals import CornerNormals

CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
QUADS = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
FACES = np.array([t for a, b, c, d in QUADS for t in ((a, b, c), (a, c, d))])


def flat(vertices: np.ndarray) -> np.ndarray:
    corners = vertices[FACES]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.repeat((across / np.linalg.norm(across, axis=1, keepdims=True))[:, None], 3, axis=1)


def test_a_faceted_box_stays_faceted_when_it_is_sheared():
    found = CornerNormals.at_rest(CORNERS, FACES, flat(CORNERS))
    sheared = CORNERS @ np.array([[1, 0, 0.4], [0, 1, 0], [0, 0.2, 1]], np.float32)
    for vertices in (CORNERS, sheared):
        np.testing.assert_allclose(found.at(vertices, FACES), flat(vertices), atol=1e-5)


def test_a_smooth_box_has_one_normal_at_each_vertex():
    away = (CORNERS - 0.5) / np.linalg.norm(CORNERS - 0.5, axis=1, keepdims=True)
    found = CornerNormals.at_rest(CORNERS, FACES, away[FACES])
    assert found.fans.max() + 1 == len(CORNERS)
    np.testing.assert_allclose(found.at(CORNERS, FACES), away[FACES], atol=1e-5)


def test_the_artists_own_normals_turn_with_the_surface():
    rng = np.random.default_rng(0)
    own = rng.normal(size=(len(FACES), 3, 3))
    own /= np.linalg.norm(own, axis=2, keepdims=True)
    found, turn = CornerNormals.at_rest(CORNERS, FACES, own), Rotation.random(random_state=1).as_matrix()
    np.testing.assert_allclose(found.at(CORNERS, FACES), own, atol=1e-5)
    np.testing.assert_allclose(found.at(CORNERS @ turn.T, FACES), own @ turn.T, atol=1e-5)


@pytest.mark.parametrize("broken", ["normals", "faces"])
def test_what_has_no_normal_or_no_area_gives_finite_ones(broken: str):
    vertices, normals = CORNERS.copy(), flat(CORNERS)
    if broken == "normals":
        normals[::2] = 0
    else:
        vertices[:] = 0.5
    found = CornerNormals.at_rest(vertices, FACES, normals).at(vertices, FACES)
    assert np.isfinite(found).all()
    if broken == "normals":
        np.testing.assert_allclose(np.linalg.norm(found, axis=2), 1, atol=1e-5)
