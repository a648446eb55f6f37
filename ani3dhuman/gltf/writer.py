"""A GLB file under construction: arrays become accessors, and the whole is written at once."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes

from .document import BINARY_CHUNK, FLOAT, JSON_CHUNK, MAGIC, UNSIGNED

VERTEX_BUFFER, INDEX_BUFFER = 34962, 34963
_KINDS = {"f": ("<f4", FLOAT), "u1": ("u1", 5121), "u2": ("<u2", 5123), "u4": ("<u4", UNSIGNED)}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class GlbWriter:
    """Collects `document`, whose lists the caller fills, and the bytes of its accessors."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = {"asset": {"version": "2.0", "generator": "ani3dhuman"}, "scene": 0}
        self._parts: list[bytes] = []
        self._length = 0

    def add(
        self, values: np.ndarray, *, target: int | None = VERTEX_BUFFER, bounds: bool = False, normalized: bool = False
    ) -> int:
        """The accessor of an array (N,), (N,k) or (N,4,4) (given row by row); floats become float32.

        Args:
            target: what graphics cards use it for; None for numbers of skins and animations.
            bounds: whether the file says least and most, as positions and times must.
            normalized: bytes stand for 0..1.
        """
        if values.ndim == 3:
            values = values.transpose(0, 2, 1).reshape(len(values), 16)
        values = values.reshape(len(values), -1)
        code, kind = _KINDS["f" if values.dtype.kind == "f" else f"u{values.dtype.itemsize}"]
        data = np.ascontiguousarray(values, code)
        entry: dict[str, Any] = {
            "bufferView": self._view(data.tobytes(), target),
            "componentType": kind,
            "count": len(values),
            "type": _TYPES[values.shape[1]],
        }
        if normalized:
            entry["normalized"] = True
        if bounds:
            entry["min"], entry["max"] = ([float(v) for v in getattr(data, side)(0)] for side in ("min", "max"))
        return self.append("accessors", entry)

    def picture(self, png: bytes) -> int:
        """The texture of a PNG."""
        image = self.append("images", {"bufferView": self._view(png, None), "mimeType": "image/png"})
        return self.append("textures", {"source": image})

    def append(self, name: str, entry: dict[str, Any]) -> int:
        """Put an entry at the end of a list of the document; its number."""
        rows = self.document.setdefault(name, [])
        rows.append(entry)
        return len(rows) - 1

    def _view(self, data: bytes, target: int | None) -> int:
        view: dict[str, Any] = {"buffer": 0, "byteOffset": self._length, "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        data += b"\0" * (-len(data) % 4)
        self._parts.append(data)
        self._length += len(data)
        return self.append("bufferViews", view)

    def write(self, path: Path) -> None:
        """Write the file atomically. Raises `Ani3DError` ``disk.full``, ``file.unwritable``."""
        write_bytes(path, *self.parts())

    def parts(self) -> list[bytes]:
        """The file's bytes, one part after the other."""
        text = json.dumps({**self.document, "buffers": [{"byteLength": self._length}]}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        head = struct.pack("<II", len(text), JSON_CHUNK) + text + struct.pack("<II", self._length, BINARY_CHUNK)
        return [struct.pack("<III", MAGIC, 2, 12 + len(head) + self._length) + head, *self._parts]
