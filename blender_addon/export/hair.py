# SPDX-License-Identifier: GPL-3.0-or-later
"""Hair as strands: particle hair with or without children, hair curves, and curves without thickness, as evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import bpy
import numpy as np
from mathutils import Vector
from mathutils.kdtree import KDTree

from ani3d_formats.hair_ribbons import resampled, ribbons, root_pins
from ani3d_formats.pins import PIN_GROUP

from .triangles import coordinates

POINTS = 10  # of every strand
LIMIT = 3000  # strands of one head of hair
DEFAULT_THICKNESS = 0.01  # metres, of hair curves without radii, as Cycles draws them
THREAD = 0.001  # metres, of other curves
WIDEST = 0.004  # metres, up to which the strands that are left are widened
ATTACHED = "surface_uv_coordinate"  # the attribute of hair curves that says where on their surface they grow


@dataclass(frozen=True)
class Strands:
    """One head of hair.

    Attributes:
        name: of the particle system or the object.
        points: (S,P,3) world metres, root first; thickness: (S,P) metres.
        slot: the object's material slot.
        surface: what the hair grows on, or None; `follows`: its deformation moves the hair.
        coordinates: (S,2) where hair curves are attached on the UV map of their surface, where they say so.
        pins: (S,P) 0..1, where hair curves have them: how far the strand follows what it grows on.
    """

    name: str
    points: np.ndarray
    thickness: np.ndarray
    slot: int
    surface: bpy.types.Object | None
    follows: bool = False
    coordinates: np.ndarray | None = None
    pins: np.ndarray | None = None

    def ribbons(self, world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V,3) in the space of an object that stands at `world` (4,4), and faces (F,3)."""
        inverse = inverse_of(world)
        vertices, faces = ribbons(self.points, self.thickness)
        return vertices @ inverse[:3, :3].T + inverse[:3, 3], faces

    def pin_weights(self) -> np.ndarray:
        """(2*S*P,) float32 of the ribbons' vertices: its roots' and, above them, its own."""
        strands, count = self.points.shape[:2]
        held = root_pins(count, strands)
        return held if self.pins is None else np.maximum(held, np.repeat(self.pins.ravel(), 2).astype(np.float32))


def inverse_of(world: np.ndarray) -> np.ndarray:
    """The inverse of an object's matrix (4,4); where it has no size all of the world lies at its origin."""
    if abs(np.linalg.det(world[:3, :3])) < 1e-30:
        return np.diag([0.0, 0.0, 0.0, 1.0])
    return np.linalg.inv(world)


def read_strands(item: bpy.types.Object, depsgraph: bpy.types.Depsgraph, limit: int = LIMIT) -> list[Strands]:
    """The strands of `item` as evaluated now, at most `limit` of each head of hair, all with `POINTS` points.

    Of more, evenly chosen ones stand for the others and are wider. Objects without hair have none.
    """
    if item.type == "MESH":
        return [hair for system in hair_systems(item) if (hair := _of_particles(item, system, depsgraph, limit))]
    if item.type == "CURVES":
        return _of_hair_curves(item, depsgraph, limit)
    if is_thread(item):
        lines, count, slot = _of_threads(item, depsgraph, limit)
        return [_joined(item.name, lines, slot, item.parent, count)] if lines else []
    return []


def ribbon_mesh(hair: Strands, vertices: np.ndarray, faces: np.ndarray) -> bpy.types.Mesh:
    """A new mesh data block of ribbons; each strand has the texture coordinates of the place it grows at."""
    mesh = bpy.data.meshes.new(hair.name)
    mesh.from_pydata(vertices.tolist(), [], faces.tolist())
    skin = hair.surface.data if hair.surface is not None else None
    layer = next((uv for uv in skin.uv_layers if uv.active_render), None) if isinstance(skin, bpy.types.Mesh) else None
    if layer is None or not len(skin.loops):
        return mesh
    corner_of = np.zeros(len(skin.vertices), np.int64)
    owners = np.empty(len(skin.loops), np.int32)
    skin.loops.foreach_get("vertex_index", owners)
    corner_of[owners] = np.arange(len(owners))
    values = np.empty(len(skin.loops) * 2, np.float32)
    layer.data.foreach_get("uv", values)
    at_root = values.reshape(-1, 2)[corner_of[nearest_vertices(hair)]]
    loops = 6 * (hair.points.shape[1] - 1)  # of a strand
    mesh.uv_layers.new(name=layer.name).data.foreach_set("uv", np.repeat(at_root, loops, axis=0).ravel())
    return mesh


