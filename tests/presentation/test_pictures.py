"""Sheets, floor and skeleton drawings show what they should, where they should."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from human_rig import human_shot
from synthetic import make_shot

from ani3d_formats.progress import Report
from ani3dhuman.clip import CoarseClip
from ani3dhuman.pipeline.coarse import CoarseLayers
from ani3dhuman.pipeline.pictures import write_conditions
from ani3dhuman.pose.keypoints import map_keypoints
from ani3dhuman.pose.skeleton import bone_ends, draw_skeleton
from ani3dhuman.pose.video import pose_video
from ani3dhuman.presentation.backdrop import Floor, compose, studio
from ani3dhuman.presentation.sheets import PAPER, contact_sheet, side_by_side
from ani3dhuman.presentation.terminal import Bars, table
from ani3dhuman.rendering.layers import LayerRender


def test_side_by_side_keeps_every_picture_whole():
    left, right = np.full((80, 60, 3), 10, np.uint8), np.full((80, 60, 3), 200, np.uint8)
    sheet = side_by_side({"Left": left, "Right": right})
    assert sheet.shape[1] == 60 + 4 + 60
    np.testing.assert_array_equal(sheet[-80:, :60], left)
    np.testing.assert_array_equal(sheet[-80:, -60:], right)
    title = sheet[:-80]
    assert title.min() < 100 and title.max() == PAPER, "titles are written"


def test_contact_sheet_shows_first_and_last_frame():
    frames = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.full((1, 40, 30, 3), 20, np.uint8)
    sheet = contact_sheet({"A": frames, "B": frames}, list(range(1, 11)), picks=3, height=40)
    assert sheet[-1, 0, 0] == 0 and sheet[-1, -1, 0] == 180
    assert contact_sheet({"A": frames[:1]}, [1]).shape[0] > 0, "a single frame is a sheet too"


@pytest.fixture(scope="module")
def shot():
    return make_shot(2, width=96, height=160)


def test_the_floor_is_darkest_below_the_character(shot):
    vertices = shot["vertices"] + [0, 0, 0.0]
    view = studio(Floor.seen(shot.cameras, 0, 0.0), vertices, np.full(3, 0.6), 0.0)
    feet, _ = shot.cameras.project(np.array([[0.0, 0, 0], [1.0, 0, 0]]), 0)
    below = view[int(feet[0, 1]) - 1, int(feet[0, 0])].mean()
    aside = view[int(feet[0, 1]) - 1, 4].mean()
    assert below < aside - 0.1


def test_compose_changes_only_what_shows_through():
    rgb, alpha = np.full((4, 4, 3), 128, np.uint8), np.zeros((4, 4))
    alpha[:2] = 1
    out = compose(rgb, alpha, np.full(3, 128 / 255), np.full((4, 4, 3), 0.25))
    assert (out[:2] == 128).all()
    assert (np.abs(out[2:].astype(int) - 64) <= 1).all()


def test_the_skeleton_is_drawn_where_the_camera_sees_it(shot):
    picture = draw_skeleton(shot["bone_pose"][0], shot["bone_lengths"], shot["bone_parents"], shot.cameras, 0)
    heads, tails = bone_ends(shot["bone_pose"][0], shot["bone_lengths"])
    for point in (heads + tails) / 2:
        (x, y), _ = (a[0] for a in shot.cameras.project(point[None], 0))
        assert picture[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].max() > 60
    assert (picture.reshape(-1, 3).max(1) > 0).mean() < 0.2


def test_bones_behind_the_camera_are_left_out(shot):
    behind = shot["bone_pose"][0].copy()
    behind[:, 1, 3] = -10
    assert not draw_skeleton(behind, shot["bone_lengths"], shot["bone_parents"], shot.cameras, 0).any()


@pytest.mark.parametrize("make", [make_shot, human_shot])
def test_the_conditions_of_a_job_show_the_pose(make, tmp_path):
    shot = make(2, width=192, height=256) if make is make_shot else make(size=(192, 256), fingers=False)
    keypoints, size = map_keypoints(shot), (2, 256, 192)
    coarse = LayerRender(np.zeros((*size, 3), np.uint8), np.ones(size), np.full(size, 9.0), np.zeros(size))
    none = np.zeros((2, 0, 3))  # neither mesh nor avatar is looked at
    clip = replace(CoarseClip.of_shot(shot, None, none, none), pictures=coarse)
    poses = pose_video(shot, keypoints, shot.cameras, coarse)
    write_conditions(tmp_path, shot, CoarseLayers(clip, none, keypoints, "", {}, "", ""), "dwpose")
    sheet = cv2.imread(str(tmp_path / "conditions.png"))[..., ::-1]
    bottom = sheet[-360:, :270].astype(int)
    enlarged = cv2.resize(poses[0], (270, 360), interpolation=cv2.INTER_AREA).astype(int)
    assert poses.any() and np.abs(bottom - enlarged).max() <= 1
    right_wrist = (poses[0] == (170, 255, 0)).all(-1).any()
    assert right_wrist == keypoints.is_human == (make is human_shot)


def test_the_table_names_every_stage_and_layer():
    text = table(
        {
            "seconds": {"rigid": 1.25, "cloth": 2.5},
            "peak_gb": {"rigid": 0.5, "cloth": 0.75},
            "reused": ["cloth"],
            "frames": 8,
            "gaussians": 10,
            "vertices": 20,
            "hem_amplitude_cm": {"rigid": 3.0, "refined": 9.5},
            "notes": {"refinement": "fine", "restoration": {"steps": 7, "seed": 0}},
            "warnings": ["Object 'Cape': nothing holds it."],
        }
    )
    assert text.splitlines() == [
        "stage             seconds  peak GB",
        "rigid                 1.2     0.50",
        "cloth                 2.5     0.75  (finished before)",
        "all                   3.8     0.75",
        "",
        "8 frames, 10 Gaussians, 20 vertices",
        "motion of the hem, cm RMS seen from the hips: rigid 3.0  ->  refined 9.5",
        "refinement: fine",
        "restoration: steps 7, seed 0",
        "warning: Object 'Cape': nothing holds it.",
    ]


def test_a_warning_is_a_line_of_its_own_among_the_bars(capsys):
    bars = Bars()
    for report in (Report("cloth", 4, 8, 1.0, 1.0), Report("warning", 1, 1, 0, 0, "Object 'Cape': it follows.")):
        bars.listen(report)
    bars.listen(Report("cloth", 8, 8, 0.0, 2.0))
    bars.close()
    printed = capsys.readouterr()
    assert "warning: Object 'Cape': it follows.\n" in printed.out + printed.err
    assert (printed.out + printed.err).count("cloth") >= 1 and "warning  " not in printed.err
