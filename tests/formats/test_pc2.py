"""PC2 files: bytes, damage, full disks."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from ani3d_formats import pc2
from ani3d_formats.errors import Ani3DError
from ani3d_formats.pc2 import PC2Writer, read_pc2


def full_disk(path, mode):
    """An `open` that gives the kernel's always-full device."""
    return open("/dev/full", mode)


def write_pc2(path, vertices, frames=None):
    with PC2Writer(path, vertices.shape[1], start=7, frames=frames or len(vertices)) as writer:
        for frame in vertices:
            writer.write(frame)


@pytest.fixture
def vertices() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, 9, 3)).astype(np.float32)


def test_pc2_bytes_and_round_trip(tmp_path, vertices):
    write_pc2(tmp_path / "a.pc2", vertices)
    data = (tmp_path / "a.pc2").read_bytes()
    assert data[:32] == b"POINTCACHE2\0" + struct.pack("<iiffi", 1, 9, 7.0, 1.0, 4)
    assert data[32:] == vertices.tobytes()
    read = read_pc2(tmp_path / "a.pc2")
    assert np.array_equal(read.vertices, vertices) and (read.start, read.rate) == (7.0, 1.0)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda data: data[:-4], "pc2.cut"),
        (lambda data: data + b"\0", "pc2.cut"),
        (lambda data: data[:20], "pc2.malformed"),
        (lambda data: b"X" + data[1:], "pc2.malformed"),
        (lambda data: data[:12] + struct.pack("<i", 2) + data[16:], "pc2.malformed"),
    ],
)
def test_pc2_damage(tmp_path, vertices, damage, code):
    path = tmp_path / "a.pc2"
    write_pc2(path, vertices)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Ani3DError) as caught:
        read_pc2(path)
    assert caught.value.code == code


def test_pc2_missing(tmp_path):
    with pytest.raises(Ani3DError) as caught:
        read_pc2(tmp_path / "a.pc2")
    assert caught.value.code == "pc2.missing"


def test_pc2_wants_every_frame(tmp_path, vertices):
    for given, frames in ((vertices, 5), (vertices, 3)):
        with pytest.raises(Ani3DError) as caught:
            write_pc2(tmp_path / "a.pc2", given, frames)
        assert caught.value.code == "pc2.shape"
    assert list(tmp_path.iterdir()) == []


def test_pc2_on_a_full_disk(tmp_path, vertices, monkeypatch):
    write_pc2(tmp_path / "a.pc2", vertices)
    before = (tmp_path / "a.pc2").read_bytes()
    monkeypatch.setattr(pc2, "open", full_disk, raising=False)
    with pytest.raises(Ani3DError) as caught:
        write_pc2(tmp_path / "a.pc2", vertices + 1)
    assert caught.value.code == "disk.full"
    assert [path.name for path in tmp_path.iterdir()] == ["a.pc2"]
    assert (tmp_path / "a.pc2").read_bytes() == before
