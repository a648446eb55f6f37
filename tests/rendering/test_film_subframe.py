"""Gaussians and cameras between frames."""

import numpy as np
import pytest
from film_scenes import camera, dots
from scipy.spatial.transform import Rotation

from ani3d_formats.camera import CameraPath
from ani3dhuman.rendering.subframe import camera_at, gaussians_at


@pytest.fixture
def moving():
    """Two frames in which everything changes."""
    gaussians = dots([[[0, 0, 2], [1, 0, 2]], [[0, 1, 4], [3, 0, 2]]], 0.1)
    gaussians.scales[1] = 0.3
    gaussians.colors[1] = 0.5
    gaussians.quats[1, 0] = [np.cos(0.6), 0, 0, np.sin(0.6)]
    gaussians.quats[1, 1] = [-np.cos(0.2), -np.sin(0.2), 0, 0]
    return gaussians


@pytest.mark.parametrize("time", [-0.5, 0, 1, 1.7])
def test_whole_frames_and_the_ends_come_back_bit_for_bit(moving, time):
    frame = int(np.clip(time, 0, 1))
    one = gaussians_at(moving, time)
    for name in ("means", "quats", "scales", "colors"):
        np.testing.assert_array_equal(getattr(one, name), getattr(moving, name)[frame : frame + 1])
    cameras = camera()
    cameras.viewmats[1, 0, 3] = 0.7
    np.testing.assert_array_equal(camera_at(cameras, time).viewmats[0], cameras.viewmats[frame])


def test_between_frames_everything_runs_evenly(moving):
    one = gaussians_at(moving, np.float64(0.25))
    np.testing.assert_allclose(one.means[0], [[0, 0.25, 2.5], [1.5, 0, 2]], atol=1e-6)
    np.testing.assert_allclose(one.scales, 0.15, atol=1e-6)
    np.testing.assert_allclose(one.colors, 0.875, atol=1e-6)
    assert all(getattr(one, n).dtype == np.float32 for n in ("means", "quats", "scales", "colors"))


def test_rotations_are_unit_and_take_the_shorter_arc(moving):
    half = gaussians_at(moving, 0.5).quats[0]
    np.testing.assert_allclose(np.linalg.norm(half, axis=-1), 1, atol=1e-6)
    np.testing.assert_allclose(half[0], [np.cos(0.3), 0, 0, np.sin(0.3)], atol=1e-6)
    # the second one's sign was turned over: without care it would pass through a turn of half a circle
    np.testing.assert_allclose(half[1], [np.cos(0.1), np.sin(0.1), 0, 0], atol=1e-6)


def test_a_camera_turns_about_its_own_centre():
    centers = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 5.0]])
    rotations = Rotation.from_euler("zyx", [[0.1, 0.2, 0.3], [1.3, -0.4, 0.8]])
    viewmats = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    viewmats[:, :3, :3] = rotations.as_matrix()
    viewmats[:, :3, 3] = -np.einsum("tij,tj->ti", viewmats[:, :3, :3], centers)
    Ks = np.stack([np.diag([100.0, 110.0, 1.0]), np.diag([200.0, 220.0, 1.0])]).astype(np.float32)
    cameras = CameraPath(viewmats, Ks, 8, 6)
    whole = (rotations[0].inv() * rotations[1]).magnitude()
    for share in (0.25, 0.5, 0.9):
        one = camera_at(cameras, share)
        np.testing.assert_allclose(one.positions()[0], centers[0] + share * (centers[1] - centers[0]), atol=1e-5)
        turned = Rotation.from_matrix(one.viewmats[0, :3, :3])
        assert (rotations[0].inv() * turned).magnitude() == pytest.approx(share * whole, abs=1e-5)
        assert (turned.inv() * rotations[1]).magnitude() == pytest.approx((1 - share) * whole, abs=1e-5)
        np.testing.assert_allclose(one.Ks[0], np.diag([100 * (1 + share), 110 * (1 + share), 1]), rtol=1e-6)
        assert (one.width, one.height, one.viewmats.dtype, one.Ks.dtype) == (8, 6, np.float32, np.float32)
