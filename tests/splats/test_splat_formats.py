"""Gaussians in and out of every format: our own round trips, files that others made, and damaged ones."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from some_splats import differences, in_order_of, some_splats

from ani3d_formats.errors import Ani3DError
from ani3dhuman.splats.axes import AXES, turn
from ani3dhuman.splats.formats import FORMATS, format_of, read_splats, write_splats
from ani3dhuman.splats.harmonics import basis
from ani3dhuman.splats.splats import Splats
from benchmarks.formats.traps import nested, swollen

OTHERS = Path(__file__).parent / "made_by_others"
# largest differences that each format's bits allow, in the order of `differences`
EXACT = {"means": 1e-7, "degrees": 0.05, "scales": 1e-5, "opacities": 1e-6, "dc": 1e-6, "rest": 1e-6}
COMPRESSED = {"means": 0.002, "degrees": 0.3, "scales": 0.006, "opacities": 0.002, "dc": 0.008, "rest": 0.04}
SPZ = {"means": 0.00013, "degrees": 0.3, "scales": 0.032, "opacities": 0.002, "dc": 0.0135, "rest": 0.09}
SPLAT = {"means": 1e-7, "degrees": 1.7, "scales": 1e-5, "opacities": 0.002, "dc": 0.008, "rest": 0}
SOG = {"means": 0.0001, "degrees": 1.5, "scales": 0.03, "opacities": 0.004, "dc": 0.01, "rest": 0.03}
KSPLAT = {**EXACT, "opacities": 0.002, "dc": 0.008}
WRITTEN = {
    ".ply": EXACT,
    ".compressed.ply": COMPRESSED,
    ".spz": SPZ,
    ".splat": SPLAT,
    ".glb": EXACT,
    ".ksplat": KSPLAT,
    ".sog": SOG,
}


def assert_close(splats: Splats, others: Splats, bounds: dict[str, float]) -> None:
    found = differences(splats, others)
    assert all(found[name] <= bounds[name] for name in bounds), found


def test_the_table_of_formats_is_tested_whole():
    assert {each.ending for each in FORMATS if each.parts} == set(WRITTEN)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("ending", WRITTEN)
def test_round_trip(tmp_path, ending, degree):
    splats = some_splats(700, degree)  # three chunks of compressed PLY, the last one not full
    splats = replace(splats, sh=np.clip(splats.sh, -0.4, 0.4))  # SPZ holds -1 to 1, turned too
    write_splats(tmp_path / f"a{ending}", splats)
    back = read_splats(tmp_path / f"a{ending}")
    assert back.degree == min(degree, format_of(tmp_path / f"a{ending}").degree)
    if ending == ".splat":
        back = in_order_of(back, splats)
    # wider chunks than those of few Gaussians; coefficients in few bits add up where they are turned
    looser = {".compressed.ply": {"means": 0.003}, ".spz": {"rest": 0.12}}.get(ending, {})
    assert_close(back, splats, {**WRITTEN[ending], **looser})


@pytest.mark.parametrize(
    ("name", "axes", "bounds"),
    [
        ("some.ply", None, EXACT),
        ("some.compressed.ply", None, COMPRESSED),
        ("some.sog", None, SOG),
        ("some.v3.spz", "y-down", SPZ),  # it leaves the axes of its PLY as they are
        ("some.v4.spz", "y-down", SPZ),
    ],
)
def test_files_of_another_program(name, axes, bounds):
    splats = some_splats()
    assert_close(in_order_of(read_splats(OTHERS / name, axes), splats), splats, bounds)


def test_a_glb_of_another_program_which_turns_half_round():
    splats = read_splats(OTHERS / "some.glb").turned(np.diag([-1.0, -1, 1]))
    assert_close(splats, some_splats(), EXACT)


def test_a_sog_in_a_folder(tmp_path):
    zipfile.ZipFile(OTHERS / "some.sog").extractall(tmp_path)
    splats = some_splats()
    assert_close(in_order_of(read_splats(tmp_path / "meta.json"), splats), splats, SOG)


def test_another_reader_opens_our_ply(tmp_path):
    gsply = pytest.importorskip("gsply")
    splats = some_splats()
    write_splats(tmp_path / "a.ply", splats, "z-up")
    read = gsply.plyread(str(tmp_path / "a.ply"))
    assert np.array_equal(read.means, splats.means) and np.array_equal(read.quats, splats.quats)
    assert np.array_equal(read.sh0, splats.sh[:, 0]) and np.array_equal(read.shN, splats.sh[:, 1:])
    np.testing.assert_allclose(np.exp(read.scales), splats.scales, rtol=1e-5)
    np.testing.assert_allclose(1 / (1 + np.exp(-read.opacities)), splats.opacities, atol=1e-6)


def test_a_sog_of_many_has_a_palette_of_like_colours(tmp_path, monkeypatch):
    monkeypatch.setattr("ani3dhuman.splats.sog_writer.MOST_ENTRIES", 100)
    monkeypatch.setattr("ani3dhuman.splats.sog_writer.FEWER", 64)
    few, rng = some_splats(20), np.random.default_rng(0)
    splats = some_splats(600)
    splats = replace(splats, sh=few.sh[rng.integers(20, size=600)])
    write_splats(tmp_path / "a.sog", splats)
    assert_close(read_splats(tmp_path / "a.sog"), splats, SOG)


@pytest.mark.parametrize("version", [3, 4])
def test_spz_is_written_in_both_versions(tmp_path, version):
    from ani3dhuman.splats.spz import spz_parts

    splats = some_splats()
    parts = spz_parts(tmp_path / "a.spz", splats.turned(turn("z-up", "y-up")), "y-up", version)
    (tmp_path / "a.spz").write_bytes(b"".join(parts))
    assert_close(read_splats(tmp_path / "a.spz"), splats, SPZ)


@pytest.mark.parametrize("axes", AXES)
def test_a_ply_names_its_axes(tmp_path, axes):
    splats = some_splats()
    write_splats(tmp_path / "a.ply", splats, axes)
    assert_close(read_splats(tmp_path / "a.ply"), splats, EXACT)


def test_axes_agree_with_the_published_ones():
    """Blender's up is minus y in a PLY and y in SPZ and glTF; right is x in all."""
    up, right = np.array([0, 0, 1.0]), np.array([1.0, 0, 0])
    assert (turn("z-up", "y-down") @ up).tolist() == [0, -1, 0]
    assert (turn("z-up", "y-up") @ up).tolist() == [0, 1, 0]
    assert all((turn("z-up", axes) @ right == right).all() and np.linalg.det(turn("z-up", axes)) > 0 for axes in AXES)
    assert (turn("y-down", "y-up") == np.diag([1, -1, -1])).all()  # SPZ's rule from right-down-front


