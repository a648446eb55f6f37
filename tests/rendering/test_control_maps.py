"""Depth and normal pictures of known planes are what they should be, pixel by pixel."""

import numpy as np
import pytest

from ani3d_formats.camera import CameraPath
from ani3dhuman.rendering.control_maps import DEPTH_FLOOR, depth_picture, normal_picture, normals_from_depth

SIZE = (48, 40)


def camera(kind="perspective"):
    K = np.array([[60, 0, 20], [0, 60, 24], [0, 0, 1]], np.float32)
    return CameraPath(np.eye(4, dtype=np.float32)[None], K[None], SIZE[1], SIZE[0], kind)


def plane_depth(normal, distance, cameras):
    """Depth (H,W) of the plane normal . x = -distance, camera space."""
    K = cameras.Ks[0]
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    x, y = (columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1]
    if cameras.camera_type == "orthographic":
        return (-distance - normal[0] * x - normal[1] * y) / normal[2]
    return -distance / (normal[0] * x + normal[1] * y + normal[2])


@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
@pytest.mark.parametrize("normal", [(0, 0, -1), (0.3, 0, -1), (0, 0.3, -1), (-0.2, -0.25, -1)])
def test_normals_of_a_plane(kind, normal):
    normal = np.array(normal) / np.linalg.norm(normal)
    cameras = camera(kind)
    found = normals_from_depth(plane_depth(normal, 2.0, cameras), np.ones(SIZE), cameras, 0)
    np.testing.assert_allclose(found[6:-6, 6:-6], np.broadcast_to(normal, found[6:-6, 6:-6].shape), atol=0.02)


def test_normal_colours_are_right_up_towards():
    vectors = np.array([(1, 0, 0), (-1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1)], float)
    expected = [(255, 128, 128), (0, 128, 128), (128, 255, 128), (128, 0, 128), (128, 128, 255)]
    np.testing.assert_array_equal(normal_picture(vectors), expected)


def test_the_background_faces_the_camera_and_does_not_bend_edges():
    cameras = camera()
    depth, alpha = np.full(SIZE, 2.0), np.zeros(SIZE)
    alpha[10:30, 10:30] = 1
    normals = normals_from_depth(np.where(alpha > 0, depth, 0), alpha, cameras, 0)
    np.testing.assert_allclose(normals, np.broadcast_to((0, 0, -1), normals.shape), atol=1e-3)
    assert not normals_from_depth(np.zeros(SIZE), alpha * 0, cameras, 0)[..., :2].any()


def test_a_step_in_depth_stays_a_step():
    depth = np.full(SIZE, 2.0)
    depth[:, 20:] = 3.0
    normals = normals_from_depth(depth, np.ones(SIZE), camera(), 0)
    np.testing.assert_allclose(normals[..., 2], -1, atol=1e-3)


def test_pinholes_between_gaussians_do_not_show():
    depth = np.full(SIZE, 2.0)
    depth[12::9, 10::9] = 2.4
    normals = normals_from_depth(depth, np.ones(SIZE), camera(), 0)
    assert np.abs(normals[4:-4, 4:-4, 2] + 1).max() < 1e-3


def test_depth_is_inverse_and_stretched_once_over_the_clip():
    depth = np.zeros((2, *SIZE), np.float32)
    depth[0, :, :20], depth[0, :, 20:], depth[1] = 1.0, 2.0, 4.0
    picture = depth_picture(depth, np.ones(depth.shape))
    assert picture.dtype == np.uint8 and picture.shape == (2, *SIZE, 3)
    assert (picture[0, :, :20] == 255).all(), "near is white"
    assert (picture[1] == round(255 * DEPTH_FLOOR)).all(), "the farthest point is not the background"
    halfway = DEPTH_FLOOR + (1 - DEPTH_FLOOR) * (1 / 2 - 1 / 4) / (1 - 1 / 4)
    assert (np.abs(picture[0, :, 20:].astype(int) - 255 * halfway) <= 1).all()


def test_the_background_of_depth_is_black_and_edges_fade():
    depth, alpha = np.full((1, *SIZE), 2.0), np.ones((1, *SIZE))
    alpha[0, :10], alpha[0, 10] = 0, 0.5
    picture = depth_picture(np.where(alpha > 0, depth, 0), alpha)
    assert (picture[0, :10] == 0).all() and (picture[0, 10] == 128).all() and (picture[0, 11:] == 255).all()
    assert not depth_picture(np.zeros((1, *SIZE)), np.zeros((1, *SIZE))).any(), "an empty clip is black"
