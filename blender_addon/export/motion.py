# SPDX-License-Identifier: GPL-3.0-or-later
"""A character's motion: poses of its skeleton, and vertices of what skinning cannot express.

Whether skinning moves an object as Blender does is measured, not guessed from its modifiers: all vertices are compared
in a few frames, some of them in many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.hair_ribbons import ribbons
from ani3d_formats.skinning import skin

from ..sentence import said
from .figure import Figure
from .hair import Strands, inverse_of, read_strands
from .members import Member, Roots
from .modifiers import last_generative
from .rest import has_size

EXACT = 2e-5  # of the character's height: further from Blender than this, an object is recorded
HAIR_EXACT = 2e-3  # the same for strands, which the engine moves anyway
COMPARED, IN_FRAMES = 48, 60  # that many vertices of each object are compared, in about as many frames


class OtherVertices(Exception):
    """The modifiers of a member make other vertices at some frame than at rest."""

    def __init__(self, member: Member, found: int, expected: int, frame: int) -> None:
        super().__init__(member.name)
        self.member, self.found, self.expected, self.frame = member, found, expected, frame

    def what(self) -> str:
        """What is wrong, as the beginning of a sentence."""
        modifier = last_generative(self.member.item)
        whose = said(" ('{modifier}' is among them)", modifier=modifier.name) if modifier else ""
        return said(
            "The modifiers of '{name}'{whose} make other vertices in other poses, {found} at frame {frame} "
            "and {expected} at rest",
            name=self.member.name,
            whose=whose,
            found=self.found,
            frame=self.frame,
            expected=self.expected,
        )

    def error(self) -> Ani3DError:
        """What a user is told."""
        return Ani3DError(
            "character.vertices", said("{what}.", what=self.what()), "Apply them, or switch them off in the viewport."
        )


class Comparison:
    """Compares skinning with Blender, for some vertices of some objects of a figure.

    Attributes:
        worst: (O,) metres, how far apart the two were so far, by object.
    """

    def __init__(self, figure: Figure, numbers: Iterable[int], most: int) -> None:
        """Compare up to `most` vertices of each of the objects `numbers`."""
        self.figure, self.worst = figure, np.zeros(len(figure.members))
        self._samples = {n: _spread(figure.rows(n), most) for n in numbers}
        chosen = [samples + figure.rows(n).start for n, samples in self._samples.items()]
        self._vertices = np.concatenate(chosen) if chosen else np.zeros(0, int)
        self._starts = np.cumsum([0, *map(len, chosen)])
        volume = np.repeat(figure.preserve_volume, np.diff(figure.starts))
        self._volume = volume[self._vertices]
        self._from_rest = np.linalg.inv(figure.rig.rest)

    def look(self, depsgraph: bpy.types.Depsgraph, pose: np.ndarray, frame: int) -> None:
        """Compare at the frame that is evaluated now; `pose` (B,4,4) are the skeleton's world matrices."""
        self.compare(self.read(depsgraph, frame), pose)

    def read(self, depsgraph: bpy.types.Depsgraph, frame: int) -> list[np.ndarray]:
        """What `compare` needs of the frame that is evaluated now: places of each object's vertices, world."""
        return [
            world_vertices(self.figure.members[number], depsgraph, int(np.diff(self.figure.starts)[number]), frame, own)
            for number, own in self._samples.items()
        ]

    def compare(self, places: list[np.ndarray], pose: np.ndarray) -> None:
        """Compare with what was read; uses no `bpy`."""
        if not self._samples:
            return
        figure, chosen = self.figure, self._vertices
        transforms = (pose @ self._from_rest)[None]
        skinned = skin(
            figure.vertices[chosen],
            figure.weight_indices[chosen],
            figure.weight_values[chosen],
            transforms,
            self._volume,
        )[0]
        for number, points, start in zip(self._samples, places, self._starts, strict=False):
            distance = np.linalg.norm(skinned[start : start + len(points)] - points, axis=1).max()
            self.worst[number] = max(self.worst[number], distance if np.isfinite(distance) else np.inf)

    def recorded(self) -> frozenset[int]:
        """The objects that skinning does not put where Blender does."""
        allowed = np.where([member.hair >= 0 for member in self.figure.members], HAIR_EXACT, EXACT)
        return frozenset(np.flatnonzero(~(self.worst <= allowed * self.figure.height)).tolist())


def _spread(rows: slice, most: int) -> np.ndarray:
    """Up to `most` vertices of an object, counted from its first, evenly spread."""
    count = rows.stop - rows.start
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))