def test_colour_turns_with_the_axes():
    splats = some_splats(20)
    rng = np.random.default_rng(3)
    R = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    R *= np.sign(np.linalg.det(R))
    directions = rng.normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before = np.einsum("dk,nkc->ndc", basis(directions), splats.sh)
    after = np.einsum("dk,nkc->ndc", basis(directions @ R.T), splats.turned(R).sh)
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_turning_moves_the_whole_ellipsoid():
    from scipy.spatial.transform import Rotation

    splats, R = some_splats(20), np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])

    def covariances(s: Splats) -> np.ndarray:
        M = Rotation.from_quat(s.quats[:, [1, 2, 3, 0]]).as_matrix() * s.scales[:, None]
        return M @ M.transpose(0, 2, 1)

    turned = splats.turned(R, 2.0)
    np.testing.assert_allclose(covariances(turned), 4 * R @ covariances(splats) @ R.T, atol=1e-6)
    np.testing.assert_allclose(turned.means, 2 * splats.means @ R.T, atol=1e-6)


def ksplat(splats: Splats, mode: int, capacity: int = 10) -> bytes:
    """A .ksplat of one section, degree 1: bucket after bucket, the last one not full."""
    count = splats.count
    full, left = divmod(count, capacity)
    groups = np.minimum(np.arange(count) // capacity, full)
    buckets = full + (left > 0)
    middles = np.stack([splats.means[groups == k].mean(0) for k in range(buckets)]).astype("<f4")
    block, steps = 4.0, 32767
    color = np.clip(np.rint(np.concatenate([splats.colors, splats.opacities[:, None]], 1) * 255), 0, 255)
    rest = splats.sh[:, 1:].transpose(0, 2, 1).reshape(count, -1)  # channel by channel
    low, high = -1.5, 1.5
    real, place = ("<f4", "<f4") if mode == 0 else ("<f2", "<u2")
    rests = {0: rest.astype("<f4"), 1: rest.astype("<f2")}.get(mode, np.rint((rest - low) / (high - low) * 255))
    row = np.dtype(
        [("m", place, 3), ("s", real, 3), ("q", real, 4), ("c", "u1", 4), ("r", ("<f4", "<f2", "u1")[mode], 9)]
    )
    rows = np.zeros(count, row)
    rows["m"] = splats.means if mode == 0 else np.rint((splats.means - middles[groups]) / (block / 2 / steps) + steps)
    rows["s"], rows["q"], rows["c"], rows["r"] = splats.scales, splats.quats, color, rests
    head = bytearray(4096)
    head[0:2] = b"\0\1"
    struct.pack_into("<I", head, 4, 1)
    struct.pack_into("<I", head, 16, count)
    struct.pack_into("<H", head, 20, mode)
    struct.pack_into("<ff", head, 36, low, high)
    section = bytearray(1024)
    struct.pack_into("<IIIIf", section, 0, count, count, capacity, buckets, block)
    struct.pack_into("<H", section, 20, 12)
    struct.pack_into("<I", section, 24, steps if mode else 1)
    struct.pack_into("<IIH", section, 32, full, int(left > 0), 1)
    partial = struct.pack("<I", left) if left else b""
    return bytes(head + section) + partial + middles.tobytes() + rows.tobytes()


@pytest.mark.parametrize(("mode", "means", "rest"), [(0, 1e-7, 1e-6), (1, 0.0001, 0.001), (2, 0.0001, 0.006)])
def test_ksplat_is_read(tmp_path, mode, means, rest):
    splats = some_splats(64, 1)
    (tmp_path / "a.ksplat").write_bytes(ksplat(splats.turned(turn("z-up", "y-down")), mode))
    bounds = {"means": means, "degrees": 0.2, "scales": 0.001, "opacities": 0.002, "dc": 0.008, "rest": rest}
    assert_close(read_splats(tmp_path / "a.ksplat"), splats, bounds)


def written(tmp_path: Path, ending: str) -> bytes:
    write_splats(tmp_path / f"sound{ending}", some_splats(40))
    return (tmp_path / f"sound{ending}").read_bytes()


def sound_files(tmp_path: Path) -> dict[str, bytes]:
    files = {f"a{ending}": written(tmp_path, ending) for ending in WRITTEN}
    files["a.ksplat"] = ksplat(some_splats(40, 1), 1)
    files["b.spz"] = (OTHERS / "some.v4.spz").read_bytes()
    files["a.sog"] = (OTHERS / "some.sog").read_bytes()
    return files


def test_cut_files_are_refused_with_a_sentence(tmp_path):
    rng = np.random.default_rng(0)
    for name, data in sound_files(tmp_path).items():
        for length in [0, 1, 5, *rng.integers(6, len(data) - 1, 12)]:
            if name == "a.splat" and length % 32 == 0:
                continue  # any number of whole rows is a sound .splat
            (tmp_path / name).write_bytes(data[:length])
            with pytest.raises(Ani3DError, match=r"Export it again|Remove them") as refused:
                read_splats(tmp_path / name)
            assert name in refused.value.message


def test_flipped_bytes_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(0)
    for name, data in sound_files(tmp_path).items():
        for _ in range(25):
            changed = bytearray(data)
            for place in rng.integers(0, min(len(data), 3000), 3):
                changed[place] = rng.integers(256)
            (tmp_path / name).write_bytes(bytes(changed))
            try:
                splats = read_splats(tmp_path / name)
            except Ani3DError as refused:
                assert refused.code.startswith("splats.")
            else:
                assert np.isfinite(splats.means).all() and np.isfinite(splats.sh).all()


def test_bombs_are_refused_before_they_are_unpacked(tmp_path):
    huge = struct.pack("<IIIBBBB", 0x5053474E, 3, 4_000_000_000, 3, 12, 0, 0)
    (tmp_path / "a.spz").write_bytes(zlib.compress(huge + b"\0" * 1_000_000, 9, 31))
    with pytest.raises(Ani3DError, match="4,000,000,000 Gaussians"):
        read_splats(tmp_path / "a.spz")
    many = struct.pack("<IIIBBBB", 0x5053474E, 3, 600_000, 3, 12, 0, 0)
    (tmp_path / "a.spz").write_bytes(zlib.compress(many, 9, 31))
    with pytest.raises(Ani3DError, match="holds 16 of"):
        read_splats(tmp_path / "a.spz")
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 99999999\n" + "".join(
        f"property float {name}\n" for name in ("x", "y", "z")
    )
    (tmp_path / "a.ply").write_bytes((head + "end_header\n").encode())
    with pytest.raises(Ani3DError, match="too few for 99,999,999"):
        read_splats(tmp_path / "a.ply")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", b" " * (1 << 28) + b"{}")
    (tmp_path / "a.sog").write_bytes(buffer.getvalue())
    with pytest.raises(Ani3DError, match=r"meta\.json has 268,435,458 bytes"):
        read_splats(tmp_path / "a.sog")


