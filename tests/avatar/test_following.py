"""Posed Gaussians stay on their point of the surface, however the mesh is deformed."""

import numpy as np
import pytest
from synthetic import make_shot

from ani3d_formats.progress import Progress
from ani3d_formats.skinning import skin
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.cloth.character import simulate_character
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.pins import pin_weights

FRAMES = 6


def simulated(shot):
    rigid = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())
    return simulate_character(
        rigid, shot["faces"], shot["vertices"], shot["region_ids"], pin_weights(shot), 24.0,
        FABRICS["silk"], Progress("cloth", 2 * FRAMES),
    )  # fmt: skip


def twisted(shot):
    """Stretched, sheared and turned along its height, different in each frame."""
    x, y, z = shot["vertices"].T
    turns = np.arange(FRAMES)[:, None] * 0.4 * z
    cosine, sine = np.cos(turns), np.sin(turns)
    wide = 1 + 0.1 * np.arange(FRAMES)[:, None]
    return np.stack([wide * (cosine * x - sine * y), sine * x + cosine * y + 0.1 * turns, wide * z], axis=2)


@pytest.mark.parametrize("deform", [simulated, twisted])
def test_gaussians_stay_on_their_point_of_the_surface(deform):
    shot = make_shot(FRAMES)
    avatar = avatar_from_shot(shot, 3000)
    vertices = deform(shot).astype(np.float32)
    bind = avatar.pose(shot["vertices"][None])[0][0].astype(np.float64)
    triangles = shot["faces"][avatar.binding.triangle_ids.numpy()]

    corners = shot["vertices"][triangles].astype(np.float64)
    sides = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
    inner = (np.linalg.pinv(sides) @ (bind - corners[:, 0])[:, :, None])[:, :, 0]
    places = np.concatenate([1 - inner.sum(1, keepdims=True), inner], axis=1)  # from where they sit in bind pose

    means, quats = avatar.pose(vertices)
    moved = vertices[:, triangles].astype(np.float64)
    expected = np.einsum("nk,tnkd->tnd", places, moved)
    assert np.linalg.norm(expected - bind, axis=2).max() > 0.1, "the mesh must move, or this says nothing"
    assert np.linalg.norm(means - expected, axis=2).max() < 1e-4

    normals = np.cross(moved[:, :, 1] - moved[:, :, 0], moved[:, :, 2] - moved[:, :, 0])
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    w, x, y, z = np.moveaxis(quats.astype(np.float64), -1, 0)
    third = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=-1)
    assert np.abs((third * normals).sum(-1)).min() > 1 - 1e-5  # flat on the surface
