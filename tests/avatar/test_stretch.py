"""Scales that follow the triangles: no gaps where cloth stretches, nothing changed where it does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import make_shot

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import GaussianFrames
from ani3dhuman.avatar import Avatar, Lighting, avatar_from_shot, pose_avatar
from ani3dhuman.avatar.binding import SurfaceBinding
from ani3dhuman.avatar.from_mesh import FLATNESS, OPACITY, OVERLAP
from ani3dhuman.avatar.sampling import spread_samples
from ani3dhuman.rendering.layers import render_layer

SIDE = 0.5  # of the strip of cloth, metres
WHITE = Lighting(np.zeros((0, 3)), np.zeros((0, 3)), np.ones(3))


@pytest.fixture(scope="module")
def shot():
    return make_shot()


@pytest.fixture(scope="module")
def avatar(shot):
    return avatar_from_shot(shot, 4000)


def test_without_a_bind_pose_scales_are_one_view(shot, avatar):
    scales = avatar.posed_scales(np.stack([2 * shot["vertices"]] * 3))
    assert scales.shape == (3, avatar.count, 3) and scales.strides[0] == 0
    np.testing.assert_array_equal(scales[1], avatar.scales)


def test_the_bind_pose_stays_the_same_bit_by_bit(shot, avatar):
    def posed(each: Avatar) -> GaussianFrames:
        return pose_avatar(each, shot["vertices"][None], Lighting.of(shot), shot.cameras)

    before, after = posed(avatar), posed(replace(avatar, bind_vertices=shot["vertices"]))
    for name in ("means", "quats", "scales", "opacities", "colors"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def strip() -> Avatar:
    """White cloth of 0.5 by 0.5 m in the plane of x and z, its triangles askew, with Gaussians 1.4 cm apart."""
    rows = 9
    u, v = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, rows))
    vertices = np.stack([SIDE * u, 0 * u, SIDE * v], -1).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(rows - 1)[:, None] * rows + np.arange(rows - 1)).ravel()
    faces = np.concatenate(
        [np.stack([corner + 1, corner + rows, corner], 1), np.stack([corner + rows, corner + 1, corner + rows + 1], 1)]
    )
    triangles, barycentrics, spacing = spread_samples(vertices[faces].astype(float), 1300, np.random.default_rng(0))
    count = len(triangles)
    binding = SurfaceBinding(
        torch.from_numpy(faces),
        torch.from_numpy(triangles),
        torch.from_numpy(barycentrics),
        torch.tensor([1.0, 0, 0, 0]).repeat(count, 1),
    )
    scales = np.full((count, 3), OVERLAP * spacing, np.float32) * np.array([1, 1, FLATNESS], np.float32)
    opacities = np.full(count, OPACITY, np.float32)
    return Avatar(binding, scales, opacities, np.ones((count, 3), np.float32), np.full(count, 3), vertices)


def coverage(avatar: Avatar, vertices: np.ndarray) -> np.ndarray:
    """(H,W) alpha of the cloth, its rim left out, as a camera before it sees it."""
    middle = (vertices.min(0) + vertices.max(0)) / 2
    width, height = (round(400 * side) for side in np.ptp(vertices, axis=0)[[0, 2]] * 0.8 / SIDE)
    fov = 2 * np.arctan(0.5 * 0.8 * np.ptp(vertices[:, 2]) / 3)
    camera = CameraPath.around(middle[None], np.zeros(1), 0.0, np.full(1, 3.0), float(fov), width, height)
    gaussians = pose_avatar(avatar, vertices[None], WHITE, camera)
    return render_layer(gaussians, avatar.region_ids, camera, np.zeros(3)).alpha[0].astype(np.float32)


@pytest.mark.parametrize("pull", [(1.9, 1.0), (1.0, 1.9), (1.8, 1.8)])
def test_cloth_that_is_pulled_leaves_no_gaps(pull):
    cloth = strip()
    pulled = cloth.bind_vertices * np.array([pull[0], 1, pull[1]], np.float32)
    worst = [
        float(np.percentile(coverage(each, vertices), 1))
        for each, vertices in (
            (cloth, cloth.bind_vertices),
            (replace(cloth, bind_vertices=None), pulled),
            (cloth, pulled),
        )
    ]
    at_rest, without, stretched = worst
    assert at_rest > 0.85 and without < 0.7, "the pull must open the cloth, or the comparison says nothing"
    assert stretched > at_rest - 0.05