@pytest.mark.parametrize("made", [swollen, nested])
def test_small_files_that_would_take_the_machine_are_refused(tmp_path, made):
    pytest.importorskip("pxr.Usd")
    for name, data in made().items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Ani3DError, match=f"{name} is not a sound") as refused:
            read_splats(tmp_path / name)
        assert refused.value.code == "splats.malformed"


@pytest.mark.parametrize(
    "picture",
    [
        b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 16382 | 16382 << 14),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 16383, 16383),
    ],
    ids=["WebP", "PNG"],
)
def test_a_picture_far_larger_than_its_gaussians_is_refused_unseen(tmp_path, picture):
    means = {"mins": [0, 0, 0], "maxs": [1, 1, 1], "files": ["a", "a"]}
    with zipfile.ZipFile(tmp_path / "a.sog", "w") as archive:
        archive.writestr("meta.json", json.dumps({"version": 2, "count": 4, "means": means}))
        archive.writestr("a", picture)
    with pytest.raises(Ani3DError, match="a has 16383 x 16383 pixels"):
        read_splats(tmp_path / "a.sog")


def test_too_little_memory_is_said(tmp_path, monkeypatch):
    write_splats(tmp_path / "a.ply", some_splats(5))
    monkeypatch.setattr(Splats, "checked", lambda self, path: np.empty(1 << 55))
    with pytest.raises(Ani3DError, match=r"not memory enough for a\.ply") as refused:
        read_splats(tmp_path / "a.ply")
    assert refused.value.code == "splats.memory"


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("means", np.nan, "a position that is not finite"),
        ("quats", 0.0, "a rotation of no length"),
        ("scales", np.inf, "a size that is not a positive number"),
        ("opacities", 1.5, "an opacity outside 0 to 1"),
        ("sh", np.nan, "a colour that is not finite"),
    ],
)
def test_wrong_numbers_are_named(tmp_path, field, value, what):
    splats = some_splats(40)
    getattr(splats, field)[7] = value
    with pytest.raises(Ani3DError, match=f"1 of 40 Gaussians have {what}, the first is number 7"):
        write_splats(tmp_path / "a.ply", splats)