def nearest_vertices(hair: Strands) -> np.ndarray:
    """(S,) the vertices of the mesh that the hair grows on which are nearest to the roots, at rest."""
    surface = cast(bpy.types.Object, hair.surface)
    tree = KDTree(len(surface.data.vertices))
    for vertex in surface.data.vertices:
        tree.insert(vertex.co[:], vertex.index)
    tree.balance()
    to_surface = surface.matrix_world.inverted_safe()
    return np.array([tree.find((to_surface @ Vector(root))[:])[1] for root in hair.points[:, 0].tolist()])


def hair_systems(item: bpy.types.Object) -> list[str]:
    """Names of the particle systems of `item` that are shown and drawn as strands."""
    drawing = (m for m in item.modifiers if isinstance(m, bpy.types.ParticleSystemModifier) and m.show_viewport)
    shown = {modifier.particle_system.name for modifier in drawing}
    systems = [system for system in item.particle_systems if system.name in shown]
    return [s.name for s in systems if s.settings.type == "HAIR" and s.settings.render_type == "PATH"]


def is_thread(item: bpy.types.Object) -> bool:
    """Whether `item` is a curve that no bevel or extrusion gives a surface: lines that stand for hair."""
    if item.type != "CURVE":
        return False
    curve = cast(bpy.types.Curve, item.data)
    thick = curve.bevel_depth > 0 or curve.extrude > 0 or (curve.bevel_mode == "OBJECT" and curve.bevel_object)
    return not thick and not (curve.dimensions == "2D" and curve.fill_mode != "NONE")


def _of_particles(item: bpy.types.Object, name: str, depsgraph: bpy.types.Depsgraph, limit: int) -> Strands | None:
    evaluated = item.evaluated_get(depsgraph)
    system = evaluated.particle_systems[name]
    settings = system.settings
    parents, children = len(system.particles), len(system.child_particles)
    drawn = range(parents + children)
    if children and not settings.use_parent_particles:
        drawn = range(parents, parents + children)
    count = 2**settings.display_step + 1
    steps, chosen = range(count), [drawn[number] for number in _chosen(len(drawn), limit)]
    read = [system.co_hair(evaluated, particle_no=number, step=step)[:] for number in chosen for step in steps]
    places = np.array(read, np.float64).reshape(-1, count, 3)
    lines = []
    for length in range(2, count + 1):  # shorter ones have zeros at the end
        own = places[places.any(2).sum(1) == length, :length]
        along = np.linspace(0, 1, length) ** (2.0**settings.shape)
        wide = settings.root_radius + (settings.tip_radius - settings.root_radius) * along
        thick = np.broadcast_to(settings.radius_scale * wide[:, None], (*own.shape[:2], 1))
        lines += list(np.concatenate([own, thick], 2))
    if not lines:
        return None
    slot = min(max(settings.material - 1, 0), max(len(item.material_slots) - 1, 0))
    return _joined(name, lines, slot, item, len(drawn), follows=True)


