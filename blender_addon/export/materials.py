# SPDX-License-Identifier: GPL-3.0-or-later
"""Surface colours: a base colour or a picture a material, from the Principled BSDF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import bpy
import numpy as np

from ani3d_formats.color import linear_to_srgb

from .. import compat
from .mesh import Figure

DEFAULT = {"name": "default", "base_color": [0.8, 0.8, 0.8], "texture": -1}


@dataclass(frozen=True)
class Palette:
    """`entries` for the shot's meta, `textures` (H,W,4) uint8 sRGB with row 0 at the top, `rows`: for each
    object the entry of each of its material slots."""

    entries: list[dict[str, Any]]
    textures: list[np.ndarray]
    rows: list[list[int]]

    def face_materials(self, figure: Figure) -> np.ndarray:
        """(F,) index into `entries` of each face."""
        widest = max(len(row) for row in self.rows)
        table = np.array([row + [row[-1]] * (widest - len(row)) for row in self.rows])
        return table[figure.face_objects, np.minimum(figure.face_slots, widest - 1)]


def read_materials(objects: Sequence[bpy.types.Object], warn: Callable[[str], None]) -> Palette:
    """The materials of `objects`, each once."""
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

    rows = [[row_of(slot.material) for slot in item.material_slots] or [row_of(None)] for item in objects]
    return Palette(entries, textures, rows)


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
