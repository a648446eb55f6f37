"""Videos and PNG files."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from ani3d_formats import atomic
from ani3d_formats.errors import Ani3DError
from ani3dhuman.media.video import VideoWriter, read_video, write_png


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


@pytest.mark.parametrize(("height", "width"), [(100, 1), (16, 300), (65, 9)])
def test_long_narrow_videos_end(tmp_path, height, width):
    frame = np.full((height, width, 3), 90, np.uint8)
    with VideoWriter(tmp_path / "a.mp4", width, height, 24) as writer:
        for _ in range(3):
            writer.write(frame)
    read = read_video(tmp_path / "a.mp4")
    assert len(read) == 3 and read.shape[1] >= height and read.shape[2] >= width
    assert np.abs(read.astype(int) - 90).max() < 6


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


def full_disk(path, mode):
    """An `open` that gives the kernel's always-full device."""
    return open("/dev/full", mode)


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
