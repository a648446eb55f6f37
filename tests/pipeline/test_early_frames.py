"""Frames of cloth that can be played while the rest is computed."""

import numpy as np
import pytest
from synthetic import make_shot, result_of

from ani3d_formats.early_frames import HEADER, NAME, EarlyFrames, ready_of
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.pipeline.work import work


def read(path, count):
    data = path.read_bytes() if path.exists() else b""
    return np.frombuffer(data[HEADER.size :], "<f4").reshape(-1, count, 3)[: ready_of(data)]


def test_a_file_of_frames_grows(tmp_path):
    rigid = np.zeros((4, 5, 3), np.float32)
    frames = EarlyFrames(tmp_path / "in" / NAME, rigid)
    assert len(read(frames.path, 5)) == 0
    frames.show(0, np.array([1, 3]), np.ones((2, 3)))
    frames.show(1, np.array([1]), 2 * np.ones((1, 3)))
    frames.show(0, np.array([0]), 3 * np.ones((1, 3)))  # another garment, later
    shown = read(frames.path, 5)
    np.testing.assert_array_equal(shown[..., 0], [[3, 1, 0, 1, 0], [0, 2, 0, 0, 0]])
    assert ready_of(b"") == ready_of(b"x" * 16) == 0


@pytest.mark.parametrize("factor", [1.0, 0.01])
def test_frames_of_a_job_can_be_read_before_it_ends_and_are_those_of_the_result(tmp_path, factor):
    shot = make_shot(8).scaled(factor)
    seen = []

    def look(report):
        if report.stage == "cloth" and (early := read(tmp_path / NAME, len(shot["vertices"]))).size:
            seen.append(early.copy())

    work(shot, tmp_path, Settings.from_dict({"preset": "cloth"}), look)
    assert 0 < len(seen[0]) < 8 and len(seen[-1]) == 8, "some of them, then all"
    assert not (tmp_path / NAME).exists()
    result, skirt = result_of(tmp_path), shot.meta.objects[1].rows
    np.testing.assert_allclose(seen[0][:, skirt], result[: len(seen[0]), skirt], atol=1e-5 * max(factor, 1))
    np.testing.assert_allclose(seen[-1], result, atol=1e-5 * max(factor, 1))
