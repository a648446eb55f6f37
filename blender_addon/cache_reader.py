# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a frame cache, `NAME.ani3d/`: a manifest and one .npy per attribute, memory-mapped.

numpy alone, no bpy: a frame is a slice of a mapped file, so scrubbing costs no memory. Every way a cache
can be broken is found when it is opened, and says which file is wrong.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError

SCHEMA = "ani3dhuman.cache"
VERSION = 1
REQUIRED = {"position": 3, "scale": 3, "rotation": 4, "radiance:base": 4}
PC2_HEADER = struct.Struct("<12siiffi")
_AGAIN = "Fetch the result from the engine again."


@dataclass(frozen=True)
class FrameCache:
    """An opened cache.

    Attributes:
        path: the folder.
        frame_start, frame_end: scene frames, both included.
        fps: frames a second.
        count: Gaussians, N.
        meshes: object name -> PC2 file name inside the folder.
        arrays: attribute name -> mapped float32 (T,N,k), or (N,k) when it does not change with time.
    """

    path: Path
    frame_start: int
    frame_end: int
    fps: float
    count: int
    meshes: dict[str, str]
    arrays: dict[str, np.ndarray]

    def index(self, frame: int) -> int:
        """Row of a scene frame; outside the range the first or last frame holds."""
        return min(max(frame, self.frame_start), self.frame_end) - self.frame_start

    def is_static(self, name: str) -> bool:
        return self.arrays[name].ndim == 2

    def frame(self, name: str, frame: int) -> np.ndarray:
        """(N,k) float32 of attribute `name` at scene frame `frame`."""
        array = self.arrays[name]
        return array if array.ndim == 2 else array[self.index(frame)]


def open_cache(path: Path | str) -> FrameCache:
    """Open and check the cache folder at `path`.

    Raises:
        Ani3DError: ``cache.missing``, ``cache.cut``, ``cache.version`` or ``cache.malformed``; the message names
            the file.
    """
    path = Path(path)
    manifest = _read_manifest(path)
    try:
        start, end, count = (int(manifest[k]) for k in ("frame_start", "frame_end", "count"))
        fps = float(manifest["fps"])
        meshes = {str(m["object"]): str(m["file"]) for m in manifest.get("meshes", ())}
        listed = {str(a["name"]): a for a in manifest["attributes"]}
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(path, f"its manifest lacks {error}") from error
    if count < 1 or end < start:
        raise _malformed(path, f"it holds {count} Gaussians in frames {start}..{end}")
    arrays = {name: _map_attribute(path, entry) for name, entry in listed.items()}
    for name, width in REQUIRED.items():
        if name not in arrays:
            raise _malformed(path, f"it has no attribute '{name}'")
        shape = arrays[name].shape
        if shape not in ((count, width), (end - start + 1, count, width)):
            raise _malformed(path, f"'{name}' has shape {shape} for {end - start + 1} frames of {count} Gaussians")
    for name in meshes.values():
        _check_inside(path, name)
    return FrameCache(path, start, end, fps, count, meshes, arrays)


def read_pc2_header(path: Path) -> tuple[int, int]:
    """(vertices, frames) of a PC2 point cache; checks that the file is whole."""
    if not path.is_file():
        raise Ani3DError("cache.missing", f"The mesh cache '{path}' is missing.", _AGAIN)
    with open(path, "rb") as file:
        head = file.read(PC2_HEADER.size)
    if len(head) < PC2_HEADER.size or head[:11] != b"POINTCACHE2":
        raise Ani3DError("cache.malformed", f"'{path}' is not a PC2 point cache.", _AGAIN)
    _, _, vertices, _, _, frames = PC2_HEADER.unpack(head)
    _check_size(path, PC2_HEADER.size + vertices * frames * 12)
    return vertices, frames


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / "manifest.json"
    if not file.is_file():
        raise Ani3DError("cache.missing", f"There is no frame cache at '{path}' (no manifest.json).", _AGAIN)
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _malformed(path, "its manifest.json is not readable JSON") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise _malformed(path, f"its manifest does not name the schema '{SCHEMA}'")
    if manifest.get("version") != VERSION:
        raise Ani3DError(
            "cache.version",
            f"The cache '{path}' has version {manifest.get('version')}; this add-on reads version {VERSION}.",
            "Use the add-on and the engine of the same release.",
        )
    return manifest


def _map_attribute(folder: Path, entry: dict[str, Any]) -> np.ndarray:
    try:
        name, shape, dtype = str(entry["file"]), tuple(map(int, entry["shape"])), np.dtype(entry["dtype"])
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(folder, f"an attribute entry of its manifest lacks {error}") from error
    file = _check_inside(folder, name)
    if not file.is_file():
        raise Ani3DError("cache.missing", f"The cache file '{file}' is missing.", _AGAIN)
    expected = dtype.itemsize * int(np.prod(shape))
    with open(file, "rb") as stream:
        try:
            version = np.lib.format.read_magic(stream)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            found, fortran, found_dtype = read_header(stream)
            offset = stream.tell()
        except (ValueError, EOFError) as error:
            if file.stat().st_size < expected:
                raise _cut(file, file.stat().st_size, expected) from error
            raise _malformed(folder, f"'{name}' is not a .npy file") from error
    _check_size(file, offset + expected)
    if found != shape or found_dtype != dtype or fortran or dtype != np.dtype("<f4"):
        raise _malformed(folder, f"'{name}' holds {found_dtype} {found}, the manifest says {dtype} {shape}")
    return np.memmap(file, dtype=dtype, mode="r", offset=offset, shape=shape)


def _check_inside(folder: Path, name: str) -> Path:
    file = folder / name
    if Path(name).name != name:
        raise _malformed(folder, f"its manifest names a file outside the cache, '{name}'")
    return file


def _check_size(file: Path, expected: int) -> None:
    size = file.stat().st_size
    if size != expected:
        raise _cut(file, size, expected)


def _cut(file: Path, size: int, expected: int) -> Ani3DError:
    what = "cut" if size < expected else "too long"
    message = f"The cache file '{file}' is {what}: {size:,} bytes instead of {expected:,}."
    return Ani3DError("cache.cut", message, _AGAIN)


def _malformed(folder: Path, what: str) -> Ani3DError:
    return Ani3DError("cache.malformed", f"The frame cache '{folder}' is broken: {what}.", _AGAIN)
