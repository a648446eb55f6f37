"""PC2 files, pictures and videos, and the picture of a cache."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from ani3d_formats import atomic, pc2
from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.pc2 import PC2Writer, read_pc2
from ani3dhuman.media.video import VideoWriter, read_video, write_png
from ani3dhuman.presentation.cache_sheet import describe, motion_amplitude, plot


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


@pytest.mark.parametrize(("height", "width"), [(48, 64), (47, 63)])
def test_video_round_trip(tmp_path, height, width):
    y, x = np.mgrid[:height, :width]
    frames = np.stack(
        [np.stack([x * 3, y * 4, np.full_like(x, 40 * t)], -1).clip(0, 255).astype(np.uint8) for t in range(6)]
    )
    with VideoWriter(tmp_path / "a.mp4", width, height, 24) as writer:
        for frame in frames:
            writer.write(frame)
    read = read_video(tmp_path / "a.mp4")
    assert read.shape == (6, height + height % 2, width + width % 2, 3)
    assert np.abs(read[:, :height, :width].astype(int) - frames).mean() < 6
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_video_says_its_colours_and_has_its_index_in_front(tmp_path):
    rows, columns = np.mgrid[:96, :128]
    picture = np.stack([rows * 2, columns * 2, 255 - rows - columns], -1).astype(np.uint8)
    with VideoWriter(tmp_path / "a.mp4", 128, 96, 24 / 1.001) as writer:
        for _ in range(3):
            writer.write(picture)
    with av.open(tmp_path / "a.mp4") as container:
        stream = container.streams.video[0]
        coder = stream.codec_context
        assert (stream.average_rate, coder.pix_fmt) == (Fraction(24000, 1001), "yuv420p")
        assert coder.colorspace == Colorspace.ITU709 and coder.color_range == ColorRange.MPEG
        assert coder.color_primaries == ColorPrimaries.BT709 and coder.color_trc == ColorTrc.BT709
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat") and b"av01" in data
    assert np.abs(read_video(tmp_path / "a.mp4").astype(int) - picture).mean() < 1


def test_video_on_a_full_disk(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"what stood there")
    (tmp_path / ".a.partial.mp4").symlink_to("/dev/full")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with pytest.raises(Ani3DError) as caught, VideoWriter(tmp_path / "a.mp4", 64, 64, 24) as writer:
        writer.write(noise)
    assert caught.value.code == "disk.full"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"what stood there"


def test_video_cut_short_is_read_as_far_as_it_goes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    with VideoWriter(tmp_path / "a.mp4", 64, 64, 24) as writer:
        for frame in noise:
            writer.write(frame)
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(data[: len(data) // 2])
    assert 0 < len(read_video(tmp_path / "a.mp4")) < 40


def test_video_refuses_other_sizes_and_leaves_nothing(tmp_path):
    for frames in ([np.zeros((10, 12, 3), np.uint8)], []):
        with pytest.raises(Ani3DError) as caught, VideoWriter(tmp_path / "a.mp4", 16, 16, 24) as writer:
            for frame in frames:
                writer.write(frame)
        assert caught.value.code == ("video.shape" if frames else "video.incomplete")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Ani3DError) as caught:
        read_video(tmp_path / "a.mp4")
    assert caught.value.code == "video.missing"


def test_png_is_exact_and_full_disk_is_reported(tmp_path, monkeypatch):
    picture = np.random.default_rng(1).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    write_png(tmp_path / "a.png", picture)
    read = cv2.cvtColor(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
    assert np.array_equal(read, picture)
    monkeypatch.setattr(atomic, "open", full_disk, raising=False)
    with pytest.raises(Ani3DError) as caught:
        write_png(tmp_path / "a.png", picture[..., :3])
    assert caught.value.code == "disk.full"
    assert cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).shape == (5, 7, 4)


@pytest.fixture
def swinging(tmp_path):
    """A strip of points that travels along x while its lower end swings along y by 0.2 sin."""
    T, N = 24, 500
    time = np.linspace(0, 2 * np.pi, T, endpoint=False)
    z = np.linspace(0, 1, N)
    means = np.zeros((T, N, 3), np.float32)
    means[..., 0] = np.linspace(0, 2, T)[:, None]
    means[..., 1] = 0.2 * np.sin(time)[:, None] * (1 - z)
    means[..., 2] = z
    quats = np.broadcast_to(np.array([1, 0, 0, 0], np.float32), (T, N, 4))
    scales = np.broadcast_to(np.float32(0.01), (T, N, 3))
    colors = np.broadcast_to(np.stack([z, 0.4 + 0 * z, 1 - z], -1).astype(np.float32), (T, N, 3))
    gaussians = GaussianFrames(means, quats, scales, np.ones(N, np.float32), colors)
    mesh = {"Strip": means[:, ::10]}
    return write_cache(tmp_path / "strip.ani3d", gaussians, fps=24, frame_start=1, meshes=mesh)


def test_motion_amplitude_leaves_the_travel_out(swinging):
    from ani3d_formats.frames import FrameCache

    amplitude = motion_amplitude(FrameCache.open(swinging))
    # y_i - centre = 0.2 sin(t) (0.5 - z): RMS over a period is 0.2 |0.5 - z| / sqrt 2
    expected = 0.2 * np.abs(0.5 - np.linspace(0, 1, 500)) / np.sqrt(2)
    assert np.allclose(amplitude, expected, atol=1e-4)


def test_describe_names_counts_and_files(swinging):
    text = describe(swinging)
    for word in (
        "500 Gaussians",
        "24 frames",
        "1..24",
        "position",
        "24 x 500 x 3",
        "once",
        "Strip.pc2",
        "24 fps",
    ):
        assert word in text, word


def test_plot_writes_a_picture(swinging, tmp_path):
    plot(swinging, tmp_path / "cache.png")
    picture = cv2.imread(str(tmp_path / "cache.png"))
    assert picture.shape[0] > 500 and picture.shape[1] > 900
    assert picture.std() > 10
