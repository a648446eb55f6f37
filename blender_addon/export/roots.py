# SPDX-License-Identifier: GPL-3.0-or-later
"""Hair that Blender leaves behind is carried by the surface that it grows on, as Deform Curves on Surface would.

Such hair has no deforming node, or its modifier stands before those that move the skin: Blender moves it with its
object alone, while the skin goes elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from .hair import Strands
from .members import FOLLOWING, TYING, Member
from .triangles import coordinates, triangles_of

TOUCHING = 0.02  # of the surface's size: curves that name no surface grow on their parent when their roots are so near
SAME_PLACE = 1e-5  # in texture space


@dataclass(frozen=True)
class Roots:
    """Where the S strands of a head of hair grow, at rest. Everything is in the surface's object space.

    Attributes:
        surface: the member that they grow on, whose evaluated mesh has `count` vertices.
        triangles: what lies below each root.
        places: (S,3) of the roots on the triangles; frames (S,3,3) rows tangent, side and normal.
        to_surface: (4,4) from the hair's object space; `begins` (S,3) the roots of the strands.
    """

    surface: Member
    count: int
    triangles: Triangles
    places: np.ndarray
    frames: np.ndarray
    to_surface: np.ndarray
    begins: np.ndarray

    def carried(self, points: np.ndarray, depsgraph: bpy.types.Depsgraph) -> np.ndarray | None:
        """Strands (S,P,3) of the hair's object space where the surface has them now: world metres, relative to the
        surface's origin. None where the surface has other vertices than at rest.
        """
        return self._now(points @ self.to_surface[:3, :3].T + self.to_surface[:3, 3], depsgraph)

    def where(self, depsgraph: bpy.types.Depsgraph) -> np.ndarray | None:
        """(S,3) where the surface has the roots now, as `carried`."""
        found = self._now(self.begins[:, None], depsgraph)
        return None if found is None else found[:, 0]

    def _now(self, at_rest: np.ndarray, depsgraph: bpy.types.Depsgraph) -> np.ndarray | None:
        """Strands (S,P,3) at rest as the surface has them now."""
        skin = _Skin.read(self.surface.item, depsgraph)
        if skin is None or len(skin.points) != self.count:
            return None
        places, frames = skin.frames(self.triangles)
        turn = np.einsum("sij,sik->sjk", frames, self.frames)  # from the axes at rest to those now
        local = np.einsum("sjk,spk->spj", turn, at_rest - self.places[:, None]) + places[:, None]
        world = self.surface.world(depsgraph)
        return local @ world[:3, :3].T + world[:3, 3]


@dataclass(frozen=True)
class Triangles:
    """A triangle for each of S roots: its vertices (S,3), face corners (S,3), and its corners' shares (S,3)."""

    vertices: np.ndarray
    corners: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True)
