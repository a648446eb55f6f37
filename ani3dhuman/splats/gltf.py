"""glTF 2.0 with the extension KHR_gaussian_splatting (Khronos): Gaussians as points with attributes, in one GLB."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError

from ..gltf.document import Document
from ..gltf.writer import GlbWriter
from .quantized import to_bytes, unit
from .splats import COEFFICIENTS, MOST, Parts, Splats, check_unpacked, damaged_error

EXTENSION = "KHR_gaussian_splatting"
POINTS = 0
ROW = 56  # bytes of a Gaussian of degree 0


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
    try:
        document = Document.read(path)
    except ValueError as error:
        raise damaged_error(path, str(error)[:200], "GLB") from error
    size, count = path.stat().st_size, 0
    nodes, parts, world = document.rows("nodes"), [], {-1: np.eye(4)}
    for node, above in document.tree():
        world[node] = world[above] @ document.local(node)
        if "mesh" not in nodes[node]:
            continue
        for primitive in document.data["meshes"][nodes[node]["mesh"]]["primitives"]:
            if EXTENSION in primitive.get("extensions", {}):
                count += document.data["accessors"][primitive["attributes"]["POSITION"]]["count"]
                check_unpacked(path, size, ROW * min(count, MOST), "GLB")
                if count > MOST:
                    raise damaged_error(path, f"its nodes show {count:,} Gaussians", "GLB")
                parts.append(_moved(_primitive(document, primitive["attributes"]), world[node]))
    if not parts:
        raise damaged_error(path, f"no mesh in it has {EXTENSION}", "GLB with Gaussians")
    return Splats.joined(parts)


def _moved(splats: Splats, matrix: np.ndarray) -> Splats:
    scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
    R = matrix[:3, :3] / scale
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-4):
        raise ValueError("a node is mirrored or not scaled alike along all axes")
    turned = splats.turned(R, scale)
    means = turned.means + matrix[:3, 3].astype(np.float32)
    return Splats(means, turned.quats, turned.scales, turned.opacities, turned.sh)


def _primitive(document: Document, attributes: dict[str, int]) -> Splats:
    def read(name: str) -> np.ndarray:
        return document.accessor(attributes[name])

    coefficients = [name for name in coefficient_names(16) if name in attributes]
    if len(coefficients) not in COEFFICIENTS:
        raise damaged_error(document.path, f"it has {len(coefficients)} coefficients of colour", "GLB")
    sh = np.stack([read(name) for name in coefficients], axis=1)
    quats = read(f"{EXTENSION}:ROTATION")[:, [3, 0, 1, 2]]
    return Splats(read("POSITION"), quats, read(f"{EXTENSION}:SCALE"), read(f"{EXTENSION}:OPACITY").reshape(-1), sh)


def add_splats(glb: GlbWriter, splats: Splats, more: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Gaussians, Y up, as a primitive of a GLB; `more` are accessors of further attributes by name."""
    byte_color = to_bytes(np.concatenate([splats.colors, splats.opacities[:, None]], 1) * 255)
    arrays: list[tuple[str, np.ndarray]] = [
        ("POSITION", splats.means),
        ("COLOR_0", byte_color),
        (f"{EXTENSION}:ROTATION", unit(splats.quats)[:, [1, 2, 3, 0]]),
        (f"{EXTENSION}:SCALE", splats.scales),
        (f"{EXTENSION}:OPACITY", splats.opacities[:, None]),
    ]
    arrays += [(name, splats.sh[:, k]) for k, name in enumerate(coefficient_names(splats.sh.shape[1]))]
    attributes = {
        name: glb.add(values, bounds=name == "POSITION", normalized=values.dtype == np.uint8) for name, values in arrays
    }
    glb.document["extensionsUsed"] = [EXTENSION]
    extension = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    return {"attributes": {**attributes, **(more or {})}, "mode": POINTS, "extensions": {EXTENSION: extension}}


def gltf_parts(path: Path, splats: Splats, axes: str) -> Parts:
    """Gaussians as GLB; `axes` must be "y-up", as glTF is. Other viewers show coloured points."""
    glb = GlbWriter()
    primitive = add_splats(glb, splats)
    glb.document |= {
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": path.stem}],
        "meshes": [{"primitives": [primitive]}],
    }
    return glb.parts()
