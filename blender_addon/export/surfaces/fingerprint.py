# SPDX-License-Identifier: GPL-3.0-or-later
"""A hash of all that a bake depends on: nodes, pictures, the mesh, the object, the frame."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import graph
from .dependence import is_missing
from .mesh_data import attributes_of
from .shaders import Shown

_VERSION = 1  # goes up when the same nodes are baked to something else
_MOST_PIXELS = 1 << 22  # of pictures that are in no file, whose pixels are read
_MOST_BYTES = 1 << 28  # of picture files that are read
_LOOKS = (  # of nodes in the editor
    *("rna_type", "name", "label", "location", "location_absolute", "width", "width_hidden", "height", "dimensions"),
    *("color", "color_tag", "use_custom_color", "hide", "parent", "select", "show_options", "show_preview"),
    *("show_texture", "type", "is_active_output", "warning_propagation", "inputs", "outputs", "internal_links"),
    "node_tree",
)


class UnknownContent(Exception):
    """Something takes part whose changes cannot be seen."""


def fingerprint(tree: Any, shown: Shown, item: bpy.types.Object, size: tuple[int, int]) -> str:
    """Names the picture of `shown`, in `tree`, on `item`. Raises `UnknownContent`."""
    made = hashlib.sha256()
    scene = bpy.context.scene
    facts = (_VERSION, bpy.app.version, size, scene.frame_current_final, *map(_value_of, (shown.color, shown.alpha)))
    made.update(json.dumps([str(f) for f in facts]).encode())
    for inner, path in graph.trees_of(tree):
        made.update(json.dumps([[n.name for n in path], list(_tree(inner))]).encode())
    place = np.array(item.matrix_world).tolist(), list(item.color), item.pass_index
    made.update(json.dumps([*place, [(k, str(v)) for k, v in item.items()]]).encode())
    mesh: Any = item.data
    for name, kind, domain, values in attributes_of(mesh):
        made.update(f"{name} {kind} {domain} {values.shape}".encode())
        made.update(np.ascontiguousarray(values).tobytes())
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    made.update(corners.tobytes())
    return made.hexdigest()


def material_facts(material: bpy.types.Material) -> str:
    """All that can be set in the nodes of a material and the pictures they use, as text, but what cannot be read."""
    facts: list[Any] = [material.name, list(material.diffuse_color)]
    for inner, path in graph.trees_of(material.node_tree) if material.node_tree else ():
        facts.append([node.name for node in path])
        try:
            facts.append(list(_tree(inner)))
        except UnknownContent as unknown:
            facts.append(str(unknown))
    return json.dumps(facts)


def _value_of(value: Any) -> Any:
    return value if isinstance(value, (float, tuple)) else (value.node.name, value.identifier)


def _tree(tree: Any) -> Iterator[Any]:
    for node in tree.nodes:
        yield node.bl_idname, node.name, list(_properties(node, 0))
        for socket in (*node.inputs, *node.outputs):
            if hasattr(socket, "default_value"):
                yield socket.identifier, _plain(socket.default_value)
    for link in tree.links:
        ends = (link.from_node.name, link.from_socket.identifier, link.to_node.name, link.to_socket.identifier)
        yield ends, link.is_muted


def _properties(item: Any, depth: int) -> Iterator[Any]:
    """Everything that can be set on a node, or on what it holds: ramps, curves, mappings, pictures."""
    for rule in item.bl_rna.properties:
        name = rule.identifier
        if name == "rna_type" or name.startswith("bl_") or (depth == 0 and name in _LOOKS):
            continue
        value = getattr(item, name)
        if rule.type == "POINTER" and value is not None:
            if isinstance(value, bpy.types.Image):
                yield name, _picture(value)
            elif isinstance(value, bpy.types.Object):
                yield name, np.array(value.matrix_world).tolist()
            elif isinstance(value, bpy.types.ID) or depth > 4:
                raise UnknownContent(name)
            else:
                yield name, list(_properties(value, depth + 1))
        elif rule.type == "COLLECTION":
            yield name, [list(_properties(entry, depth + 1)) for entry in value]
        elif rule.type != "POINTER":
            yield name, _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    if isinstance(value, bpy.types.ID):
        raise UnknownContent(value.name)
    return [_plain(v) for v in value]


def _picture(image: bpy.types.Image) -> Any:
    known = (image.source, image.colorspace_settings.name, image.alpha_mode, tuple(image.size), image.is_float)
    if is_missing(image):
        return known, image.filepath
    if image.packed_files:
        packed: Any = image.packed_files
        return known, [hashlib.sha256(file.packed_file.data).hexdigest() for file in packed]
    if image.source == "GENERATED" or image.is_dirty:
        count = image.size[0] * image.size[1] * 4
        if count > 4 * _MOST_PIXELS or image.source not in ("GENERATED", "FILE"):
            raise UnknownContent(image.name)
        values: Any = np.empty(count, np.float32)
        pixels: Any = image.pixels
        pixels.foreach_get(values)
        return known, hashlib.sha256(values.tobytes()).hexdigest()
    path = bpy.path.abspath(image.filepath, library=image.library)
    if image.source == "TILED":
        folder = Path(path).parent
        return known, [_stamp(folder / Path(path).name.replace("<UDIM>", str(t.number))) for t in image.tiles]
    if image.source not in ("FILE", "MOVIE"):
        raise UnknownContent(image.name)
    return known, _stamp(Path(path))


def _stamp(path: Path) -> Any:
    """Tells a file by what is in it, so that a project may be moved; a huge one by its time."""
    try:
        found = path.stat()
        if found.st_size > _MOST_BYTES:
            return path.name, found.st_mtime_ns, found.st_size
        return path.name, _digest(path, found.st_mtime_ns, found.st_size)
    except OSError as error:
        raise UnknownContent(path.name) from error


@lru_cache(1024)
def _digest(path: Path, _changed: int, _size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
