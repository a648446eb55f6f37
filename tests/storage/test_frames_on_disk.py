"""Frames on disk: what comes back is what went in, one at a time; damaged files are refused."""

from dataclasses import dataclass

import numpy as np
import pytest

from ani3dhuman.storage.frames_on_disk import Computed, FrameFile, made_when_asked, on_disk
from ani3dhuman.storage.stage_store import StageStore, read_stage


def pictures(dtype: str) -> np.ndarray:
    """A patch that moves over a plain ground, one empty frame, and one that is full."""
    rng = np.random.default_rng(0)
    shown = np.full((5, 20, 12, 3), 7, dtype)
    for t in range(3):
        shown[t, 3 + t : 11 + t, 2:9] = rng.integers(0, 200, (8, 7, 3))
    shown[4] = rng.integers(0, 200, (20, 12, 3))
    return shown


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_frames_come_back_as_they_were(tmp_path, dtype, packed):
    shown = pictures(dtype)
    file = FrameFile(shown.shape, dtype, packed=packed, folder=tmp_path)
    for frame in shown:
        file.append(frame)
    file.save(tmp_path / "a.frames")
    for frames in (file, FrameFile.open(tmp_path / "a.frames")):
        np.testing.assert_array_equal(np.asarray(frames), shown)
        np.testing.assert_array_equal(frames[1:4], shown[1:4])
        np.testing.assert_array_equal(frames[-1, 2:5], shown[-1, 2:5])
        assert frames.shape == shown.shape and frames.dtype == shown.dtype and len(list(frames)) == 5


def test_a_character_before_a_plain_ground_takes_little_room(tmp_path):
    shown = np.zeros((3, 400, 300), np.float16)
    shown[:, 150:200, 100:140] = 1
    file = on_disk(Computed(shown.shape, shown.dtype, lambda t: shown[t]))
    assert file.nbytes < shown.nbytes / 200


def test_frames_are_made_in_order_and_once(tmp_path):
    made = []

    def coming():
        for t in range(4):
            made.append(t)
            yield np.full((3, 2), t, np.float32), np.full((3, 2, 3), t, np.uint8)

    files = [FrameFile((4, 3, 2), np.float32), FrameFile((4, 3, 2, 3), np.uint8)]
    one, other = made_when_asked(coming(), files)
    assert made == []
    assert other[2].max() == 2 and made == [0, 1, 2]
    assert one[1].max() == 1 and one[3].max() == 3 and made == [0, 1, 2, 3]


@dataclass(frozen=True)
class Shown:
    rgb: object
    name: str


def test_a_stage_keeps_frames_and_makes_damaged_ones_again(tmp_path):
    shown, computed = pictures("uint8"), []

    def compute():
        computed.append(1)
        return Shown(Computed(shown.shape, np.uint8, lambda t: shown[t]), "x")

    for damage in (None, lambda data: data[:-30], lambda data: data[:40] + b"?" + data[41:], None):
        found = StageStore(tmp_path).run("stage", "key", Shown, compute)
        np.testing.assert_array_equal(np.asarray(found.rgb), shown)
        (file,) = tmp_path.rglob("rgb.frames")
        if damage:
            file.write_bytes(damage(file.read_bytes()))
            assert read_stage(file.parent, Shown) is None
    assert len(computed) == 3
