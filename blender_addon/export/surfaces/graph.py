# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading of shader nodes: where a socket's value comes from, through reroutes, muted nodes and groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Euler

Path = tuple[Any, ...]
"""The group nodes around a socket, the outermost first."""

LUMINANCE = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True)
class Coordinates:
    """Where a picture is looked up: `matrix` (3,4), as rows, times (u, v, 0, 1) of `uv_map`; "" is the active one."""

    uv_map: str
    matrix: tuple[tuple[float, ...], ...] = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))

    def mapped(self, uvs: np.ndarray) -> np.ndarray:
        """The places (...,2) in the picture for UVs (...,2)."""
        matrix = np.array(self.matrix)
        return uvs @ matrix[:2, :2].T + matrix[:2, 3]


def find(sockets: Any, identifier: str) -> Any:
    """The socket with this identifier or else this name; None where the node has none."""
    exact = next((s for s in sockets if s.identifier == identifier), None)
    return exact or next((s for s in sockets if s.name == identifier and s.enabled), None)


def source(socket: Any) -> Any:
    """The output that feeds an input within its own tree, past reroutes and muted nodes; None where nothing does."""
    if not socket.is_linked:  # `links` looks through the whole tree
        return None
    for link in socket.links:
        if link.is_muted or not link.is_valid:  # links in a circle are not valid
            continue
        output = link.from_socket
        if output.node.type == "REROUTE":
            return source(output.node.inputs[0])
        if output.node.mute:
            passed = next((i.from_socket for i in output.node.internal_links if i.to_socket == output), None)
            return source(passed) if passed else None
        return output
    return None


def group_end(tree: Any, kind: str) -> Any:
    """The node of a group's tree that brings values in ("GROUP_INPUT") or out ("GROUP_OUTPUT"); None without."""
    found = [n for n in tree.nodes if n.type == kind]
    return next((n for n in found if getattr(n, "is_active_output", True)), None)


def producer(socket: Any, path: Path) -> tuple[Any, Path]:
    """What an input's value comes from: an output of a node that is no group, or an input that nothing feeds."""
    output = source(socket)
    return (socket, path) if output is None else origin(output, path)


def origin(output: Any, path: Path) -> tuple[Any, Path]:
    """`producer` for an output: itself, unless it is a group's."""
    node = output.node
    if node.type == "GROUP" and node.node_tree and (end := group_end(node.node_tree, "GROUP_OUTPUT")):
        return producer(find(end.inputs, output.identifier), (*path, node))
    if node.type == "GROUP_INPUT" and path:
        return producer(find(path[-1].inputs, output.identifier), path[:-1])
    return output, path


def constant(socket: Any, path: Path) -> tuple[float, float, float] | None:
    """The value of an input as three numbers, where it is the same everywhere and stands in one place."""
    start, _ = producer(socket, path)
    if start.is_output and start.node.type not in ("RGB", "VALUE"):
        return None
    value = getattr(start, "default_value", 0.0)
    if isinstance(value, (int, float)):
        return (float(value),) * 3
    return tuple(float(v) for v in value[:3])  # type: ignore[return-value]


def number(socket: Any, path: Path) -> float | None:
    """`constant` of an input that takes a number: of a colour its luminance."""
    value = constant(socket, path)
    if value is None:
        return None
    return value[0] if len(set(value)) == 1 else float(np.dot(value, LUMINANCE))


def upstream(output: Any, path: Path, seen: set[Any] | None = None) -> Iterator[tuple[Any, Path]]:
    """Every output that has a part in `output`, itself first; coordinates of pictures only where they are not plain."""
    seen = set() if seen is None else seen
    key = (output.as_pointer(), tuple(n.as_pointer() for n in path))
    if key in seen:
        return
    seen.add(key)
    yield output, path
    for socket in output.node.inputs:
        if not socket.enabled or (socket.name == "Vector" and coordinates(output.node, path)):
            continue
        start, where = producer(socket, path)
        if start.is_output:
            yield from upstream(start, where, seen)


def coordinates(node: Any, path: Path) -> Coordinates | None:
    """Where an Image Texture node looks its picture up, if that is a linear map of UVs; None for all else."""
    if node.type != "TEX_IMAGE" or node.projection != "FLAT" or _has_own_mapping(node):
        return None
    return _coordinates(*producer(node.inputs["Vector"], path))


def _has_own_mapping(node: Any) -> bool:
    own = node.texture_mapping
    return (tuple(own.translation), tuple(own.rotation), tuple(own.scale)) != ((0, 0, 0), (0, 0, 0), (1, 1, 1))


def _coordinates(start: Any, path: Path) -> Coordinates | None:
    node = start.node
    if not start.is_output:
        return Coordinates("") if node.type == "TEX_IMAGE" else None
    if node.type == "UVMAP" and not node.from_instancer:
        return Coordinates(node.uv_map)
    if node.type == "TEX_COORD" and start.identifier == "UV" and not node.from_instancer:
        return Coordinates("")
    if node.type != "MAPPING":
        return None
    inner = _coordinates(*producer(node.inputs["Vector"], path))
    matrix = _mapping(node, path)
    if inner is None or matrix is None:
        return None
    joined = matrix @ np.vstack([inner.matrix, (0, 0, 0, 1)])
    return Coordinates(inner.uv_map, tuple(tuple(row) for row in joined[:3].tolist()))


def _mapping(node: Any, path: Path) -> np.ndarray | None:
    """(4,4) of a Mapping node whose numbers are constant."""
    kind = node.vector_type
    if kind == "NORMAL":
        return None
    moved = (0.0, 0.0, 0.0) if kind == "VECTOR" else constant(node.inputs["Location"], path)
    turned, scaled = constant(node.inputs["Rotation"], path), constant(node.inputs["Scale"], path)
    if moved is None or turned is None or scaled is None:
        return None
    matrix = np.eye(4)
    rotation = np.array(Euler(turned, "XYZ").to_matrix())
    if kind == "TEXTURE":  # the inverse; nothing is divided by zero
        inverse = np.array([1 / s if s else 0.0 for s in scaled])
        matrix[:3, :3] = inverse[:, None] * rotation.T
        matrix[:3, 3] = -matrix[:3, :3] @ moved
    else:
        matrix[:3, :3] = rotation * np.array(scaled)
        matrix[:3, 3] = moved
    return matrix


def trees_of(tree: bpy.types.NodeTree, path: Path = ()) -> Iterator[tuple[Any, Path]]:
    """`tree` and the trees of all group nodes in it, each with its path; inner ones first."""
    for node in list(tree.nodes):
        if node.type == "GROUP" and node.node_tree:  # type: ignore[attr-defined]
            yield from trees_of(node.node_tree, (*path, node))  # type: ignore[attr-defined]
    yield tree, path
