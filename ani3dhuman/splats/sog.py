"""SOG of PlayCanvas, version 2, read: pictures without loss and meta.json, in a folder or a ZIP.

The specification is at developer.playcanvas.com, "The SOG format".
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.names import is_file_name

from .quantized import add_largest
from .splats import COEFFICIENTS, MOST, Splats, check_unpacked, damaged_error

LARGEST = 1 << 28  # bytes of a picture in the file
ROW = 20  # bytes of a Gaussian in pictures
FEWEST = 1 << 20  # pixels that any picture may have; a palette needs nearly as many
PALETTE = 64  # entries of the palette in a row of its picture

PNG = b"\x89PNG\r\n\x1a\n"

Load = Callable[[str], bytes]


def read_sog(path: Path) -> tuple[Splats, str | None]:
    """Gaussians of a SOG: a .sog file, or meta.json in a folder of pictures.

    Raises `Ani3DError` ``splats.malformed``.
    """
    try:
        if path.name.endswith(".json"):
            beside = sum(file.stat().st_size for file in path.parent.iterdir() if file.is_file())
            return _read(path, lambda name: (path.parent / name).read_bytes(), path.name, beside), None
        with zipfile.ZipFile(path) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}

            def load(name: str) -> bytes:
                if sizes[name] > LARGEST:
                    raise damaged_error(path, f"{name} has {sizes[name]:,} bytes", "SOG")
                return archive.read(name)

            return _read(path, load, "meta.json", path.stat().st_size), None
    except (Ani3DError, MemoryError):
        raise
    except Exception as error:  # a damaged archive fails in many ways, in the names and types of its metadata too
        raise damaged_error(path, f"{type(error).__name__}: {error}"[:200], "SOG") from error


def _read(path: Path, load: Load, meta_name: str, packed: int) -> Splats:
    meta = json.loads(load(meta_name))
    count, version = meta["count"], meta.get("version")
    if version != 2 or not isinstance(count, int) or not 0 <= count <= MOST:
        raise damaged_error(path, f"it says version {version!r}, {count!r} Gaussians", "SOG")

    check_unpacked(path, packed, ROW * count, "SOG")
    most = max(FEWEST, 4 * count)

    def pixels(part: str, index: int = 0) -> np.ndarray:
        """(N,4) bytes of the first Gaussians."""
        picture = _picture(path, load, meta[part]["files"][index], most)
        if len(picture) * picture.shape[1] < count:
            raise damaged_error(path, f"the picture of {part} has too few pixels for {count:,}", "SOG")
        return picture.reshape(-1, 4)[:count]

    low, high = (np.asarray(meta["means"][side], np.float64).reshape(3) for side in ("mins", "maxs"))
    sixteen = pixels("means", 1)[:, :3].astype(np.uint16) * 256 + pixels("means")[:, :3]
    logs = low + sixteen / 65535 * (high - low)
    means = (np.sign(logs) * np.expm1(np.abs(logs))).astype(np.float32)
    turns = pixels("quats")
    if count and (turns[:, 3] < 252).any():
        raise damaged_error(path, "a rotation is marked wrongly", "SOG")
    three = (turns[:, :3] / np.float32(255) - np.float32(0.5)) * np.float32(np.sqrt(2))
    quats = add_largest(three, turns[:, 3].astype(np.int64) - 252)
    scales = np.exp(np.asarray(meta["scales"]["codebook"], np.float32)[pixels("scales")[:, :3]])
    base = pixels("sh0")
    sh = np.asarray(meta["sh0"]["codebook"], np.float32)[base[:, :3]][:, None]
    if meta.get("shN"):
        sh = np.concatenate([sh, _rest(path, load, meta["shN"], pixels("shN", 1))], axis=1)
    return Splats(means, quats, scales, base[:, 3] / np.float32(255), sh)


def _rest(path: Path, load: Load, meta: dict[str, Any], labels: np.ndarray) -> np.ndarray:
    """Coefficients above the first, (N,K-1,3), by each Gaussian's entry of the palette."""
    width = COEFFICIENTS[int(meta["bands"])] - 1
    palette = _picture(path, load, meta["files"][0], FEWEST)
    number = labels[:, 0].astype(np.int64) + labels[:, 1].astype(np.int64) * 256
    rows, first = number // PALETTE, number % PALETTE * width
    if palette.shape[1] != PALETTE * width or (len(number) and rows.max() >= len(palette)):
        raise damaged_error(path, "its palette of colours is too small", "SOG")
    entries = palette[rows[:, None], first[:, None] + np.arange(width), :3]
    return np.asarray(meta["codebook"], np.float32)[entries]


def _picture(path: Path, load: Load, name: str, most: int) -> np.ndarray:
    """(H,W,4) bytes RGBA of a WebP or PNG of at most so many pixels."""
    import cv2

    if not isinstance(name, str) or not is_file_name(name):
        raise damaged_error(path, f"{name!r} is no name of a picture in it", "SOG")
    data = load(name)
    if data[8:12] == b"WEBP":
        wide, high = _webp_size(data)
    elif data.startswith(PNG):
        wide, high = struct.unpack(">II", data[16:24])
    else:
        raise damaged_error(path, f"{name} is neither WebP nor PNG", "SOG")
    if wide * high > most:
        raise damaged_error(path, f"{name} has {wide} x {high} pixels", "SOG")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.dtype != np.uint8:
        raise damaged_error(path, f"{name} is no picture of 8-bit colours", "SOG")
    code = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGBA
    return cv2.cvtColor(picture, code)


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height that a WebP's header says (RFC 9649), before anything is unpacked."""
    kind = data[12:16]
    if kind == b"VP8L":
        (bits,) = struct.unpack("<I", data[21:25])
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    wide, high = struct.unpack("<HH", data[26:30])
    return wide & 0x3FFF, high & 0x3FFF
