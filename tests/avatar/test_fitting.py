"""An avatar fitted to pictures of its mesh: more alike from sides and in poses it never saw, and still a surface."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import make_shot

from ani3d_formats.camera import CameraPath
from ani3d_formats.color import linear_to_srgb, srgb_to_linear
from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3d_formats.views import Views, ViewsMeta
from ani3dhuman.avatar import pose_avatar
from ani3dhuman.avatar.file import AvatarFile, find_kept, keep, kept_path
from ani3dhuman.avatar.fitting.cameras import cameras_around
from ani3dhuman.avatar.fitting.density import better_density, blame, usual_density
from ani3dhuman.avatar.fitting.fitted import PICTURES, fitted_avatar, likeness
from ani3dhuman.avatar.fitting.poses import tried_poses
from ani3dhuman.avatar.fitting.surfels import LEAST_OPACITY, MOST_OPACITY
from ani3dhuman.avatar.fitting.targets import encoded, surface_targets
from ani3dhuman.avatar.from_mesh import DETAIL, avatar_from_shot
from ani3dhuman.cli import main
from ani3dhuman.mesh.raster import draw_triangles
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.rendering.draw import BLUR, draw
from ani3dhuman.rendering.light_sources import Lighting
from ani3dhuman.rigid import pose_rigid

STEPS = 160


@pytest.fixture(scope="module")
def shot():
    return make_shot(4)


@pytest.fixture(scope="module")
def made(shot):
    return fitted_avatar(shot, 2500, STEPS, 0, Progress("avatar", 1))


def unseen(shot):
    """Pictures of the shot's own frames by its own camera, of which the fit knows nothing."""
    progress = Progress("pictures", 1)
    poses, cameras = pose_rigid(shot, progress), shot.cameras.resized(192, 320)
    return poses, surface_targets(shot, poses, cameras, np.arange(shot.frames), progress)


def test_pictures_of_the_shot_itself_become_more_alike(shot, made):
    poses, pictures = unseen(shot)
    sampled = likeness(avatar_from_shot(shot, 2500, DETAIL), poses, pictures)
    assert likeness(made.avatar, poses, pictures) > sampled + 1.5
    assert made.avatar.count == pytest.approx(2500, rel=0.04)


def test_the_notes_tell_held_out_likeness_before_and_after(made):
    before, after = made.notes["held_out_db"]
    assert after > before > 10
    assert json.dumps(made.notes)


def test_gaussians_stay_in_the_surface_and_of_its_size(shot, made):
    avatar, faces = made.avatar, shot["faces"]
    corners = shot["vertices"][faces[avatar.binding.triangle_ids.numpy()]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    means, quats = avatar.pose(shot["vertices"][None])
    assert np.abs(((means[0] - corners[:, 0]) * normal).sum(1)).max() < 1e-4
    w, x, y, z = quats[0].T
    third = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], 1)
    assert np.abs((third * normal).sum(1)).min() > 0.999, "flat along the normal"
    assert (avatar.scales > 0).all() and avatar.scales.max() < 0.2
    assert avatar.opacities.min() > 0.99 * LEAST_OPACITY and avatar.opacities.max() < MOST_OPACITY * 1.01
    np.testing.assert_allclose(avatar.binding.barycentrics.sum(1), 1, atol=1e-4)
    outside = avatar.binding.barycentrics.numpy()
    assert outside.min() > -0.7 and outside.max() < 1.7, "or a moving triangle would swing them off the surface"


def test_other_motion_camera_and_light_give_the_same_avatar(shot, made):
    arrays = {**shot.arrays, "bone_pose": shot["bone_pose"][::-1].copy(), "viewmats": shot["viewmats"][::-1].copy()}
    other = fitted_avatar(replace(shot, arrays=arrays), 2500, STEPS, 0, Progress("avatar", 1))
    np.testing.assert_array_equal(other.avatar.scales, made.avatar.scales)
    np.testing.assert_array_equal(other.avatar.albedo, made.avatar.albedo)


def test_a_fit_can_be_cancelled(shot):
    with pytest.raises(Ani3DError) as caught:
        fitted_avatar(shot, 500, 50, 0, Progress("avatar", 1, should_cancel=lambda: True))
    assert caught.value.code == "cancelled"


