"""The rigid layer is drawn for the contact sheet alone, unless a video of it is asked for."""

import numpy as np
import pytest
from PIL import Image
from synthetic import make_shot

from ani3dhuman.media.video import read_video
from ani3dhuman.pipeline.animate import animate
from ani3dhuman.pipeline.settings import Settings

SMALL = Settings.from_dict({"preset": "draft", "gaussians": 2500, "refine_steps": 4, "render_scale": 1.0})
FRAMES = 9


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Without the video of the rigid layer and, after it in the same folder of stages, with it."""
    shot, out = make_shot(FRAMES, width=96, height=160), tmp_path_factory.mktemp("job")
    animate(shot, out, SMALL)
    reports = []
    sheet = np.asarray(Image.open(out / "contact_sheet.png").convert("RGB")).astype(int)
    names = {path.name for path in (out / "videos").iterdir()}
    wide = read_video(out / "videos" / "side_by_side.mp4").shape
    animate(shot, out, SMALL.changed(rigid_video=True), reports.append)
    return out, sheet, names, wide, reports


def test_only_who_asks_has_the_video(folders):
    out, _, names, wide, _ = folders
    assert names == {"coarse.mp4", "restored.mp4", "refined.mp4", "side_by_side.mp4"}
    assert {path.name for path in (out / "videos").iterdir()} == names | {"rigid.mp4"}
    assert len(read_video(out / "videos" / "rigid.mp4")) == FRAMES
    assert read_video(out / "videos" / "side_by_side.mp4").shape[2] > wide[2]


def test_the_sheet_has_the_layer_all_the_same(folders):
    out, sheet, *_ = folders
    whole = np.asarray(Image.open(out / "contact_sheet.png").convert("RGB")).astype(int)
    assert sheet.shape == whole.shape
    assert np.abs(sheet - whole).mean() < 0.5, "light from all around is taken from one frame, not from three"


def test_nothing_else_is_computed_again(folders):
    *_, reports = folders
    done = {report.stage for report in reports if report.step > 0 and report.message != "found finished"}
    assert done == {"render_rigid", "cache", "pictures"}
