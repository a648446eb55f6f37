"""Gaussians grow, shrink and vanish with the bones that carry them; nothing changes where bones keep their size."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import make_arrays, make_shot

from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.clip import CoarseClip
from ani3dhuman.rigid import bone_sizes, pose_rigid


def clip_of(shapes: np.ndarray, distances: np.ndarray) -> CoarseClip:
    """A clip of the bind pose under (T,3,3) linear maps, its camera so many times as far from the origin in each."""
    arrays = {name: np.array(array) for name, array in make_arrays(len(shapes), width=96, height=160).items()}
    maps = np.tile(np.eye(4, dtype=np.float32), (len(shapes), 1, 1, 1))
    maps[:, 0, :3, :3] = shapes
    arrays["bone_pose"] = maps @ arrays["bone_rest"]
    arrays["viewmats"][:, :3, 3] *= distances[:, None]
    arrays["ambient"], arrays["sun_colors"] = np.full(3, 0.9, np.float32), np.zeros((1, 3), np.float32)
    shot = Shot.from_arrays(arrays)
    rigid = pose_rigid(shot, Progress("rigid", shot.frames))
    return CoarseClip.of_shot(shot, avatar_from_shot(shot, 3000), rigid, np.ones(rigid.shape[1]))


def test_where_bones_keep_their_size_nothing_changes() -> None:
    shot = make_shot(3)
    assert bone_sizes(shot) is None
    shot["bone_pose"][1, 2, :3, :3] *= 1.05  # Gaussians overlap enough for that
    assert bone_sizes(shot) is None
    shot["weight_values"][:, 2] = 0
    shot["bone_pose"][1, 2, :3, :3] *= 7  # nothing hangs on it
    assert bone_sizes(shot) is None


@pytest.mark.parametrize("size", [0.01, 0.5, 2.0, 30.0])
def test_a_character_that_grows_looks_the_same_from_as_many_times_as_far(size: float) -> None:
    clip = clip_of(np.stack([np.eye(3), size * np.eye(3)]), np.array([1, size]))
    pictures = clip.draw_layer(clip.vertices)
    np.testing.assert_allclose(clip.pose(clip.vertices).scales[1], size * clip.avatar.scales, rtol=1e-5)
    assert (pictures.alpha[0] > 0.9).mean() > 0.1
    assert np.abs(pictures.rgb[0].astype(int) - pictures.rgb[1]).max() <= 3


def test_a_character_that_vanishes_is_not_seen() -> None:
    clip = clip_of(np.stack([np.eye(3), np.zeros((3, 3))]), np.ones(2))
    alpha = np.asarray(clip.draw_layer(clip.vertices).alpha, np.float32)
    assert (alpha[0] > 0.5).sum() > 1000
    assert (alpha[1] > 0.5).sum() <= 16  # a dot in the place of the character


def test_no_gaps_open_where_a_bone_stretches_one_way() -> None:
    """Three times as high, seen from three times as far: the middle of the body stays closed."""
    clip = clip_of(np.stack([np.eye(3), np.diag([1, 1, 3.0])]), np.array([1, 3.0]))
    alpha = np.asarray(clip.draw_layer(clip.vertices).alpha, np.float32)
    pixels, _ = clip.cameras.project(clip.vertices[1], 1)
    low, high = pixels.min(0), pixels.max(0)
    column = int((low[0] + high[0]) / 2)
    assert alpha[1, int(low[1]) + 4 : int(high[1]) - 4, column].min() > 0.8


def test_vertices_blend_the_sizes_of_their_bones() -> None:
    shot = make_shot(2)
    shot["bone_pose"][1, 1, :3, :3] *= 3
    sizes = bone_sizes(shot)
    assert sizes is not None
    np.testing.assert_allclose(sizes[0], 1, atol=1e-5)
    np.testing.assert_allclose(sizes[1], 1 + 2 * shot["weight_values"][:, 1], rtol=1e-5)
