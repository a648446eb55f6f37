# SPDX-License-Identifier: GPL-3.0-or-later
"""Surface colours: a base colour or a picture a material, from the Principled BSDF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import bpy
import numpy as np

from ani3d_formats.color import linear_to_srgb

from ... import compat
from .faces import MeshFaces, Surfaces

Progress = Callable[[int, int], None]
"""Called as (materials done, materials in all) before each; what it raises ends the reading, and nothing is left."""

DEFAULT = {"name": "default", "base_color": [0.8, 0.8, 0.8], "texture": -1}


def read_surfaces(
    meshes: Sequence[MeshFaces], warn: Callable[[str], None], on_progress: Progress | None = None
) -> Surfaces:
    """The surfaces of `meshes`, each material once; nothing of the scene is changed."""
    entries: list[dict[str, Any]] = []
    textures: list[np.ndarray] = []
    pictures: dict[str, int] = {}
    known: dict[str, int] = {}

    def row_of(material: bpy.types.Material | None) -> int:
        key = material.name_full if material else ""
        if key in known:
            return known[key]
        entry = dict(DEFAULT)
        if material:
            color, image = _surface(material, warn)
            entry = {"name": material.name, "base_color": color, "texture": -1}
            if image:
                if image.name_full not in pictures:
                    pictures[image.name_full] = len(textures)
                    textures.append(_picture(image))
                entry["texture"] = pictures[image.name_full]
        known[key] = len(entries)
        entries.append(entry)
        return known[key]

    rows = [np.array([row_of(m) for m in part.materials])[part.face_materials] for part in meshes]
    return Surfaces(
        entries,
        textures,
        np.concatenate(rows),
        np.concatenate([part.uvs() for part in meshes]),
        np.concatenate([part.tints() for part in meshes]),
    )


def _surface(material: bpy.types.Material, warn: Callable[[str], None]) -> tuple[list[float], bpy.types.Image | None]:
    """Base colour (linear) and picture of a material."""
    principled = next((n for n in compat.nodes_in_use(material) if n.type == "BSDF_PRINCIPLED"), None)
    if principled is None:
        return list(material.diffuse_color[:3]), None
    socket = cast(bpy.types.NodeSocketColor, principled.inputs["Base Color"])
    if not socket.is_linked:
        return list(socket.default_value[:3]), None
    image = _picture_behind(socket)
    if image is None:
        warn(f"The procedural colour of the material '{material.name}' is exported flat; bake it to a picture.")
    return list(socket.default_value[:3]), image


def _picture_behind(socket: bpy.types.NodeSocket) -> bpy.types.Image | None:
    """The first picture that feeds `socket`, through whatever nodes lie between."""
    for link in socket.links:
        node = link.from_node
        if isinstance(node, bpy.types.ShaderNodeTexImage) and node.image and min(node.image.size) > 0:
            return node.image
        for earlier in node.inputs:
            if (found := _picture_behind(earlier)) is not None:
                return found
    return None


def _picture(image: bpy.types.Image) -> np.ndarray:
    width, height = image.size
    values = np.empty(width * height * 4, np.float32)
    cast(Any, image.pixels).foreach_get(values)
    pixels = values.reshape(height, width, 4)[::-1]  # Blender keeps the bottom row first
    if image.is_float:  # byte pictures hand out their encoded values, float ones linear light
        pixels = np.concatenate([linear_to_srgb(pixels[..., :3]), pixels[..., 3:]], axis=-1)
    return np.ascontiguousarray(np.clip(pixels * 255 + 0.5, 0, 255).astype(np.uint8))
