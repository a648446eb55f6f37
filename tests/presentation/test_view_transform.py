"""A shot's view transform on pictures: the table's own entries, what lies between, and a job's pictures."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from synthetic import make_arrays

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.pictures import write_pictures
from ani3dhuman.presentation.view_transform import displayed


def _identity(steps: int) -> np.ndarray:
    code = np.linspace(0, 1, steps, dtype=np.float32)
    return np.stack(np.meshgrid(code, code, code, indexing="ij"), axis=-1)


def _pictures() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (7, 9, 3), dtype=np.uint8)


def test_the_identity_and_no_table_change_nothing():
    picture = _pictures()
    np.testing.assert_array_equal(displayed(picture, _identity(33)), picture)
    assert displayed(picture, None) is picture


@pytest.mark.parametrize("steps", [2, 5, 33])
def test_what_is_linear_in_the_colours_is_exact_whatever_the_steps(steps):
    picture = _pictures()
    swapped = 0.25 + 0.5 * _identity(steps)[..., [2, 0, 1]]
    expected = 63.75 + 0.5 * picture[..., [2, 0, 1]].astype(float)
    assert np.abs(displayed(picture, swapped.astype(np.float32)) - expected).max() <= 0.501


def test_entries_are_met_and_stay_within_the_picture():
    table = np.random.default_rng(4).uniform(-0.2, 1.2, (6, 6, 6, 3)).astype(np.float32)
    picture = np.array([[[0, 51, 255], [102, 204, 153]]], np.uint8)
    expected = np.clip([table[0, 1, 5], table[2, 4, 3]], 0, 1) * 255
    assert np.abs(displayed(picture, table)[0] - expected).max() <= 0.501


def test_a_shot_keeps_its_table_and_refuses_others():
    arrays = {**make_arrays(), "view_table": _identity(4)}
    np.testing.assert_array_equal(Shot.from_arrays(arrays)["view_table"], _identity(4))
    for wrong in (np.zeros((3, 3, 2, 3), np.float32), np.zeros((1, 1, 1, 3), np.float32), _identity(3)[..., :2]):
        with pytest.raises(Ani3DError) as caught:
            Shot.from_arrays({**arrays, "view_table": wrong})
        assert caught.value.code == "shot.bad_array"


@pytest.mark.parametrize("red", [False, True])
def test_the_pictures_of_a_job_have_the_transform_of_its_shot(tmp_path, red):
    arrays = make_arrays()
    if red:  # whatever is there is shown red
        arrays["view_table"] = np.tile(np.float32([1, 0, 0]), (2, 2, 2, 1))
    shot = Shot.from_arrays(arrays)
    size = shot.frames, shot.meta.height, shot.meta.width
    layer = SimpleNamespace(rgb=np.full((*size, 3), 128, np.uint8), alpha=np.ones(size, np.float32))
    vertices = {name: np.tile(shot["vertices"], (shot.frames, 1, 1)) for name in ("rigid", "coarse")}
    write_pictures(tmp_path, shot, shot.cameras, {"coarse": layer}, vertices, Progress("pictures", 1))
    sheet = cv2.imread(str(tmp_path / "contact_sheet.png"))
    share = (sheet == (0, 0, 255)).all(-1).mean()
    assert share > 0.3 if red else share == 0
