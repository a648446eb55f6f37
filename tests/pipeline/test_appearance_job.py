"""Jobs that fit appearance: what the cache holds, what later rounds see, and that face and body stay the same."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pictures_only import pictures_only
from synthetic import make_shot, result_of

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache
from ani3d_formats.progress import Progress
from ani3dhuman.avatar import Avatar, avatar_from_shot, pose_avatar
from ani3dhuman.avatar.appearance import CHANNELS
from ani3dhuman.avatar.fitting.fitted import Fitted
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.pipeline import round_views
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import PRESETS, Settings
from ani3dhuman.rendering.light_sources import Lighting
from ani3dhuman.storage.frames_on_disk import FrameFile
from ani3dhuman.storage.stage_store import read_stage

PLAIN = Settings.from_dict({"preset": "draft", "gaussians": 2500, "refine_steps": 40, "refine_height": 96})
FRAMES = 6


@pytest.fixture(scope="module")
def shot():
    return make_shot(FRAMES, width=96, height=160)


@pytest.fixture(scope="module", autouse=True)
def dark_prior():
    """A prior that knows pictures only, and paints a shadow over everything."""
    with pictures_only(lambda done: replace(done, rgb=(0.75 * np.asarray(done.rgb, np.float32)).astype(np.uint8))):
        yield


@pytest.fixture(scope="module")
def outs(shot, tmp_path_factory):
    """Results without appearance and with it."""
    folder = tmp_path_factory.mktemp("appearance")
    settings = PLAIN.changed(refine_steps=240)
    return animate(shot, folder / "plain", settings), animate(
        shot, folder / "appearance", settings.changed(appearance=True)
    )


def arrays_of(out) -> dict:
    return FrameCache.open(out / "synthetic.ani3d").arrays


def stage_of(out, name) -> dict:
    (folder,) = (out / ".work").glob(f"{name}-*")
    arrays = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    return arrays | {path.stem: np.asarray(FrameFile.open(path)) for path in folder.glob("*.frames")}


def avatar_of(out) -> Avatar:
    (folder,) = (out / ".work").glob("avatar-*")
    return read_stage(folder, Fitted).avatar


def test_the_cache_holds_scales_and_opacities_for_each_frame(outs):
    plain, appearance = (arrays_of(out) for out in outs)
    assert np.ptp(plain["radiance:base"][..., 3], axis=0).max() == 0
    assert appearance["scale"].shape == plain["scale"].shape == (FRAMES, plain["scale"].shape[1], 3)
    moving = avatar_of(outs[1]).region_ids >= 2
    assert np.abs(appearance["scale"] / plain["scale"] - 1)[:, moving].max() > 0.05
    assert np.ptp(appearance["radiance:base"][..., 3], axis=0).max() > 0
    assert appearance["radiance:base"][:, moving, :3].mean() < plain["radiance:base"][:, moving, :3].mean() - 0.03
    read = FrameCache.open(outs[1] / "synthetic.ani3d").gaussians(1, FRAMES)
    assert read.opacities.shape == appearance["scale"].shape[:2] and read.opacities.max() <= 1


def test_face_and_body_are_the_same_to_the_bit(outs):
    plain, appearance = (arrays_of(out) for out in outs)
    fixed = avatar_of(outs[1]).region_ids < 2
    assert 0.2 < fixed.mean() < 0.9
    for t in range(FRAMES):
        assert appearance["scale"][t, fixed].tobytes() == plain["scale"][t, fixed].tobytes()
        for name in ("position", "rotation"):
            assert appearance[name][t, fixed].tobytes() == plain[name][t, fixed].tobytes(), name


def test_face_and_body_have_the_colours_of_their_light(outs, shot):
    refined, avatar = stage_of(outs[1], "refine"), avatar_of(outs[1])
    fixed = avatar.region_ids < 2
    pair = [
        pose_avatar(avatar, refined["vertices"], Lighting.of(shot), shot.cameras, appearance)
        for appearance in (None, refined["appearance"])
    ]
    np.testing.assert_array_equal(pair[0].colors[:, fixed], pair[1].colors[:, fixed])


def test_the_refined_pictures_are_what_the_cache_shows(outs, shot):
    refined = stage_of(outs[1], "refine")
    assert refined["appearance"].shape == (*refined["vertices"].shape[:2], CHANNELS)
    avatar = avatar_of(outs[1])
    posed = pose_avatar(avatar, refined["vertices"], Lighting.of(shot), shot.cameras, refined["appearance"])
    stored = arrays_of(outs[1])
    np.testing.assert_array_equal(posed.scales, stored["scale"])
    np.testing.assert_array_equal(posed.opacities, stored["radiance:base"][..., 3])
    dark, light = (stage_of(out, "render_refined")["rgb"].mean() for out in (outs[1], outs[0]))
    assert dark < light - 0.5


def test_later_rounds_restore_pictures_with_the_appearance_so_far(shot, tmp_path, monkeypatch):
    seen = []
    real = round_views.rendered

    def overheard(scene, vertices, progress):
        pictures = real(scene, vertices, progress)
        seen.append((scene, vertices, np.asarray(pictures.rgb)))
        return pictures

    monkeypatch.setattr(round_views, "rendered", overheard)
    animate(shot, tmp_path, PLAIN.changed(rounds=2, appearance=True))
    assert len(seen) == 2, "the user's camera and one side"
    for scene, vertices, shown in seen:
        plain = np.asarray(real(replace(scene, appearance=None), vertices, Progress("again", FRAMES)).rgb)
        assert shown.astype(int).sum() < plain.astype(int).sum()
        posed = scene.pose(vertices)
        assert posed.opacities.shape == posed.means.shape[:2], "priors that draw the layer themselves see them too"


def test_appearance_is_part_of_the_key_and_off_in_every_preset(shot, outs, tmp_path):
    assert not any(Settings.from_dict({"preset": name}).refine.appearance for name in PRESETS)
    with pytest.raises(Ani3DError, match="appearance"):
        Settings.from_dict({"appearance": 1})
    out, settings = tmp_path / "job", PLAIN.changed(refine_steps=12)
    animate(shot, out, settings)
    before = result_of(out)
    animate(shot, out, settings.changed(appearance=True))
    reused = json.loads((out / "report.json").read_text())["reused"]
    assert "restore" in reused and "refine" not in reused
    animate(shot, out, settings)
    np.testing.assert_array_equal(result_of(out), before)


def test_appearance_of_another_clip_is_refused(shot):
    avatar = avatar_from_shot(shot, PLAIN.avatar.gaussians, DETAIL)
    vertices = shot["vertices"][None]
    with pytest.raises(Ani3DError) as caught:
        pose_avatar(
            avatar, vertices, Lighting.of(shot), shot.cameras, np.zeros((2, vertices.shape[1], CHANNELS), np.float32)
        )
    assert caught.value.code == "appearance.shape"
