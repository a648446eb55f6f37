"""The playback file: what moves in a cache as points of one PC2."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import CacheWriter, FrameCache
from ani3d_formats.playback_file import FOURTH, STILL, packings, playback_path, write_playback


def cache_of(path, frames, static=None):
    """A cache of the attributes in `frames` (a dict a frame) and `static`."""
    count = len(next(iter(frames[0].values())))
    with CacheWriter(path, count=count, frame_start=5, frame_end=4 + len(frames), fps=24) as writer:
        for name, values in (static or {}).items():
            writer.static(name, values)
        for frame in frames:
            writer.frame(frame)
    return FrameCache.open(path)


def points_in(path):
    data = path.read_bytes()
    _, _, points, start, _, samples = struct.unpack("<12siiffi", data[:32])
    assert start == 5
    return np.frombuffer(data[32:], "<f4").reshape(samples, points, 3)


def test_numbers_lie_where_the_format_says(tmp_path):
    rng = np.random.default_rng(0)
    scale, position = rng.uniform(size=(4, 3)).astype("f4"), rng.normal(size=(2, 4, 3)).astype("f4")
    rotation = np.tile(np.array([0.5, 0.5, 0.5, 0.5], "f4"), (2, 4, 1))
    rotation[1] = [0.5, 0.5, 0.5, -0.5]
    frames = [{"position": p, "rotation": r} for p, r in zip(position, rotation, strict=True)]
    cache = cache_of(tmp_path / "a.ani3d", frames, {"scale": scale})
    assert set(write_playback(cache)) == {
        playback_path(cache, name) for name in (STILL, "position", "rotation", "rotation" + FOURTH)
    }
    assert np.array_equal(points_in(playback_path(cache, "position")), position)
    assert np.array_equal(points_in(playback_path(cache, "rotation")), rotation[..., :3])
    points = points_in(playback_path(cache, "rotation" + FOURTH))
    assert points.shape == (2, 2, 3)  # the fourths by three
    assert np.array_equal(points.reshape(2, -1)[:, :4], rotation[..., 3])


def test_consecutive_quaternions_lie_in_one_hemisphere(tmp_path):
    signs = [1, -1, -1, 1]
    frames = [{"rotation": sign * np.array([[0.8, 0.6, 0, 0]], "f4")} for sign in signs]
    points = points_in(write_playback(cache_of(tmp_path / "a.ani3d", frames))[0])
    assert np.allclose(points[:, 0], [0.8, 0.6, 0])


def test_written_once_and_again_for_another_cache(tmp_path):
    cache = cache_of(tmp_path / "a.ani3d", [{"position": np.zeros((2, 3), "f4")}])
    (first,) = write_playback(cache)
    written = first.stat().st_mtime_ns
    assert write_playback(cache) == [first] and first.stat().st_mtime_ns == written
    first.write_bytes(first.read_bytes()[:-1])
    assert len(write_playback(cache)[0].read_bytes()) == 32 + 24  # a cut file is written again
    values = np.load(cache.path / "position.npy")
    other = cache_of(tmp_path / "b.ani3d", [{"position": values[0] + 1}])
    assert playback_path(other, "position").name != first.name
    (other.path / first.name).write_bytes(b"old")
    write_playback(other)
    assert [file.name for file in other.path.glob("*.pc2")] == [playback_path(other, "position").name]


def test_what_never_moves_needs_no_points(tmp_path):
    cache = cache_of(tmp_path / "a.ani3d", [{"position": np.zeros((2, 3), "f4")}], {"scale": np.ones((2, 3), "f4")})
    assert {name: list(plan.blocks) for name, plan in packings(cache).items()} == {
        STILL: ["scale"], "position": ["position"]
    }  # fmt: skip
    write_playback(cache)
    assert (points_in(playback_path(cache, STILL)) == np.ones((1, 2, 3))).all()


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path):
    cache = cache_of(tmp_path / "a.ani3d", [{"position": np.zeros((2, 3), "f4")}])
    path = playback_path(cache, "position")
    (path.parent / f".{path.stem}.partial.pc2").mkdir()
    with pytest.raises(Ani3DError) as caught:
        write_playback(cache)
    assert caught.value.code == "file.unwritable"