def rendered(shot, tints):
    """Views as Blender would send them, of the shot's mesh at rest in other colours."""
    poses = shot["vertices"][None]
    cameras, pose_of = cameras_around(poses, shot["faces"], 30, np.random.default_rng(7))
    other = replace(shot, arrays={**shot.arrays, "vertex_tints": tints})
    pictures = surface_targets(other, poses, cameras, pose_of, Progress("pictures", 1))
    albedo = np.stack([np.concatenate([_linear(p), p.alpha[..., None]], 2) for p in pictures]).astype(np.float16)
    meta = ViewsMeta("Ann", cameras.width, cameras.height, "c0ffee", application="Blender")
    return Views(meta, poses, pose_of.astype(np.int32), cameras.viewmats, cameras.Ks, albedo, albedo)


def _linear(picture):
    alpha = np.maximum(picture.alpha, 1e-6)[..., None]
    return srgb_to_linear(picture.colors / alpha) * alpha


def test_views_of_other_colours_are_believed(shot):
    tints = shot["vertex_tints"].copy()
    tints[:] = 0.25, 1.0, 0.5
    views = rendered(shot, tints)
    made = fitted_avatar(shot, 1500, 60, 0, Progress("avatar", 1), views)
    assert made.notes["colours_apart"] > 20 and made.notes["views"] == "30 of Blender"
    hair = made.avatar.albedo[made.avatar.region_ids == 2]
    np.testing.assert_allclose(np.median(hair, 0), [0.6 * 0.25, 0.4, 0.3 * 0.5], atol=0.03)


def test_views_of_the_same_colours_are_fitted_to_beside_the_shots_own(shot):
    views = rendered(shot, shot["vertex_tints"])
    made = fitted_avatar(shot, 600, 20, 0, Progress("avatar", 1), views)
    assert made.notes["colours_apart"] < 0.5


def test_views_of_another_character_are_refused(shot):
    views = rendered(shot, shot["vertex_tints"])
    other = replace(views, vertices_at=views.vertices_at[:, 1:])
    with pytest.raises(Ani3DError, match="vertices") as caught:
        fitted_avatar(shot, 600, 20, 0, Progress("avatar", 1), other)
    assert caught.value.code == "views.other_character"


def test_a_job_takes_views_from_a_file_and_makes_another_avatar(shot, tmp_path, monkeypatch):
    monkeypatch.setenv("ANI3DHUMAN_CACHE", str(tmp_path / "cache"))
    rendered(shot, 0.5 * shot["vertex_tints"]).save(tmp_path / "Ann.views.npz")
    quick = {
        "preset": "draft",
        "gaussians": 600,
        "fit_steps": 10,
        "prior": "none",
        "refine_steps": 0,
        "coarse": "rigid",
    }
    views = {"avatar_views": str(tmp_path / "Ann.views.npz")}
    outs = [
        animate(shot, tmp_path / name, Settings.from_dict(quick | more)) for name, more in (("a", {}), ("b", views))
    ]
    plain, seen = (AvatarFile.load(out / "synthetic.avatar") for out in outs)
    assert plain.character != seen.character
    assert np.median(seen.avatar.albedo) < 0.7 * np.median(plain.avatar.albedo)


def test_poses_turn_bones_and_keep_their_lengths(shot):
    poses = tried_poses(shot, 4, np.random.default_rng(0))
    np.testing.assert_array_equal(poses[0], shot["vertices"])
    stiff = np.flatnonzero((shot["weight_values"].max(1) > 0.999) & (shot["vertices"][:, 2] > 1.6))
    apart = np.linalg.norm(shot["vertices"][stiff[0]] - shot["vertices"][stiff[-1]])
    for pose in poses[1:]:
        assert np.abs(pose - poses[0]).max() > 0.02
        assert np.linalg.norm(pose[stiff[0]] - pose[stiff[-1]]) == pytest.approx(apart, abs=1e-4)


