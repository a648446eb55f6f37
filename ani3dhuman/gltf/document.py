"""glTF 2.0 files, `.glb` or `.gltf`: the document, its numbers and its nodes, read only when they can be true."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.names import is_component

MAGIC, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
FLOAT, UNSIGNED = 5126, 5125
MOST = 100_000_000  # rows of an accessor; more is a damaged count
MOST_BYTES = 4 << 30
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
# types of whole numbers, and the number that stands for 1 where they are normalised
INTEGERS: dict[int, tuple[str, float]] = {
    5120: ("i1", 127),
    5121: ("u1", 255),
    5122: ("<i2", 32767),
    5123: ("<u2", 65535),
}


@dataclass(frozen=True)
class Document:
    """A glTF file: `data` is its JSON, `buffers` the bytes that belong to it."""

    path: Path
    data: dict[str, Any]
    buffers: tuple[bytes, ...]
    _matrices: dict[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read it. Raises `ValueError` and such for what is not sound: call it within `sound_gltf`."""
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("it is larger than 4 GB")
        raw = path.read_bytes()
        binary = b""
        if path.suffix.lower() == ".gltf":
            data = json.loads(raw)
        else:
            if len(raw) < 20 or struct.unpack("<II", raw[:8]) != (MAGIC, 2):
                raise ValueError("it does not begin as glTF 2.0 in one file does")
            length, kind = struct.unpack("<II", raw[12:20])
            if kind != JSON_CHUNK or 20 + length > len(raw):
                raise ValueError("its first part is cut")
            data, binary = json.loads(raw[20 : 20 + length]), raw[28 + length :]
        if not isinstance(data, dict):
            raise ValueError("its JSON is no object")
        buffers = tuple(_buffer(path, entry, binary) for entry in data.get("buffers", ()))
        return cls(path, data, buffers)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The entries of a list of the document, none where it has none."""
        return list(self.data.get(name, ()))

    def view(self, index: int) -> bytes:
        """The bytes of a buffer view."""
        view = self.data["bufferViews"][index]
        start, length = view.get("byteOffset", 0), view["byteLength"]
        buffer = self.buffers[view["buffer"]]
        if start < 0 or length < 0 or start + length > len(buffer):
            raise ValueError(f"buffer view {index} goes beyond its buffer")
        return buffer[start : start + length]

    def accessor(self, index: int, *, whole: bool = False) -> np.ndarray:
        """(N,k) float32, or int64 where `whole`; normalised integers become 0..1 or -1..1."""
        accessor = self.data["accessors"][index]
        if "sparse" in accessor:
            raise ValueError(f"accessor {index} is sparse, which is not supported")
        kind, width, count = accessor["componentType"], WIDTHS[accessor["type"]], accessor["count"]
        if kind not in (FLOAT, UNSIGNED) and kind not in INTEGERS:
            raise ValueError(f"accessor {index} has components of type {kind}")
        code, top = {FLOAT: ("<f4", 1.0), UNSIGNED: ("<u4", 1.0), **INTEGERS}[kind]
        if not 0 <= count <= MOST:
            raise ValueError(f"accessor {index} says it has {count} rows")
        if "bufferView" not in accessor:
            return np.zeros((count, width), np.int64 if whole else np.float32)
        view = self.data["bufferViews"][accessor["bufferView"]]
        buffer = self.buffers[view["buffer"]]
        row = np.dtype(code).itemsize * width
        stride, start = view.get("byteStride", row), view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        end = view.get("byteOffset", 0) + view["byteLength"]
        last = start + max(0, count - 1) * stride + row if count else start
        if stride < row or start < 0 or not last <= end <= len(buffer):
            raise ValueError(f"accessor {index} goes beyond its buffer")
        values = np.ndarray((count, width), code, buffer, start, (stride, np.dtype(code).itemsize))
        if whole:
            return values.astype(np.int64)
        if top != 1 and accessor.get("normalized", True):
            return np.maximum(values / np.float32(top), -1)
        return np.ascontiguousarray(values, np.float32)

    def local(self, node: int) -> np.ndarray:
        """(4,4) float64 of a node against its parent."""
        if node not in self._matrices:
            self._matrices[node] = node_matrix(self.data["nodes"][node])
        return self._matrices[node]

    def tree(self) -> list[tuple[int, int]]:
        """(node, parent) of all nodes in the scene, parents before children; -1 for roots."""
        nodes, scenes = self.rows("nodes"), self.rows("scenes")
        roots = scenes[self.data.get("scene", 0)].get("nodes", []) if scenes else _roots(nodes)
        found, seen = [], set()
        waiting = [(int(root), -1) for root in reversed(roots)]
        while waiting:
            index, above = waiting.pop()
            if index in seen or not 0 <= index < len(nodes):
                raise ValueError(f"node {index} is reached twice, or is none")
            seen.add(index)
            found.append((index, above))
            waiting += [(int(child), index) for child in reversed(nodes[index].get("children", ()))]
        return found


def _roots(nodes: list[dict[str, Any]]) -> list[int]:
    below = {child for node in nodes for child in node.get("children", ())}
    return [index for index in range(len(nodes)) if index not in below]


def _buffer(path: Path, entry: dict[str, Any], binary: bytes) -> bytes:
    uri = entry.get("uri")
    data = binary if uri is None else read_uri(path, uri)
    if entry["byteLength"] > len(data):
        raise ValueError(f"a buffer says it has {entry['byteLength']} bytes and has {len(data)}")
    return data


def read_uri(path: Path, uri: str) -> bytes:
    """The bytes that a document names: in its text, or a file beside it, never one elsewhere."""
    if uri.startswith("data:"):
        try:
            return base64.b64decode(uri.partition(",")[2], validate=True)
        except binascii.Error as error:
            raise ValueError("a buffer in its text is damaged") from error
    parts = unquote(uri).split("/")
    if not all(is_component(part) for part in parts):
        raise ValueError(f"it names the file {uri!r:.80}, which is not below its folder")
    target = path.parent.joinpath(*parts)
    if not target.is_file() or not target.resolve().is_relative_to(path.parent.resolve()):
        raise ValueError(f"its file {uri!r:.80} is missing")
    return target.read_bytes()


def node_matrix(node: dict[str, Any]) -> np.ndarray:
    """(4,4) float64 of what a node says of its place."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(node.get("rotation", (0, 0, 0, 1))).as_matrix() * node.get("scale", (1, 1, 1))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


@contextmanager
def sound_gltf(path: Path) -> Iterator[None]:
    """Turn what a damaged file raises into `Ani3DError` ``gltf.malformed``, ``gltf.missing``."""
    try:
        yield
    except Ani3DError:
        raise
    except OSError as error:
        raise Ani3DError("gltf.missing", f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        what = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise Ani3DError(
            "gltf.malformed", f"{path.name} is not sound glTF: {what:.200}.", "Export it again."
        ) from error
