"""The engine's program as a renderer of film frames: lines of JSON in, EXR files and lines of JSON out."""

import io
import json

import numpy as np
import OpenEXR
import pytest

from ani3d_formats.errors import Ani3DError
from ani3d_formats.film_camera import Film, FilmMeta
from ani3d_formats.frames import write_cache
from ani3d_formats.gaussians import GaussianFrames
from engine.draw_film import serve

ORIGIN = (100.0, 0.0, 0.0)


@pytest.fixture
def work(tmp_path):
    """The first line of a film: one white Gaussian 2 m before the camera, far from the world's middle."""
    ones = np.ones((2, 1, 3), np.float32)
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (2, 1, 1))
    means = np.tile(np.array([0, 0, 2], np.float32), (2, 1, 1))
    gaussians = GaussianFrames(means, quats, 0.1 * ones, np.full(1, 0.9, np.float32), ones)
    cache = write_cache(tmp_path / "Rig.ani3d", gaussians, fps=24, frame_start=1, origin=ORIGIN)
    view = np.eye(4)
    view[:3, 3] = np.negative(ORIGIN)
    K = np.array([[20.0, 0, 8], [0, 20, 8], [0, 0, 1]])
    film = Film(FilmMeta(16, 16, 1, samples=2), np.stack([view] * 2), np.stack([K] * 2), np.zeros((2, 2)))
    film.save(tmp_path / "camera.npz")
    return {"cache": str(cache), "film": str(tmp_path / "camera.npz"), "out": str(tmp_path / "out")}


def said(*lines):
    """Exit status and answers to these lines."""
    told = io.StringIO()
    asked = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    status = serve(io.StringIO(asked), told)
    return status, [json.loads(line) for line in told.getvalue().splitlines()]


def test_frames_are_drawn_cut_and_have_a_depth(work, tmp_path):
    depths = np.full((1, 16, 16), 9.0)
    depths[:, :, 8:] = 1.0
    np.savez(tmp_path / "near.npz", depths=depths, times=np.ones(1))
    status, told = said(work, {"frame": 1, "depth": ""}, {"frame": 2, "depth": str(tmp_path / "near.npz")})
    assert status == 0 and [line["frame"] for line in told if "file" in line] == [1, 2]
    assert {"frame": 1, "step": 1, "total": 2} in told
    channels = [OpenEXR.File(line["file"]).channels() for line in told if "file" in line]
    assert abs(channels[0]["Z"].pixels[8, 7] - 2) < 1e-3 and channels[0]["Z"].pixels[0, 0] == np.float32(1e10)
    whole, cut = (each["RGBA"].pixels for each in channels)
    assert whole[8, 7, 3] > 0.6 and not cut[:, 8:].any()
    np.testing.assert_array_equal(cut[:, :8], whole[:, :8])


def test_what_cannot_be_drawn_is_told_and_the_next_frame_goes_on(work):
    status, told = said(work, {"frame": 7}, "nonsense", {"frame": 1, "depth": "/no/such/file"}, {"frame": 1})
    assert [line["error"]["code"] for line in told if "error" in line] == ["film.frames", "film.request", "film.depth"]
    assert status == 0 and "file" in told[-1]


def test_work_that_cannot_begin_ends_it(work, tmp_path):
    assert said({**work, "cache": str(tmp_path / "none.ani3d")}, {"frame": 1})[0] == 1
    np.savez(tmp_path / "camera.npz", meta=np.array("{}"))
    status, told = said(work)
    assert (status, told[0]["error"]["code"]) == (1, "film.broken")
    with pytest.raises(Ani3DError, match="no film camera"):
        Film.load(tmp_path / "nothing.npz")
