"""Layers before the result are drawn for the contact sheet alone, unless videos of them are asked for or needed."""

import numpy as np
import pytest
from PIL import Image
from synthetic import make_shot

from ani3dhuman.media.video import read_video
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.presentation.sheets import sheet_frames

SMALL = Settings.from_dict({"preset": "draft", "gaussians": 2500, "refine_steps": 4, "render_scale": 1.0})
FRAMES = 9


def sheets(out):
    return [
        np.asarray(Image.open(out / f"{name}.png").convert("RGB")).astype(int)
        for name in ("contact_sheet", "conditions")
    ]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Without videos of the first layers and, after it in the same folder of stages, with them."""
    shot, out = make_shot(FRAMES, width=96, height=160), tmp_path_factory.mktemp("job")
    first, reports = [], []
    animate(shot, out, SMALL, first.append)
    pictures = sheets(out)
    names = {path.name for path in (out / "videos").iterdir()}
    animate(shot, out, SMALL.changed(layer_videos=True), reports.append)
    return out, pictures, names, first, reports


def test_only_who_asks_has_the_videos(folders):
    out, _, names, *_ = folders
    assert names == {"restored.mp4", "refined.mp4"}
    assert {path.name for path in (out / "videos").iterdir()} == names | {"rigid.mp4", "coarse.mp4", "side_by_side.mp4"}
    for layer in ("rigid", "coarse", "side_by_side"):
        assert len(read_video(out / "videos" / f"{layer}.mp4")) == FRAMES
    width = read_video(out / "videos" / "refined.mp4").shape[2]
    assert read_video(out / "videos" / "side_by_side.mp4").shape[2] >= 4 * width


def test_no_more_is_drawn_than_the_sheets_show(folders):
    *_, first, _ = folders
    drawn = {report.stage: report.total for report in first if report.stage.startswith("render")}
    few = len(sheet_frames(FRAMES))
    assert few < FRAMES and drawn == {"render_rigid": few, "render_coarse": few, "render_refined": FRAMES}


def test_the_sheets_have_the_layers_all_the_same(folders):
    out, pictures, *_ = folders
    for few, whole in zip(pictures, sheets(out), strict=True):
        assert few.shape == whole.shape
        assert np.abs(few - whole).mean() < 0.5, "light from all around is taken from one frame, not from three"


def test_nothing_else_is_computed_again(folders):
    *_, reports = folders
    done = {report.stage for report in reports if report.step > 0 and report.message != "found finished"}
    assert done == {"render_rigid", "render_coarse", "cache", "pictures"}


def test_a_job_without_a_prior_draws_its_layer_once(tmp_path):
    reports = []
    animate(make_shot(FRAMES, width=96, height=160), tmp_path, SMALL.changed(prior="none"), reports.append)
    assert sum(r.total for r in {r.stage: r for r in reports if r.stage.startswith("render")}.values()) < 3 * FRAMES
    assert (tmp_path / "videos" / "restored.mp4").read_bytes() == (tmp_path / "videos" / "refined.mp4").read_bytes()
