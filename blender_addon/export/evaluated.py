# SPDX-License-Identifier: GPL-3.0-or-later
"""The character as Blender shows it: its meshes after shape keys, lattices, cloth and every other modifier.

Vertices correspond to those of the bind pose one to one. Modifiers that make other vertices are left out where
nothing deforms the mesh after them, such as a Subdivision Surface at the end, and refused elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError

from .character import GENERATIVE

# fmt: off
DEFORMING = frozenset((
    "ARMATURE", "CAST", "CLOTH", "CORRECTIVE_SMOOTH", "CURVE", "DISPLACE", "HOOK", "LAPLACIANDEFORM", "LAPLACIANSMOOTH",
    "LATTICE", "MESH_CACHE", "MESH_DEFORM", "MESH_SEQUENCE_CACHE", "OCEAN", "SHRINKWRAP", "SIMPLE_DEFORM", "SMOOTH",
    "SOFT_BODY", "SURFACE_DEFORM", "VOLUME_DISPLACE", "WARP", "WAVE",
))
# fmt: on
EITHER = frozenset(("MESH_SEQUENCE_CACHE", "NODES"))  # these may keep all vertices, so they stay on


def left_out(objects: Sequence[bpy.types.Object], warn: Callable[[str], None]) -> list[bpy.types.Modifier]:
    """The modifiers to switch off while vertices are read: they make other vertices, and nothing deforms after them."""
    found = []
    for item in objects:
        shown = [modifier for modifier in item.modifiers if modifier.show_viewport]
        last = max((place for place, modifier in enumerate(shown) if modifier.type in DEFORMING), default=-1)
        for modifier in shown[last + 1 :]:
            if modifier.type in GENERATIVE - EITHER:
                warn(f"The modifier '{modifier.name}' of '{item.name}' is not part of the shot: it makes new vertices.")
                found.append(modifier)
    return found


def first_simulated_frame(view_layer: bpy.types.ViewLayer, start: int) -> int:
    """Where playing has to begin for frame `start` to be right: Blender simulates one frame after the other."""
    caches = (
        modifier.point_cache
        for item in view_layer.objects
        for modifier in item.modifiers
        if isinstance(modifier, bpy.types.ClothModifier | bpy.types.SoftBodyModifier) and modifier.show_viewport
    )
    return min([start, *(cache.frame_start for cache in caches if not cache.is_baked)])


def evaluated_vertices(
    objects: Sequence[bpy.types.Object],
    depsgraph: bpy.types.Depsgraph,
    shown_as: Sequence[bpy.types.Object] | None = None,
) -> np.ndarray:
    """Vertices (V,3) of all `objects` after their modifiers, as evaluated now: world space, metres, float64.

    Args:
        objects: the character's meshes, in the order of the shot.
        depsgraph: evaluated at the wanted frame.
        shown_as: for each of them the object whose vertices are read, such as a simulated copy; else itself.

    Raises:
        Ani3DError: ``character.vertices`` where modifiers make other vertices than the mesh has.
    """
    parts = []
    for item, source in zip(objects, shown_as or objects, strict=True):
        evaluated = source.evaluated_get(depsgraph)
        mesh = evaluated.data
        if len(mesh.vertices) != len(item.data.vertices):
            raise _other_vertices(item, source, len(mesh.vertices))
        points = np.empty(len(mesh.vertices) * 3, np.float32)
        mesh.vertices.foreach_get("co", points)
        world = np.array(evaluated.matrix_world, np.float64)
        parts.append(points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3])
    return np.concatenate(parts)


def check_finite(objects: Sequence[bpy.types.Object], vertices: np.ndarray, frame: int) -> None:
    """Raise ``character.not_finite`` naming the first of `objects` that has such a vertex among `vertices` (V,3)."""
    broken = np.flatnonzero(~np.isfinite(vertices).all(axis=1))
    if len(broken):
        ends = np.cumsum([len(item.data.vertices) for item in objects])
        name = objects[int(np.searchsorted(ends, broken[0], side="right"))].name
        raise Ani3DError(
            "character.not_finite",
            f"Vertices of '{name}' have no finite place at frame {frame}.",
            "Its simulation or a driver breaks there: repair it, or shorten the frame range.",
        )


def _other_vertices(item: bpy.types.Object, source: bpy.types.Object, found: int) -> Ani3DError:
    changing = next((m.name for m in source.modifiers if m.type in GENERATIVE and m.show_viewport), None)
    whose = f"; '{changing}' is among them" if changing else ""
    return Ani3DError(
        "character.vertices",
        f"The modifiers of '{item.name}' make {found} vertices of its {len(item.data.vertices)}{whose}.",
        "Apply it, switch it off in the viewport, or move it below all modifiers that deform, such as Cloth.",
    )
