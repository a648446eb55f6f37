"""A job may start from pictures of its coarse layer that Blender rendered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_shot

from ani3d_formats.coarse_pictures import CoarsePictures, PicturesMeta
from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3dhuman.media.video import read_video
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.rigid import pose_rigid
from engine.job import check

FRAMES = 3
SMALL = {"preset": "draft", "gaussians": 2500, "prior": "none", "refine_steps": 0, "coarse": "rigid"}
BLENDER = Settings.from_dict({**SMALL, "pictures": "blender"})


@pytest.fixture(scope="module")
def shot():
    return make_shot(FRAMES, width=96, height=160)


@pytest.fixture(scope="module")
def pictures(shot):
    """The upper half opaque green, below nothing; at twice the size of the job's pictures."""
    colors = np.zeros((FRAMES, 160, 96, 4), np.uint8)
    colors[:, :80] = (20, 200, 60, 255)
    shown = np.linspace(0, len(shot["vertices"]) - 1, 20).astype(np.int32)
    places = pose_rigid(shot, Progress("rigid", FRAMES))[:, shown]
    return CoarsePictures(PicturesMeta(shot.name, shot.meta.frame_start), colors, places, shown)


def test_the_coarse_video_is_what_blender_rendered(shot, pictures, tmp_path):
    out = animate(shot, tmp_path, BLENDER, pictures=pictures)
    coarse = read_video(out / "videos" / "coarse.mp4").astype(float)
    half = coarse.shape[1] // 2
    np.testing.assert_allclose(coarse[:, 4 : half - 4].mean((0, 1, 2)), [20, 200, 60], atol=8)
    np.testing.assert_allclose(coarse[:, half + 4 : -4].mean((0, 1, 2)), 255 * shot.background_srgb, atol=8)
    restored = read_video(out / "videos" / "restored.mp4").astype(float)
    assert np.abs(restored - coarse).mean() < 4, "and what restoration starts from"


def test_pictures_come_with_a_shot_and_in_a_file(shot, pictures, tmp_path):
    arrays = {**shot.to_arrays(), **pictures.to_shot_arrays()}
    assert check(arrays, BLENDER.to_dict()) == shot.name
    pictures.save(tmp_path / "own.pictures.npz")
    for other in (CoarsePictures.load(tmp_path / "own.pictures.npz"), CoarsePictures.from_shot_arrays(arrays)):
        assert other.meta == pictures.meta
        for name in ("colors", "places", "shown"):
            np.testing.assert_array_equal(getattr(other, name), getattr(pictures, name))


def test_a_job_without_them_is_refused_before_it_begins(shot, tmp_path):
    with pytest.raises(Ani3DError, match="none came") as refused:
        check(shot.to_arrays(), BLENDER.to_dict())
    assert refused.value.code == "pictures.missing"
    with pytest.raises(Ani3DError, match="none came"):
        animate(shot, tmp_path, BLENDER)


def test_pictures_of_something_else_are_refused(shot, pictures, tmp_path):
    elsewhere = replace(pictures, places=pictures.places + np.float32(0.1))
    with pytest.raises(Ani3DError, match="17 cm away") as moved:
        animate(shot, tmp_path, BLENDER, pictures=elsewhere)
    fewer = replace(pictures, colors=pictures.colors[:2], places=pictures.places[:2])
    with pytest.raises(Ani3DError, match="2 frames") as short:
        check({**shot.to_arrays(), **fewer.to_shot_arrays()}, BLENDER.to_dict())
    assert (moved.value.code, short.value.code) == ("pictures.other_motion", "pictures.other_shot")


@pytest.mark.parametrize("name", ["meta", "colors", "places", "shown"])
@pytest.mark.parametrize("value", [np.array("{}"), np.zeros((2, 3)), None])
def test_broken_pictures_are_refused_in_words(shot, pictures, name, value):
    arrays = pictures.to_arrays()
    arrays.pop(name)
    if value is not None:
        arrays[name] = value
    with pytest.raises(Ani3DError) as refused:
        CoarsePictures.from_arrays(arrays)
    assert refused.value.code == "pictures.broken"