def world_vertices(
    member: Member, depsgraph: bpy.types.Depsgraph, count: int, frame: int, chosen: np.ndarray | None = None
) -> np.ndarray:
    """World places (V,3) float64 of a member's `count` vertices as evaluated now, or of those `chosen`.

    Raises:
        OtherVertices: it has another number of vertices.
    """
    if member.hair >= 0:
        points = _hair_vertices(member, depsgraph, count, frame)
        return points if chosen is None else points[chosen]
    evaluated = member.item.evaluated_get(depsgraph)
    mesh = evaluated.data if member.item.type == "MESH" else None
    converted = mesh is None or len(mesh.vertices) != count  # the GPU may subdivide what is drawn, `to_mesh` all
    if converted:
        mesh = evaluated.to_mesh()
    try:
        if mesh is None or len(mesh.vertices) != count:
            raise OtherVertices(member, len(mesh.vertices) if mesh else 0, count, frame)
        if chosen is not None and len(chosen) < count / 8:
            vertices = mesh.vertices
            local: np.ndarray = np.array([vertices[index].co for index in chosen.tolist()], np.float64)
        else:
            values = np.empty(count * 3, np.float32)
            mesh.vertices.foreach_get("co", values)
            local = values.reshape(-1, 3) if chosen is None else values.reshape(-1, 3)[chosen]
    finally:
        if converted:
            evaluated.to_mesh_clear()
    world = member.world(depsgraph)
    return local @ world[:3, :3].T + world[:3, 3]


def _hair_vertices(member: Member, depsgraph: bpy.types.Depsgraph, count: int, frame: int) -> np.ndarray:
    hair = _hair(member, depsgraph, count, frame)
    if member.carried:
        return ribbons(_carried(member, hair, depsgraph, frame), hair.thickness)[0]
    local = hair.ribbons(np.array(member.item.evaluated_get(depsgraph).matrix_world, np.float64))[0]
    world = member.world(depsgraph)
    return local @ world[:3, :3].T + world[:3, 3]


def _hair(member: Member, depsgraph: bpy.types.Depsgraph, count: int, frame: int) -> Strands:
    hairs = read_strands(member.item, depsgraph)
    there = 2 * hairs[member.hair].thickness.size if member.hair < len(hairs) else 0
    if there != count:
        raise OtherVertices(member, there, count, frame)
    return hairs[member.hair]


def _carried(member: Member, hair: Strands, depsgraph: bpy.types.Depsgraph, frame: int) -> np.ndarray:
    """The strands (S,P,3) of a member where the surface that they grow on has them now."""
    roots = cast(Roots, member.roots)
    inverse = inverse_of(np.array(member.item.evaluated_get(depsgraph).matrix_world, np.float64))
    return _on_surface(roots, roots.carried(hair.points @ inverse[:3, :3].T + inverse[:3, 3], depsgraph), frame)


def _on_surface(roots: Roots, points: np.ndarray | None, frame: int) -> np.ndarray:
    if points is None:
        raise OtherVertices(roots.surface, 0, 0, frame)
    return points


def root_distances(member: Member, depsgraph: bpy.types.Depsgraph, count: int, frame: int) -> np.ndarray:
    """(S,) metres between the roots of a member's strands as Blender shows them and where their surface has them; 0
    while either has no size."""
    roots = cast(Roots, member.roots)
    if not (has_size(member.world(depsgraph)) and has_size(roots.surface.world(depsgraph))):
        return np.zeros(len(roots.begins))
    shown = _hair_vertices(member, depsgraph, count, frame).reshape(len(roots.begins), -1, 2, 3)[:, 0].mean(1)
    return np.linalg.norm(_on_surface(roots, roots.where(depsgraph), frame) - shown, axis=1)


def check_finite(member: Member, vertices: np.ndarray, frame: int) -> None:
    """Raise ``character.not_finite`` where one of `vertices` (V,3) has no finite place."""
    if not np.isfinite(vertices).all():
        raise Ani3DError(
            "character.not_finite",
            said("Vertices of '{name}' have no finite place at frame {frame}.", name=member.name, frame=frame),
            "Its simulation or a driver breaks there: repair it, or shorten the frame range.",
        )


def is_compared(frame: int, frames: range) -> bool:
    """Whether some vertices are compared at a frame while the shot is played."""
    return (frame - frames.start) % max(1, len(frames) // IN_FRAMES) == 0


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
