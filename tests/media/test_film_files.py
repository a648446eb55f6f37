"""Film frames on disk hold what they declare, and a full disk leaves what was there."""

import io
import struct

import cv2
import numpy as np
import OpenEXR
import pytest
from PIL import Image

from ani3d_formats import atomic
from ani3d_formats.color import linear_to_srgb
from ani3d_formats.errors import Ani3DError
from ani3dhuman.media.film_frames import REC709, write_exr, write_png16
from ani3dhuman.media.picture import Picture


@pytest.fixture
def picture():
    """Premultiplied linear light with all kinds of coverage."""
    rng = np.random.default_rng(0)
    rgba = rng.random((9, 14, 4)).astype(np.float32)
    rgba[:, 0, 3], rgba[:, 1, 3] = 0, 1
    rgba[..., :3] *= rgba[..., 3:]
    return Picture(rgba, "premultiplied", "linear")


def full_disk(path, mode):
    """An `open` that gives the kernel's always-full device."""
    return open("/dev/full", mode)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG, whose checksums Pillow has checked."""
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def test_png_is_16_bit_straight_srgb_and_says_so(tmp_path, picture):
    write_png16(tmp_path / "a.png", picture)
    read = cv2.cvtColor(cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
    assert read.dtype == np.uint16 and read.shape == (9, 14, 4)
    alpha = picture.rgba[..., 3:]
    straight = linear_to_srgb(picture.rgba[..., :3] / np.where(alpha > 0, alpha, 1))
    np.testing.assert_allclose(read[:, 1:, :3] / 65535, straight[:, 1:], atol=2e-5)
    np.testing.assert_allclose(read[..., 3:] / 65535, alpha, atol=1e-5)
    data = (tmp_path / "a.png").read_bytes()
    Image.open(io.BytesIO(data)).verify()
    names = [name for name, _ in chunks(data)]
    assert names[:2] == [b"IHDR", b"sRGB"] and names.count(b"sRGB") == 1
    assert not {b"gAMA", b"iCCP", b"cICP"} & set(names), "nothing that would say otherwise"
    assert chunks(data)[0][1][8:10] == bytes([16, 6]), "16 bits, RGBA"


def test_exr_is_premultiplied_linear_and_says_so(tmp_path, picture):
    write_exr(tmp_path / "half.exr", picture, metadata={"frame": 12, "exposure": "x"})
    write_exr(tmp_path / "full.exr", picture.to("straight", "srgb"), full_float=True)
    with OpenEXR.File(str(tmp_path / "half.exr")) as file:
        header, half = dict(file.header()), file.channels()["RGBA"].pixels
    with OpenEXR.File(str(tmp_path / "full.exr")) as file:
        full = file.channels()["RGBA"].pixels
    assert half.dtype == np.float16 and full.dtype == np.float32
    np.testing.assert_array_equal(half, picture.rgba.astype(np.float16))
    np.testing.assert_allclose(full, picture.rgba, atol=1e-6)
    assert header["chromaticities"] == pytest.approx(REC709)
    assert header["colorInteropID"] == "lin_rec709_scene"
    assert OpenEXR.colorInteropIDToChromaticities("lin_rec709_scene") == pytest.approx(REC709), "a known name"
    assert (header["alpha"], header["transfer"], header["frame"], header["exposure"]) == (
        "premultiplied",
        "linear",
        12,
        "x",
    )


@pytest.mark.parametrize("write", [write_png16, write_exr])
def test_the_order_in_memory_does_not_matter(tmp_path, picture, write):
    turned = Picture(np.asfortranarray(picture.rgba), picture.alpha, picture.transfer)
    write(tmp_path / "rows", picture)
    write(tmp_path / "columns", turned)
    assert (tmp_path / "columns").read_bytes() == (tmp_path / "rows").read_bytes()


@pytest.mark.parametrize("write", [write_png16, write_exr])
def test_a_full_disk_is_reported_and_the_old_file_stays(tmp_path, picture, monkeypatch, write):
    path = tmp_path / "a"
    write(path, picture)
    before = path.read_bytes()
    monkeypatch.setattr(atomic, "open", full_disk, raising=False)
    with pytest.raises(Ani3DError) as caught:
        write(path, picture)
    assert caught.value.code == "disk.full"
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a"]