def test_cameras_see_all_sides_of_what_they_look_at(shot):
    cameras, pose_of = cameras_around(shot["vertices"][None], shot["faces"], PICTURES, np.random.default_rng(0))
    assert len(cameras) == PICTURES and (pose_of == 0).all()
    centre = shot["vertices"].mean(0)
    away = cameras.positions() - centre
    angles = np.degrees(np.arctan2(away[:, 1], away[:, 0])) % 360
    assert np.histogram(angles, 6, (0, 360))[0].min() >= 5
    seen = np.zeros(len(shot["faces"]), int)
    for view, K in zip(cameras.viewmats, cameras.Ks, strict=True):
        shown = draw_triangles(shot["vertices"], shot["faces"], view, K, (cameras.height, cameras.width)).faces
        seen += np.bincount(shown[shown >= 0], minlength=len(seen))
    outside = shot["region_ids"][shot["faces"]].max(1) == 3
    assert (seen[outside] > 0).mean() > 0.97


def test_what_samples_get_wrong_gets_more_of_them_and_what_nothing_shows_gets_few(shot):
    tints = np.random.default_rng(1).random(shot["vertex_tints"].shape).astype(np.float32)
    tints[shot["region_ids"] != 3] = 0.7
    spotted = replace(shot, arrays={**shot.arrays, "vertex_tints": tints})
    poses, faces, usual = shot["vertices"][None], shot["faces"], usual_density(shot)
    angles = np.radians([-30.0, 0.0, 30.0])
    cameras = CameraPath.around(poses[0].mean(0)[None].repeat(3, 0), angles, 0.0, np.full(3, 4.0), 0.6, 256, 384)
    pictures = surface_targets(spotted, poses, cameras, np.zeros(3, int), Progress("pictures", 1))
    few = avatar_from_shot(spotted, 1000, None, 0, usual)
    wrong = blame(few, poses, pictures)
    assert wrong.min() >= 0 and wrong[few.region_ids == 3].sum() > wrong[few.region_ids == 0].sum()
    better = better_density(spotted, few, (poses, pictures), usual)
    assert better.min() > 0 and better.sum() == pytest.approx(usual.sum(), rel=0.5)
    cloth, skin = (shot["region_ids"][faces].min(1) == region for region in (3, 0))
    front, back = (sign * poses[0][faces].mean(1)[:, 1] < -0.05 for sign in (1, -1))
    assert np.median((better / usual)[cloth & front]) > 1.3 * np.median((better / usual)[skin])
    assert np.median(better[cloth & back]) < 0.5 * np.median(better[cloth & front])
    usually, now = (
        blame(avatar_from_shot(spotted, 2000, None, 0, density), poses, pictures).sum() for density in (usual, better)
    )
    assert now < 0.9 * usually


def test_half_covered_pixels_keep_the_colour_of_their_surface():
    colors, alpha = encoded(np.array([[0.1, 0.2, 0.3, 0.5]], np.float32))
    assert alpha == pytest.approx(0.5)
    np.testing.assert_allclose(colors[0], 0.5 * linear_to_srgb(np.array([0.2, 0.4, 0.6])), atol=1e-6)


def test_pictures_of_the_mesh_show_its_colours():
    shot = make_shot(1)
    points = np.array([[0.0, 0, 0.8]])
    cameras = CameraPath.around(points, np.zeros(1), 0.0, np.full(1, 3.0), 0.8, 96, 160)
    (picture,) = surface_targets(shot, shot["vertices"][None], cameras, np.zeros(1, int), Progress("pictures", 1))
    row, column = cameras.project(np.array([[0, -0.1, 1.3]]), 0)[0][0][::-1].astype(int)
    np.testing.assert_allclose(picture.colors[row, column], linear_to_srgb(np.array([0.6, 0.4, 0.3])), atol=0.01)
    assert picture.alpha[row, column] == 1 and picture.alpha[0, 0] == 0


