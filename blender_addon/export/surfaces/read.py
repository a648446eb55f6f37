# SPDX-License-Identifier: GPL-3.0-or-later
"""Surface colours: each material read exactly where it is understood, baked by Cycles where it is not."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from ... import compat
from ...failures import unforeseen_error
from ...sentence import joined, said
from .appearance import Patch, Reading, User, patches_of
from .faces import MeshFaces, Surfaces
from .pictures import Textures

_NO_MATERIAL = (0.8, 0.8, 0.8)  # Blender's own


def read_surfaces(
    meshes: Sequence[MeshFaces], warn: Callable[[str], None]
) -> Generator[tuple[int, int], None, Surfaces]:
    """The surfaces of `meshes`, a material a step: yields (materials done, materials in all) before each.

    Nothing of the scene is changed, also when the generator is closed. `warn` gets a sentence for each material that is
    not exported quite as Blender draws it.
    """
    found = _Found([faces.uvs() for faces in meshes], [np.zeros(len(f.triangles), np.int64) for f in meshes])
    users = _users(meshes)
    reading = Reading(bpy.context.scene.render.engine, _extent(meshes), Textures())
    for done, (material, own) in enumerate(users):
        yield done, len(users)
        for patch in _patches(material, own, reading, warn):
            found.add(material.name if material else "default", patch)
    if not found.entries:
        found.row({"name": "default", "base_color": list(_NO_MATERIAL), "texture": -1})
    return Surfaces(
        found.entries,
        found.textures,
        np.concatenate(found.rows),
        np.concatenate(found.uvs).astype(np.float32),
        np.concatenate([faces.tints() for faces in meshes]),
    )


def _users(meshes: Sequence[MeshFaces]) -> list[tuple[bpy.types.Material | None, list[User]]]:
    """Each material with the meshes and triangles that wear it."""
    found: dict[str, tuple[bpy.types.Material | None, list[User]]] = {}
    for number, faces in enumerate(meshes):
        for slot, material in enumerate(faces.materials):
            rows = np.flatnonzero(faces.face_materials == slot)
            if len(rows):
                key = material.name_full if material else ""
                found.setdefault(key, (material, []))[1].append((number, faces, rows))
    return list(found.values())


def _extent(meshes: Sequence[MeshFaces]) -> float:
    """The diagonal of all meshes together, world units."""
    corners = [np.array(f.item.matrix_world @ Vector(c)) for f in meshes for c in f.item.bound_box]
    return float(np.linalg.norm(np.max(corners, axis=0) - np.min(corners, axis=0))) if corners else 1.0


def _patches(
    material: bpy.types.Material | None, users: list[User], reading: Reading, warn: Callable[[str], None]
) -> list[Patch]:
    everywhere = [(number, rows) for number, _, rows in users]
    if material is None:
        return [Patch(_NO_MATERIAL, everywhere)]
    if not compat.draws_nodes(material):
        return [Patch(tuple(material.diffuse_color[:3]), everywhere)]
    remarks: list[str] = []
    try:
        patches = patches_of(material, users, reading, remarks)
    except Exception as error:  # one material is no reason to end the export
        problem = unforeseen_error(said("Reading the material '{name}'", name=material.name), error)
        texts = (problem.message, "It is exported in its viewport colour.", problem.hint)
        warn(joined([text for text in texts if text], " "))
        return [Patch(tuple(material.diffuse_color[:3]), everywhere)]
    for remark in remarks:
        warn(said("The material '{name}' {remark}.", name=material.name, remark=said(remark)))
    return patches


@dataclass
class _Found:
    """What is known so far; `rows` and `uvs` of each mesh."""

    uvs: list[np.ndarray]
    rows: list[np.ndarray]
    entries: list[dict[str, Any]] = field(default_factory=list)
    textures: list[np.ndarray] = field(default_factory=list)
    pictures: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, patch: Patch) -> None:
        color = [float(c) if np.isfinite(c) else 0.0 for c in patch.color]
        entry = {"name": name, "base_color": color, "texture": self._number(patch.texture, patch.key)}
        entry |= dict(zip(("roughness", "metallic", "specular"), patch.gloss, strict=True))
        if patch.toon[0]:
            entry |= {"toon_size": patch.toon[0], "toon_smooth": patch.toon[1]}
        entry["gloss"] = self._number(patch.gloss_texture)
        row = self.row(entry)
        for (number, rows), uvs in zip(patch.faces, patch.uvs or [None] * len(patch.faces), strict=True):
            self.rows[number][rows] = row
            if uvs is not None:
                self.uvs[number][rows] = uvs

    def _number(self, texture: np.ndarray | None, key: str = "") -> int:
        """The number of a texture, which is added where it is not there yet; -1 for none."""
        if texture is None:
            return -1
        key = key or f"texture {len(self.textures)}"
        if key not in self.pictures:
            self.pictures[key] = len(self.textures)
            self.textures.append(texture)
        return self.pictures[key]

    def row(self, entry: dict[str, Any]) -> int:
        self.entries.append(entry)
        return len(self.entries) - 1
