"""Files of arrays whose sizes lie are refused before memory is taken."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ani3d_formats.errors import Ani3DError
from ani3d_formats.npz import read_npz
from ani3d_formats.shot import Shot
from ani3d_formats.views import Views


def header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def bomb(path: Path, kind: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        if kind == "zeros":  # 96 MB in 100 kB
            archive.writestr("meta.npy", header((24_000_000,)) + bytes(96_000_000))
        elif kind == "announced":
            archive.writestr("meta.npy", header((25_000_000_000,)) + bytes(100))
        elif kind == "endless":
            archive.writestr("meta.npy", header((10**9, 10**9)) + bytes(100))
        elif kind == "too short":
            archive.writestr("meta.npy", header((3,)) + bytes(100))
        elif kind == "pickle":
            archive.writestr("meta.npy", header((1,), "|O") + b"cos\nsystem\n")
        elif kind == "nameless":
            archive.writestr("meta.npy", b"")
    if kind == "encrypted":
        np.savez(path, meta=np.arange(3))
        data = bytearray(path.read_bytes())
        data[data.index(b"PK\1\2") + 8] |= 1
        path.write_bytes(data)
    if kind == "method":
        np.savez(path, meta=np.arange(3))
        data = bytearray(path.read_bytes())
        data[data.index(b"PK\1\2") + 10] = 99
        path.write_bytes(data)
    return path


KINDS = ["zeros", "announced", "endless", "too short", "pickle", "nameless", "encrypted", "method"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused_before_memory_is_taken(tmp_path: Path, kind: str) -> None:
    path = bomb(tmp_path / "bomb.npz", kind)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError):
            read_npz(path, limit=50_000_000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_shots_and_views_say_it_in_a_sentence(tmp_path: Path, kind: str) -> None:
    path = bomb(tmp_path / "bomb.npz", kind)
    for load, code in ((Shot.load, "shot.file_broken"), (Views.load, "views.file_broken")):
        with pytest.raises(Ani3DError) as caught:
            load(path)
        assert caught.value.code == code and str(path) in caught.value.message


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_whole_files_are_read_bit_for_bit(tmp_path: Path, save) -> None:
    arrays = {
        "meta": np.array("Änn"),
        "empty": np.empty((0, 3), np.int32),
        "wide": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "scalar": np.float32(3),
    }
    save(tmp_path / "a.npz", **arrays)
    back = read_npz(tmp_path / "a.npz")
    assert set(back) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == np.asarray(array).dtype