class _Skin:
    """A surface as evaluated now, in its object space: vertices (V,3) and normals (C,3) at face corners."""

    points: np.ndarray
    normals: np.ndarray

    @classmethod
    def read(cls, item: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> _Skin | None:
        """None where it has no faces."""
        evaluated = item.evaluated_get(depsgraph)
        mesh = evaluated.to_mesh()
        try:
            if mesh is None or not len(mesh.polygons):
                return None
            points, normals = coordinates(mesh), np.empty(len(mesh.loops) * 3, np.float32)
            mesh.corner_normals.foreach_get("vector", normals)
        finally:
            evaluated.to_mesh_clear()
        return cls(points.astype(np.float64), normals.reshape(-1, 3).astype(np.float64))

    def frames(self, at: Triangles) -> tuple[np.ndarray, np.ndarray]:
        """Places (S,3) on triangles, and axes (S,3,3) there: along the first edge, sideways, and the normal."""
        places = np.einsum("sk,skj->sj", at.shares, self.points[at.vertices])
        up = _unit(np.einsum("sk,skj->sj", at.shares, self.normals[at.corners]))
        edge = self.points[at.vertices[:, 1]] - self.points[at.vertices[:, 0]]
        along = _unit(edge - (edge * up).sum(1, keepdims=True) * up)
        return places, np.stack([along, np.cross(up, along), up], axis=1)


def grows_on(item: bpy.types.Object) -> bpy.types.Object | None:
    """The mesh that strands of `item` grow on and that should move them; None where something else is said to.

    An artist who hangs the object on a bone, on vertices or by a constraint means that.
    """
    if item.type == "MESH":
        return item
    tied = any(c.type in TYING and not c.mute and c.influence > 0 for c in item.constraints)
    deformed = any(m.type in FOLLOWING and m.show_viewport for m in item.modifiers)
    if tied or deformed or item.parent_type not in ("OBJECT", "ARMATURE"):
        return None
    surface = _named_surface(item) or item.parent
    return surface if surface is not None and surface.type == "MESH" else None


def find_roots(hair: Strands, member: Member, depsgraph: bpy.types.Depsgraph) -> Roots | None:
    """Where the strands of `hair`, a head of `member`'s at rest, grow; None where nothing that they grow on should move
    them."""
    item = member.item
    surface = grows_on(item)
    skin = _Skin.read(surface, depsgraph) if surface is not None else None
    if surface is None or skin is None:
        return None
    evaluated = surface.evaluated_get(depsgraph)
    if not np.linalg.det(np.array(evaluated.matrix_world, np.float64)):
        return None
    inverse = np.linalg.inv(np.array(evaluated.matrix_world, np.float64))
    begins = hair.points[:, 0] @ inverse[:3, :3].T + inverse[:3, 3]
    triangles, texture = _all_triangles(evaluated, cast(Any, item.data).surface_uv_map if item.type == "CURVES" else "")
    at, away = _below(begins, skin.points, triangles)
    if not (item.type == "MESH" or _named_surface(item)) and np.median(away) > TOUCHING * np.ptp(skin.points, 0).max():
        return None
    if texture is not None and hair.coordinates is not None:
        at = _placed_by_texture(at, hair.coordinates, texture, triangles, skin.points, begins)
    places, frames = skin.frames(at)
    to_surface = inverse @ np.array(item.evaluated_get(depsgraph).matrix_world, np.float64)
    on = replace(member, item=surface, hair=-1, roots=None, carried=False)
    return Roots(on, len(skin.points), at, places, frames, to_surface, begins)


def _named_surface(item: bpy.types.Object) -> bpy.types.Object | None:
    """The surface that hair curves name."""
    return cast(Any, item.data).surface if item.type == "CURVES" else None


def _all_triangles(evaluated: bpy.types.Object, texture: str) -> tuple[Triangles, np.ndarray | None]:
    """The triangles of an evaluated mesh, and their corners (F,3,2) in the UV map `texture`, if it has that."""
    mesh = cast(bpy.types.Mesh, evaluated.to_mesh())
    try:
        vertices, corners = triangles_of(mesh)
        found = Triangles(vertices, corners, np.zeros((len(vertices), 3)))
        layer = mesh.uv_layers.get(texture) if texture else None
        if layer is None:
            return found, None
        values = np.empty(len(mesh.loops) * 2, np.float32)
        layer.data.foreach_get("uv", values)
        return found, values.reshape(-1, 2).astype(np.float64)[found.corners]
    finally:
        evaluated.to_mesh_clear()


def _below(roots: np.ndarray, points: np.ndarray, triangles: Triangles) -> tuple[Triangles, np.ndarray]:
    """The triangle that is nearest to each root, and how far (S,) it is from there."""
    tree: Any = BVHTree.FromPolygons(points.tolist(), triangles.vertices.tolist())
    found = [tree.find_nearest(root) for root in roots.tolist()]
    chosen = [number or 0 for _, _, number, _ in found]
    places = np.array([place[:] if place is not None else points[0] for place, _, _, _ in found])
    shares = _barycentric(places, points[triangles.vertices[chosen]])
    return (
        Triangles(triangles.vertices[chosen], triangles.corners[chosen], shares),
        np.array([far or 0.0 for _, _, _, far in found]),
    )


def _placed_by_texture(
    at: Triangles,
    coordinates: np.ndarray,
    texture: np.ndarray,
    triangles: Triangles,
    points: np.ndarray,
    roots: np.ndarray,
) -> Triangles:
    """`at`, but where the surface has a place for the texture coordinates (S,2) of a strand: there. Of several places
    that one counts which is nearest to the root."""
    vertices, corners, shares = at.vertices.copy(), at.corners.copy(), at.shares.copy()
    flat = np.concatenate([texture, np.zeros((*texture.shape[:2], 1))], axis=2)
    tree: Any = BVHTree.FromPolygons(flat.reshape(-1, 3).tolist(), np.arange(3 * len(flat)).reshape(-1, 3).tolist())
    for strand, (u, v) in enumerate(coordinates.tolist()):
        best = np.inf
        for place, _, number, _ in tree.find_nearest_range(Vector((u, v, 0)), SAME_PLACE):
            share = _barycentric(np.array([place[:]]), flat[number][None])[0]
            far = float(np.linalg.norm(share @ points[triangles.vertices[number]] - roots[strand]))
            if far < best:
                best, shares[strand] = far, share
                vertices[strand], corners[strand] = triangles.vertices[number], triangles.corners[number]
    return Triangles(vertices, corners, shares)


def _barycentric(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Shares (S,3) of the corners of `triangles` (S,3,3) in `points` (S,3) on them."""
    a, b, to = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0], points - triangles[:, 0]
    aa, ab, bb = ((x * y).sum(1) for x, y in ((a, a), (a, b), (b, b)))
    area = aa * bb - ab * ab
    safe = np.where(area > 1e-30, area, 1.0)
    second = np.where(area > 1e-30, (bb * (to * a).sum(1) - ab * (to * b).sum(1)) / safe, 0.0)
    third = np.where(area > 1e-30, (aa * (to * b).sum(1) - ab * (to * a).sum(1)) / safe, 0.0)
    return np.stack([1 - second - third, second, third], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
