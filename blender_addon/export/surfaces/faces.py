# SPDX-License-Identifier: GPL-3.0-or-later
"""The faces whose colours are read, what a mesh stores on them, and what is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import bpy
import numpy as np

TINT_ATTRIBUTE = "ani3d_tint"
FARTHEST = 1e4  # beyond, UVs are broken


@dataclass(frozen=True)
class MeshFaces:
    """The triangles of one mesh.

    `item` is the object whose material slots count, `mesh` has the vertices, UV maps and colour attributes: that of
    `item`, or what modifiers made of it. It must outlive `read_surfaces`, which bakes. `triangles` (F,3) are
    vertices of `mesh`, `corners` (F,3) its loops, `slots` (F,) material slots; a slot that is not there is the last.
    """

    item: bpy.types.Object
    mesh: bpy.types.Mesh
    triangles: np.ndarray
    corners: np.ndarray
    slots: np.ndarray

    @cached_property
    def materials(self) -> list[bpy.types.Material | None]:
        """The material of each slot, at least one; modifiers may have added some that the object does not know."""
        own, made = self.item.material_slots, self.mesh.materials
        found = [
            own[n].material if n < len(own) and (n >= len(made) or own[n].link == "OBJECT") else made[n]
            for n in range(max(len(own), len(made)))
        ]
        return [m and m.original for m in found] or [None]

    @cached_property
    def face_materials(self) -> np.ndarray:
        """(F,) index into `materials`."""
        return np.clip(self.slots, 0, len(self.materials) - 1)

    @cached_property
    def uv_map(self) -> str:
        """The name of the UV map that pictures use unless they name another; empty without any."""
        return next((layer.name for layer in self.mesh.uv_layers if layer.active_render), "")

    def uvs(self, name: str = "") -> np.ndarray:
        """(F,3,2) of the UV map `name`, or of `uv_map`; zeros where there is none, as in Blender."""
        layer: Any = self.mesh.uv_layers.get(name or self.uv_map)
        if layer is None:
            return np.zeros((len(self.corners), 3, 2), np.float32)
        values = np.zeros(len(self.mesh.loops) * 2, np.float32)
        layer.data.foreach_get("uv", values)
        return np.clip(np.nan_to_num(values.reshape(-1, 2)[self.corners]), -FARTHEST, FARTHEST)

    def tints(self) -> np.ndarray:
        """(V,3) linear multiplier of the surface colour; ones without the attribute, corners averaged."""
        attribute: Any = self.mesh.color_attributes.get(TINT_ATTRIBUTE)
        if attribute is None or len(attribute.data) == 0:
            return np.ones((len(self.mesh.vertices), 3), np.float32)
        values = np.empty(len(attribute.data) * 4, np.float32)
        attribute.data.foreach_get("color", values)
        colors = np.where(np.isfinite(values), values, 1.0).reshape(-1, 4)[:, :3].astype(np.float32)
        if attribute.domain == "POINT":
            return colors
        owners = np.empty(len(self.mesh.loops), np.int32)
        self.mesh.loops.foreach_get("vertex_index", owners)
        total = np.zeros((len(self.mesh.vertices), 3))
        np.add.at(total, owners, colors)
        uses = np.bincount(owners, minlength=len(self.mesh.vertices))[:, None]
        return np.where(uses > 0, total / np.maximum(uses, 1), 1.0).astype(np.float32)


@dataclass(frozen=True)
class Surfaces:
    """What the shot says of surfaces.

    `entries` for its meta, `textures` (H,W,4) uint8 sRGB with straight alpha and row 0 at the top; of all meshes, one
    after the other, `face_materials` (F,) index into `entries`, `face_uvs` (F,3,2), `vertex_tints` (V,3).
    """

    entries: list[dict[str, Any]]
    textures: list[np.ndarray]
    face_materials: np.ndarray
    face_uvs: np.ndarray
    vertex_tints: np.ndarray