def test_edges_of_pictures_are_as_soft_as_blenders():
    shot = make_shot(1)
    cameras = CameraPath.around(np.array([[0.0, 0, 0.8]]), np.zeros(1), 0.0, np.full(1, 3.0), 0.8, 96, 160)
    (picture,) = surface_targets(shot, shot["vertices"][None], cameras, np.zeros(1, int), Progress("pictures", 1))
    view, K = cameras.viewmats[0], cameras.Ks[0]
    finer = K * np.array([[3], [3], [1]])
    hard = draw_triangles(shot["vertices"], shot["faces"], view, finer, (480, 288)).faces >= 0
    covered = hard.reshape(160, 3, 96, 3).mean((1, 3))
    assert picture.alpha.sum() == pytest.approx(covered.sum(), rel=1e-4), "soft edges cover as much as hard ones"
    beside = (covered == 0) & (picture.alpha > 0)
    assert 0 < picture.alpha[beside].max() < 0.2 and picture.alpha[covered == 0].mean() < 0.01


def test_drawn_outlines_are_those_of_the_mesh(shot, made):
    cameras = shot.cameras.resized(192, 320)
    mesh = draw_triangles(shot["vertices"], shot["faces"], cameras.viewmats[0], cameras.Ks[0], (320, 192)).faces >= 0
    light = Lighting.of(shot)
    one = CameraPath(cameras.viewmats[:1], cameras.Ks[:1], cameras.width, cameras.height)
    posed = pose_avatar(made.avatar, shot["vertices"][None], light.taken(np.zeros(1, int)), one)
    drawn = (draw(posed, posed.colors[0], one, 0, blur=blur)[1] > 0.5 for blur in (BLUR, 0.3))
    ours, usual = ((alpha & mesh).sum() / (alpha | mesh).sum() for alpha in drawn)
    assert ours > 0.93 and ours > usual + 0.003


def test_an_avatar_file_holds_the_avatar(tmp_path, made):
    AvatarFile(made.avatar, "Ann", "key", made.notes).save(tmp_path / "Ann.avatar")
    again = AvatarFile.load(tmp_path / "Ann.avatar")
    assert (again.name, again.character, again.notes) == ("Ann", "key", made.notes)
    for name in ("faces", "triangle_ids", "barycentrics", "local_quats"):
        assert torch.equal(getattr(again.avatar.binding, name), getattr(made.avatar.binding, name))
    for name in ("scales", "opacities", "albedo", "region_ids", "lifts"):
        np.testing.assert_array_equal(getattr(again.avatar, name), getattr(made.avatar, name))


@pytest.mark.parametrize("content", [b"", b"PK\3\4 not all of it"])
def test_a_broken_avatar_file_is_named(tmp_path, content):
    path = tmp_path / "cut.avatar"
    path.write_bytes(content)
    with pytest.raises(Ani3DError, match=r"cut\.avatar") as caught:
        AvatarFile.load(path)
    assert caught.value.code == "avatar.file_broken"


def test_kept_avatars_make_room_for_new_ones(tmp_path, monkeypatch, made):
    monkeypatch.setenv("ANI3DHUMAN_CACHE", str(tmp_path))
    keep(AvatarFile(made.avatar, "Ann", "first", {}))
    size = kept_path("first").stat().st_size
    monkeypatch.setattr("ani3dhuman.avatar.file.MOST_BYTES", int(1.5 * size))
    keep(AvatarFile(made.avatar, "Bob", "second", {}))
    assert find_kept("first") is None and find_kept("second").name == "Bob"


def test_a_job_writes_its_avatar_and_another_shot_of_the_character_takes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ANI3DHUMAN_CACHE", str(tmp_path / "cache"))
    settings = Settings.from_dict(
        {"preset": "draft", "gaussians": 600, "fit_steps": 20, "prior": "none", "refine_steps": 0, "coarse": "rigid"}
    )
    outs = [animate(make_shot(frames), tmp_path / str(frames), settings) for frames in (3, 2)]
    notes = [json.loads((out / "report.json").read_text())["notes"]["avatar"] for out in outs]
    assert "fitted for" not in notes[0] and notes[1]["fitted for"] == "synthetic" and notes[1]["seconds"] == 0
    first, second = (AvatarFile.load(out / "synthetic.avatar") for out in outs)
    np.testing.assert_array_equal(first.avatar.scales, second.avatar.scales)
    assert main(["avatar", "info", str(outs[0] / "synthetic.avatar")]) == 0
    text = capsys.readouterr().out
    assert f"{first.avatar.count:,} Gaussians" in text and "held out db" in text
