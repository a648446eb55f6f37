# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the OpenEXR files that Blender writes without compression: a picture for each channel of each pass.

`bpy` gives no pixels of a render, nor of a multilayer file. OpenEXR's layout: https://openexr.com/en/latest/OpenEXRFileLayout.html
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_MAGIC, _MULTIPART = 20000630, 0x1000
_TYPES: dict[int, np.dtype] = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}
Header = dict[str, bytes]


def read_channels(path: Path) -> dict[str, np.ndarray]:
    """The channels of a file by name, such as "ViewLayer.Combined.R": (H,W) as stored, row 0 at the top.

    Raises:
        ValueError: it is no whole EXR file of uncompressed scanlines.
    """
    data = path.read_bytes()
    try:
        return _read(data)
    except (struct.error, IndexError, KeyError, ValueError) as error:
        raise ValueError(f"'{path}' is no whole EXR file ({error})") from error


def _read(data: bytes) -> dict[str, np.ndarray]:
    magic, version = struct.unpack_from("<iI", data)
    if magic != _MAGIC:
        raise ValueError("it begins otherwise")
    several = bool(version & _MULTIPART)
    headers: list[Header] = []
    place = 8
    while not headers or several:
        header, place = _header(data, place)
        if not header:
            break
        headers.append(header)
    found: dict[str, np.ndarray] = {}
    for header in headers:
        place = _picture(data, place, header, several, found)
    return found


def _header(data: bytes, place: int) -> tuple[Header, int]:
    """The attributes that begin at `place`, and where they end."""
    header: Header = {}
    while data[place]:
        name, place = _text(data, place)
        _, place = _text(data, place)
        (size,) = struct.unpack_from("<i", data, place)
        header[name] = data[place + 4 : place + 4 + size]
        place += 4 + size
    return header, place + 1


def _text(data: bytes, place: int) -> tuple[str, int]:
    end = data.index(0, place)
    return data[place:end].decode(), end + 1


def _picture(data: bytes, place: int, header: Header, several: bool, found: dict[str, np.ndarray]) -> int:
    """Read the picture whose table of rows begins at `place` into `found`; where its table ends."""
    left, top, right, bottom = struct.unpack("<4i", header["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    if header["compression"] != b"\0" or width < 1 or height < 1:
        raise ValueError("it is compressed or empty")
    channels = _channels(header["channels"])
    row = np.dtype([(str(number), kind, (width,)) for number, (_, kind) in enumerate(channels)])
    pictures = [np.empty((height, width), kind) for _, kind in channels]
    for offset in struct.unpack_from(f"<{height}Q", data, place):
        own = offset + 4 * several
        y, size = struct.unpack_from("<2i", data, own)
        if size != row.itemsize or own + 8 + size > len(data):
            raise ValueError("it is cut")
        values = np.frombuffer(data, row, 1, own + 8)[0]
        for number, picture in enumerate(pictures):
            picture[y - top] = values[str(number)]
    found.update((name, picture) for (name, _), picture in zip(channels, pictures, strict=True))
    return place + 8 * height


def _channels(data: bytes) -> list[tuple[str, np.dtype]]:
    """Names and types of the channels, in the order in which a row has them."""
    channels, place = [], 0
    while data[place]:
        name, place = _text(data, place)
        channels.append((name, _TYPES[struct.unpack_from("<i", data, place)[0]]))
        place += 16
    return channels
