"""How a surface is shaded goes from the shot into the avatar, its file and its kept stages."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import make_arrays

from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import avatar_from_shot
from ani3dhuman.avatar.avatar import Avatar
from ani3dhuman.avatar.file import AvatarFile
from ani3dhuman.avatar.posing import PosedAvatar
from ani3dhuman.avatar.shaded import shades_of_one_job
from ani3dhuman.clip import CoarseClip
from ani3dhuman.rendering.draw import draw_tensors
from ani3dhuman.rendering.layers import over, render_layer
from ani3dhuman.rendering.light_sources import Lighting
from ani3dhuman.rigid import pose_rigid
from ani3dhuman.storage.results import from_arrays, to_arrays


@pytest.fixture(scope="module")
def shot() -> Shot:
    """Faceted, with holes in its texture, all of it a toon."""
    arrays = make_arrays()
    corners = arrays["vertices"][arrays["faces"]]
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sides /= np.maximum(np.linalg.norm(sides, axis=1, keepdims=True), 1e-12)
    arrays["corner_normals"] = np.repeat(sides[:, None], 3, axis=1).astype(np.float32)
    holed = arrays["texture_0"].copy()
    holed[::2, :, 3] = 0
    made = Shot.from_arrays(arrays | {"texture_0": holed})
    toons = tuple(replace(m, toon_size=0.5, toon_smooth=0.1) for m in made.meta.materials)
    return replace(made, meta=replace(made.meta, materials=toons))


def test_it_survives_file_and_stage(shot, tmp_path):
    avatar = avatar_from_shot(shot, 1000)
    AvatarFile(avatar, "a", "key", {}).save(tmp_path / "a.avatar")
    for found in (AvatarFile.load(tmp_path / "a.avatar").avatar, from_arrays(Avatar, *to_arrays(avatar))):
        np.testing.assert_array_equal(found.tones, avatar.tones)
        np.testing.assert_allclose(found.tones, [[np.pi / 4, np.pi / 20]] * avatar.count, rtol=1e-5)
        np.testing.assert_array_equal(found.corners.fans, avatar.corners.fans)
        np.testing.assert_array_equal(found.corners.leans, avatar.corners.leans)
        for own, other in zip(found.cutouts, avatar.cutouts, strict=True):
            np.testing.assert_array_equal(own, other)


def test_gaussians_are_shaded_by_the_facets_that_they_lie_on(shot):
    avatar = avatar_from_shot(shot, 1000)
    sheared = shot["vertices"] @ np.array([[1, 0, 0.3], [0, 1, 0], [0, 0, 1]], np.float32)
    corners = sheared[shot["faces"][avatar.binding.triangle_ids.numpy()]]
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sides /= np.linalg.norm(sides, axis=1, keepdims=True)
    np.testing.assert_allclose(avatar.normals(sheared), sides, atol=0.05)
    assert np.abs(replace(avatar, corners=None).normals(sheared) - sides).max() > 0.2


def test_light_is_taken_on_the_surface_where_a_gaussian_lies_beside_its_triangle(shot):
    avatar = avatar_from_shot(shot, 1000)
    inside = avatar.binding.barycentrics.numpy()
    np.testing.assert_allclose(avatar.within(shot["vertices"]), avatar.pose(shot["vertices"][None])[0][0], atol=1e-5)
    beside = inside + np.array([0.5, -0.25, -0.25], np.float32)
    moved = replace(avatar, binding=replace(avatar.binding, barycentrics=torch.from_numpy(beside)))
    corners = shot["vertices"][shot["faces"][avatar.binding.triangle_ids.numpy()]]
    points, planes = moved.within(shot["vertices"]), moved.planes(shot["vertices"])
    a, b, c = (np.cross(corners[:, k] - points, corners[:, (k + 1) % 3] - points) for k in range(3))
    whole = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    np.testing.assert_allclose(sum(np.linalg.norm(part, axis=1) for part in (a, b, c)), whole, rtol=1e-3, atol=1e-8)
    np.testing.assert_allclose(((points - corners[:, 0]) * planes).sum(1), 0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(planes, axis=1), 1, rtol=1e-5)


def test_what_is_brighter_than_white_is_cut_in_the_picture_alone(shot):
    rigid = pose_rigid(shot, Progress("rigid", shot.frames))[:1]
    dim = Lighting.of(shot).taken(np.array([0]))
    bright = replace(dim, sun_colors=40 * dim.sun_colors, ambient=40 * dim.ambient)
    camera = shot.cameras.taken(np.array([0]))
    posed = PosedAvatar(avatar_from_shot(shot, 1000), rigid, bright, camera)
    assert float(posed.drawn(0).colors.max()) > 1.5
    shown = render_layer(posed.drawn, posed.avatar.region_ids, camera, np.zeros(3, np.float32)).rgb[0]
    channels, alpha = draw_tensors(posed.drawn(0), posed.drawn(0).colors, camera, 0)
    expected = over(channels, alpha, np.zeros(3)).numpy()
    assert channels.max() > 1.5
    np.testing.assert_allclose(shown / 255, expected, atol=0.003)


def test_colours_are_made_once_in_a_job_and_let_go_however_it_ends(shot):
    rigid = pose_rigid(shot, Progress("rigid", shot.frames))
    clip = CoarseClip.of_shot(shot, avatar_from_shot(shot, 100), rigid, np.ones(rigid.shape[1]))
    with pytest.raises(KeyboardInterrupt), shades_of_one_job():
        first = clip.posed(clip.vertices).colors
        assert clip.posed(clip.vertices).colors is first
        raise KeyboardInterrupt
    assert clip.posed(clip.vertices).colors is not first