def _of_hair_curves(item: bpy.types.Object, depsgraph: bpy.types.Depsgraph, limit: int) -> list[Strands]:
    evaluated = item.evaluated_get(depsgraph)
    curves = cast(Any, evaluated.data)
    values = np.empty(len(curves.points) * 3, np.float32)
    curves.points.foreach_get("position", values)
    world = np.array(evaluated.matrix_world, np.float64)
    places = values.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]
    size = float(np.cbrt(abs(np.linalg.det(world[:3, :3]))))
    radii = np.full(len(places), DEFAULT_THICKNESS / 2, np.float32)
    if "radius" in curves.attributes:
        curves.attributes["radius"].data.foreach_get("value", radii)
    values = np.c_[places, 2 * size * radii]
    painted = curves.attributes.get(PIN_GROUP)
    if painted is not None and (painted.data_type, painted.domain) == ("FLOAT", "POINT"):
        pins = np.empty(len(places), np.float32)
        painted.data.foreach_get("value", pins)
        values = np.c_[values, np.clip(np.nan_to_num(pins), 0, 1)]
    lines, kept = [], []
    for number in _chosen(len(curves.curves), limit).tolist():
        start, length = curves.curves[number].first_point_index, curves.curves[number].points_length
        if length > 1:
            lines.append(values[start : start + length])
            kept.append(number)
    if not lines:
        return []
    surface = cast(Any, item.data).surface or item.parent
    follows = any(m.type == "NODES" and m.show_viewport for m in item.modifiers)
    hair = _joined(item.name, lines, _slot_of(curves), surface, len(curves.curves), follows)
    attached = curves.attributes.get(ATTACHED)
    if attached is None or (attached.data_type, attached.domain) != ("FLOAT2", "CURVE"):
        return [hair]
    coordinates = np.empty(len(attached.data) * 2, np.float32)
    attached.data.foreach_get("vector", coordinates)
    return [replace(hair, coordinates=coordinates.reshape(-1, 2)[kept])]


def _slot_of(curves: Any) -> int:
    """The material slot that most curves have."""
    attribute = curves.attributes.get("material_index")
    if attribute is None or len(attribute.data) == 0:
        return 0
    slots = np.empty(len(attribute.data), np.int32)
    attribute.data.foreach_get("value", slots)
    return int(np.bincount(np.maximum(slots, 0)).argmax())


def _of_threads(
    item: bpy.types.Object, depsgraph: bpy.types.Depsgraph, limit: int
) -> tuple[list[np.ndarray], int, int]:
    """Lines (N,4) of the chosen splines of a curve without thickness, how many there are, and their material slot."""
    evaluated = item.evaluated_get(depsgraph)
    mesh = bpy.data.meshes.new_from_object(evaluated, depsgraph=depsgraph)
    try:
        values = coordinates(mesh)
        edges = np.empty(len(mesh.edges) * 2, np.int32)
        mesh.edges.foreach_get("vertices", edges)
    finally:
        bpy.data.meshes.remove(mesh)
    world = np.array(evaluated.matrix_world, np.float64)
    places = values @ world[:3, :3].T + world[:3, 3]
    lines = list(_chains(edges.reshape(-1, 2), np.c_[places, np.full(len(places), THREAD)]))
    slot = cast(Any, item.data).splines[0].material_index if len(cast(Any, item.data).splines) else 0
    return [lines[number] for number in _chosen(len(lines), limit)], len(lines), slot


def _chains(edges: np.ndarray, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Runs of `rows` (V,K) whose vertices follow each other by edges (E,2)."""
    linked = np.zeros(len(rows), bool)
    linked[edges.min(1)[np.abs(np.diff(edges, axis=1))[:, 0] == 1]] = True  # an edge to the next vertex
    start = 0
    for end in (np.flatnonzero(~linked) + 1).tolist():
        if end - start > 1:
            yield rows[start:end]
        start = end


def _chosen(count: int, limit: int) -> np.ndarray:
    """Which of `count` strands are taken."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).astype(int)) if count else np.zeros(0, int)


def _joined(
    name: str,
    lines: Sequence[np.ndarray],
    slot: int,
    surface: bpy.types.Object | None,
    count: int,
    follows: bool = False,
) -> Strands:
    """Strands of lines (N,4), place and thickness, or (N,5) with pins, that stand for `count` of them."""
    even = np.empty((len(lines), POINTS, lines[0].shape[1]))
    sizes = np.array([len(line) for line in lines])
    for size in np.unique(sizes):
        even[sizes == size] = resampled(np.stack([line for line in lines if len(line) == size]), POINTS)
    thickness = even[..., 3]
    widened = np.minimum(thickness * max(count / len(lines), 1), np.maximum(thickness, WIDEST))
    pins = even[..., 4] if even.shape[2] > 4 else None
    return Strands(name, even[..., :3], widened, slot, surface, follows, pins=pins)