def test_wrong_numbers_in_a_file_are_named(tmp_path):
    write_splats(tmp_path / "a.ply", some_splats(40, 0))
    data = (tmp_path / "a.ply").read_bytes()
    start = data.index(b"end_header\n") + 11
    (tmp_path / "a.ply").write_bytes(data[:start] + struct.pack("<f", np.nan) + data[start + 4 :])
    with pytest.raises(Ani3DError, match="1 of 40 Gaussians have a position that is not finite"):
        read_splats(tmp_path / "a.ply")


def test_a_plain_ply_of_a_scan_is_refused(tmp_path):
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float x\nproperty float y\nend_header\n"
    (tmp_path / "a.ply").write_bytes(head.encode() + b"\0" * 8)
    with pytest.raises(Ani3DError, match="its vertices have no z, opacity, scale_0"):
        read_splats(tmp_path / "a.ply")


def test_a_compressed_ply_under_a_plain_name(tmp_path):
    (tmp_path / "a.ply").write_bytes((OTHERS / "some.compressed.ply").read_bytes())
    assert read_splats(tmp_path / "a.ply").count == 64


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        (lambda folder: read_splats(folder / "a.obj"), "splats.format", "no ending of a file of Gaussians"),
        (lambda folder: read_splats(folder / "none.ply"), "splats.missing", "There is no file"),
        (lambda folder: write_splats(folder / "meta.json", some_splats()), "splats.format", "is read, not written"),
        (
            lambda folder: write_splats(folder / "b.usdc", some_splats()),
            "splats.format",
            "read, not written. Use `ani3dh",
        ),
        (lambda folder: write_splats(folder / "a.spz", some_splats(), "z-up"), "splats.axes", "always y-up"),
        (lambda folder: write_splats(folder / "a.ply", some_splats(), "up"), "splats.axes", "no axes called 'up'"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, call, code, text):
    with pytest.raises(Ani3DError, match=text) as refused:
        call(tmp_path)
    assert refused.value.code == code


def test_an_existing_file_stays_when_writing_fails(tmp_path):
    write_splats(tmp_path / "a.ply", some_splats(5))
    before = (tmp_path / "a.ply").read_bytes()
    broken = some_splats(5)
    broken.means[0] = np.nan
    with pytest.raises(Ani3DError):
        write_splats(tmp_path / "a.ply", broken)
    assert (tmp_path / "a.ply").read_bytes() == before
