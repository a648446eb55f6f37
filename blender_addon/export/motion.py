# SPDX-License-Identifier: GPL-3.0-or-later
"""A character's motion: poses of its skeleton, and vertices of what skinning cannot express.

Whether skinning moves an object as Blender does is measured, not guessed from its modifiers: some vertices of every
object are compared in every frame, all of them in some frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.skinning import skin

from .figure import Figure
from .members import Member
from .modifiers import last_generative
from .strands import read_strands

EXACT = 2e-5  # of the character's height: further from Blender than this, an object is recorded
HAIR_EXACT = 2e-3  # the same for strands, which the engine moves anyway
COMPARED = 256  # vertices of each object that are compared in every frame


class OtherVertices(Exception):
    """The modifiers of a member make other vertices at some frame than at rest."""

    def __init__(self, member: Member, found: int, expected: int, frame: int) -> None:
        super().__init__(member.name)
        self.member, self.found, self.expected, self.frame = member, found, expected, frame

    def what(self) -> str:
        """What is wrong, as the beginning of a sentence."""
        modifier = last_generative(self.member.item)
        whose = f" ('{modifier.name}' is among them)" if modifier else ""
        return (
            f"The modifiers of '{self.member.name}'{whose} make other vertices in other poses, {self.found} at frame "
            f"{self.frame} and {self.expected} at rest"
        )

    def error(self) -> Ani3DError:
        """What a user is told."""
        return Ani3DError("character.vertices", f"{self.what()}.", "Apply them, or switch them off in the viewport.")


@dataclass
class Comparison:
    """How far from Blender skinning puts each object: `worst` (O,) metres so far."""

    figure: Figure
    worst: np.ndarray

    @classmethod
    def of(cls, figure: Figure) -> Comparison:
        return cls(figure, np.zeros(len(figure.members)))

    def look(
        self, depsgraph: bpy.types.Depsgraph, pose: np.ndarray, frame: int, numbers: Iterable[int], most: int
    ) -> None:
        """Compare up to `most` vertices of the objects `numbers` at the frame that is evaluated now.

        Args:
            pose: (B,4,4) world matrices of the skeleton.
        """
        figure = self.figure
        transforms = pose @ np.linalg.inv(figure.rig.rest)
        for number in numbers:
            rows = figure.rows(number)
            points = world_vertices(figure.members[number], depsgraph, rows.stop - rows.start, frame)
            chosen = np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).astype(int))
            skinned = self._skinned(chosen + rows.start, transforms, number)
            distance = np.linalg.norm(skinned - points[chosen], axis=1).max()
            self.worst[number] = max(self.worst[number], distance if np.isfinite(distance) else np.inf)

    def _skinned(self, vertices: np.ndarray, transforms: np.ndarray, number: int) -> np.ndarray:
        """(N,3) places of vertices of one object: as the engine skins them."""
        figure = self.figure
        indices, values = figure.weight_indices[vertices], figure.weight_values[vertices]
        volume = np.full(len(vertices), figure.preserve_volume[number])
        return skin(figure.vertices[vertices], indices, values, transforms[None], volume)[0]

    def recorded(self) -> frozenset[int]:
        """The objects that skinning does not put where Blender does."""
        allowed = np.where([member.hair >= 0 for member in self.figure.members], HAIR_EXACT, EXACT)
        return frozenset(np.flatnonzero(~(self.worst <= allowed * self.figure.height)).tolist())


def world_vertices(member: Member, depsgraph: bpy.types.Depsgraph, count: int, frame: int) -> np.ndarray:
    """(V,3) float64 world places of a member's vertices as evaluated now. Raises `OtherVertices`."""
    if member.hair >= 0:
        return _hair_vertices(member, depsgraph, count, frame)
    evaluated = member.item.evaluated_get(depsgraph)
    mesh = evaluated.data if member.item.type == "MESH" else None
    if mesh is None or len(mesh.vertices) != count:  # the GPU may subdivide what is drawn; `to_mesh` does so for others
        mesh = evaluated.to_mesh()
    try:
        if mesh is None or len(mesh.vertices) != count:
            raise OtherVertices(member, len(mesh.vertices) if mesh else 0, count, frame)
        local = np.empty(count * 3, np.float32)
        mesh.vertices.foreach_get("co", local)
    finally:
        evaluated.to_mesh_clear()
    world = member.world(depsgraph)
    return local.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def _hair_vertices(member: Member, depsgraph: bpy.types.Depsgraph, count: int, frame: int) -> np.ndarray:
    hairs = read_strands(member.item, depsgraph)
    if member.hair >= len(hairs) or 2 * hairs[member.hair].thickness.size != count:
        there = 2 * hairs[member.hair].thickness.size if member.hair < len(hairs) else 0
        raise OtherVertices(member, there, count, frame)
    local = hairs[member.hair].ribbons(np.array(member.item.evaluated_get(depsgraph).matrix_world, np.float64))[0]
    world = member.world(depsgraph)
    return local @ world[:3, :3].T + world[:3, 3]


def check_finite(member: Member, vertices: np.ndarray, frame: int) -> None:
    """Raise ``character.not_finite`` where one of `vertices` (V,3) has no finite place."""
    if not np.isfinite(vertices).all():
        raise Ani3DError(
            "character.not_finite",
            f"Vertices of '{member.name}' have no finite place at frame {frame}.",
            "Its simulation or a driver breaks there: repair it, or shorten the frame range.",
        )


def probed(frames: Sequence[int]) -> list[int]:
    """Frames spread over the shot at which all vertices are compared before it is played."""
    return sorted({frames[round(share * (len(frames) - 1))] for share in (0.0, 0.31, 0.5, 0.77, 1.0)})


def first_simulated_frame(view_layer: bpy.types.ViewLayer, start: int) -> int:
    """Where playing has to begin for frame `start` to be right: Blender simulates one frame after the other."""
    caches = (
        modifier.point_cache
        for item in view_layer.objects
        for modifier in item.modifiers
        if isinstance(modifier, bpy.types.ClothModifier | bpy.types.SoftBodyModifier) and modifier.show_viewport
    )
    return min([start, *(cache.frame_start for cache in caches if not cache.is_baked)])
