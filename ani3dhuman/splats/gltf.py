"""glTF 2.0 with the extension KHR_gaussian_splatting (Khronos): Gaussians as points with attributes, in one GLB."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Ani3DError

from .quantized import to_bytes, unit
from .splats import COEFFICIENTS, MOST, Splats, damaged_error

EXTENSION = "KHR_gaussian_splatting"
MAGIC, JSON_CHUNK, BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
FLOAT, POINTS, VERTEX_BUFFER = 5126, 0, 34962
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
# how integers that stand for 0..1 or -1..1 are read
INTEGERS: dict[int, tuple[str, float]] = {
    5120: ("i1", 127),
    5121: ("u1", 255),
    5122: ("<i2", 32767),
    5123: ("<u2", 65535),
}


def coefficient_names(count: int) -> list[str]:
    """Attributes of `count` coefficients 1, 4, 9 or 16, in order."""
    names = [f"SH_DEGREE_{degree}_COEF_{k}" for degree in range(4) for k in range(2 * degree + 1)]
    return [f"{EXTENSION}:{name}" for name in names[:count]]


def read_gltf(path: Path) -> tuple[Splats, str | None]:
    """All Gaussians of a GLB, each placed by its nodes. Raises `Ani3DError` ``splats.malformed``."""
    try:
        return _read(path), None
    except Ani3DError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise damaged_error(path, f"{type(error).__name__}: {error}"[:200], "GLB") from error


def _read(path: Path) -> Splats:
    data = path.read_bytes()
    if len(data) < 20 or struct.unpack("<II", data[:8]) != (MAGIC, 2):
        raise damaged_error(path, "it does not begin as glTF 2.0 in one file does", "GLB")
    length, kind = struct.unpack("<II", data[12:20])
    if kind != JSON_CHUNK or 20 + length > len(data):
        raise damaged_error(path, "its first part is cut", "GLB")
    document = json.loads(data[20 : 20 + length])
    binary = data[28 + length :]
    parts = []
    for node, matrix in _placed(document):
        for primitive in document["meshes"][document["nodes"][node]["mesh"]]["primitives"]:
            if EXTENSION in primitive.get("extensions", {}):
                parts.append(_moved(_primitive(path, document, binary, primitive), matrix))
    if not parts:
        raise damaged_error(path, f"no mesh in it has {EXTENSION}", "GLB with Gaussians")
    return Splats.joined(parts)


def _placed(document: dict[str, Any]) -> list[tuple[int, np.ndarray]]:
    """Nodes with a mesh in the scene, with their matrices (4,4) to the world."""
    nodes = document["nodes"]
    roots = document["scenes"][document.get("scene", 0)]["nodes"] if document.get("scenes") else range(len(nodes))
    found, waiting, seen = [], [(root, np.eye(4)) for root in roots], set()
    while waiting:
        index, above = waiting.pop()
        if index in seen:
            raise ValueError(f"node {index} is reached twice")
        seen.add(index)
        matrix = above @ _matrix(nodes[index])
        if "mesh" in nodes[index]:
            found.append((index, matrix))
        waiting += [(child, matrix) for child in nodes[index].get("children", ())]
    return found


def _matrix(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(node.get("rotation", (0, 0, 0, 1))).as_matrix() * node.get("scale", (1, 1, 1))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _moved(splats: Splats, matrix: np.ndarray) -> Splats:
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    R = matrix[:3, :3] / scale
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-4):
        raise ValueError("a node is mirrored or not scaled alike along all axes")
    turned = splats.turned(R, scale)
    means = turned.means + matrix[:3, 3].astype(np.float32)
    return Splats(means, turned.quats, turned.scales, turned.opacities, turned.sh)


def _primitive(path: Path, document: dict[str, Any], binary: bytes, primitive: dict[str, Any]) -> Splats:
    attributes = primitive["attributes"]

    def read(name: str) -> np.ndarray:
        return _accessor(path, document, binary, attributes[name])

    coefficients = [name for name in coefficient_names(16) if name in attributes]
    if len(coefficients) not in COEFFICIENTS:
        raise damaged_error(path, f"it has {len(coefficients)} coefficients of colour", "GLB")
    sh = np.stack([read(name) for name in coefficients], axis=1)
    quats = read(f"{EXTENSION}:ROTATION")[:, [3, 0, 1, 2]]
    return Splats(read("POSITION"), quats, read(f"{EXTENSION}:SCALE"), read(f"{EXTENSION}:OPACITY").reshape(-1), sh)


def _accessor(path: Path, document: dict[str, Any], binary: bytes, index: int) -> np.ndarray:
    accessor = document["accessors"][index]
    view = document["bufferViews"][accessor["bufferView"]]
    kind, width, count = accessor["componentType"], WIDTHS[accessor["type"]], accessor["count"]
    code, top = INTEGERS.get(kind, ("<f4", 1.0))
    if kind != FLOAT and kind not in INTEGERS:
        raise ValueError(f"accessor {index} has components of type {kind}")
    row = np.dtype(code).itemsize * width
    stride, start = view.get("byteStride", row), view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    if (
        not 0 <= count <= MOST
        or stride < row
        or start < 0
        or start + max(0, count - 1) * stride + row > len(binary) + (row if count == 0 else 0)
    ):
        raise damaged_error(path, f"accessor {index} goes beyond its buffer", "GLB")
    values = np.ndarray((count, width), code, binary, start, (stride, np.dtype(code).itemsize))
    return np.ascontiguousarray(values, np.float32) if top == 1 else np.maximum(values / np.float32(top), -1)


def write_gltf(path: Path, splats: Splats, axes: str) -> None:
    """Write Gaussians as GLB; `axes` must be "y-up", as glTF is. Other viewers show coloured points."""
    byte_color = to_bytes(np.concatenate([splats.colors, splats.opacities[:, None]], 1) * 255)
    arrays: list[tuple[str, np.ndarray]] = [
        ("POSITION", splats.means),
        ("COLOR_0", byte_color),
        (f"{EXTENSION}:ROTATION", unit(splats.quats)[:, [1, 2, 3, 0]]),
        (f"{EXTENSION}:SCALE", splats.scales),
        (f"{EXTENSION}:OPACITY", splats.opacities[:, None]),
    ]
    arrays += [(name, splats.sh[:, k]) for k, name in enumerate(coefficient_names(splats.sh.shape[1]))]
    accessors: list[dict[str, Any]] = []
    views: list[dict[str, int]] = []
    attributes: dict[str, int] = {}
    parts: list[bytes] = []
    start = 0
    for name, values in arrays:
        data = np.ascontiguousarray(values, None if values.dtype == np.uint8 else "<f4").tobytes()
        whole = values.dtype == np.uint8
        entry: dict[str, Any] = {
            "bufferView": len(views),
            "componentType": 5121 if whole else FLOAT,
            "count": splats.count,
            "type": {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[values.shape[1]],
        }
        if whole:
            entry["normalized"] = True
        if name == "POSITION":
            entry["min"], entry["max"] = ([float(v) for v in getattr(values, side)(0)] for side in ("min", "max"))
        attributes[name] = len(accessors)
        accessors.append(entry)
        views.append({"buffer": 0, "byteOffset": start, "byteLength": len(data), "target": VERTEX_BUFFER})
        parts.append(data)
        start += len(data)
    extension = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    primitive = {"attributes": attributes, "mode": POINTS, "extensions": {EXTENSION: extension}}
    document = {
        "asset": {"version": "2.0", "generator": "ani3dhuman"},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": path.stem}],
        "meshes": [{"primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": start}],
    }
    write_bytes(path, _glb(document, b"".join(parts)))


def _glb(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = struct.pack("<II", len(text), JSON_CHUNK) + text + struct.pack("<II", len(binary), BINARY_CHUNK) + binary
    return struct.pack("<III", MAGIC, 2, 12 + len(chunks)) + chunks
