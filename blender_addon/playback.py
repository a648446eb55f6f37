# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes results play by Blender's own parts alone: instanced, linked, at subframes, and without this extension.

A mesh of loose points plays the cache's playback file by a Mesh Cache modifier. Geometry nodes on the Gaussians read
the numbers back from those points and set position, rotation and whatever else changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache
from ani3d_formats.pc2 import read_pc2
from ani3d_formats.playback_file import packed, packing, write_playback

from . import compat
from .paths import in_blend
from .playback_nodes import ATTRIBUTE_TYPES, playback_nodes, points_read_by
from .timeline import frame_length

NAME = "Ani3D Playback"


def add_playback(item: bpy.types.Object, cache: FrameCache, scene: bpy.types.Scene) -> None:
    """Make the point cloud object `item` show `cache`: its first frame as data, the others by modifiers.

    Raises:
        Ani3DError: ``disk.full`` or ``file.unwritable``, when the playback file cannot be written.
    """
    first = cache.frame(cache.manifest.frame_start)
    _write(cast(bpy.types.PointCloud, item.data), first)
    plan = packing(cache)
    if not plan.points:
        return
    file = write_playback(cache)
    mesh = bpy.data.meshes.new(f"{item.name} Points")
    mesh.vertices.add(plan.points)
    mesh.vertices.foreach_set("co", packed(plan, first).ravel())  # what stands there when the file is missing
    points = bpy.data.objects.new(mesh.name, mesh)  # in no collection: only the nodes know it
    play_point_cache(points, file, cache.manifest.frame_start, scene)
    modifier = cast(bpy.types.NodesModifier, item.modifiers.new(NAME, "NODES"))
    modifier.node_group = playback_nodes(f"{NAME} {item.name}", points, plan)


def play_point_cache(item: bpy.types.Object, file: Path, frame_start: int, scene: bpy.types.Scene) -> None:
    """Have the mesh object `item` play the PC2 `file`, whose first sample is frame `frame_start` of `scene`."""
    modifier = cast(bpy.types.MeshCacheModifier, item.modifiers.new("Ani3D", "MESH_CACHE"))
    modifier.cache_format = "PC2"
    modifier.filepath = in_blend(file)
    modifier.time_mode = "FRAME"
    modifier.play_mode = "SCENE"
    modifier.frame_start = frame_start
    modifier.frame_scale = 1 / frame_length(scene)  # Blender gives modifiers the remapped frame
    item.modifiers.move(len(item.modifiers) - 1, 0)  # what a copy has kept of its original comes after it


def remove_playback(item: bpy.types.Object) -> None:
    """Take away what `add_playback` made beside `item`; the file stays."""
    points = _points_of(item)
    if points is None:
        return
    tree = cast(bpy.types.NodesModifier, item.modifiers[NAME]).node_group
    item.modifiers.clear()
    if tree.users == 0:
        bpy.data.node_groups.remove(tree)
    if points.users == 0:
        bpy.data.meshes.remove(cast(bpy.types.Mesh, points.data))


def cache_file(item: bpy.types.Object) -> Path | None:
    """The PC2 file that plays `item`, a part of a result; none where nothing moves."""
    player = _player(item)
    return Path(bpy.path.abspath(player[1].filepath, library=player[0].library)) if player else None


def error_of(item: bpy.types.Object) -> str:
    """Why `item`, a part of a result, does not play, or an empty string."""
    player, file = _player(item), cache_file(item)
    if player is None or file is None:
        return ""
    expected = len(cast(bpy.types.Mesh, player[0].data).vertices)
    try:
        found = read_pc2(file).vertices.shape[1]
    except Ani3DError as error:
        return f"{error.message} Fetch or import the result again, or put its folder back."
    if found != expected:
        return f"'{item.name}' has {expected} points, its cache {file} {found}. Import the result again."
    return ""


def _player(item: bpy.types.Object) -> tuple[bpy.types.Object, bpy.types.MeshCacheModifier] | None:
    """The object that plays the file for `item`, and its modifier."""
    for owner in (item, _points_of(item)):
        for modifier in owner.modifiers if owner else ():
            if isinstance(modifier, bpy.types.MeshCacheModifier):
                return cast(bpy.types.Object, owner), modifier
    return None


def _points_of(item: bpy.types.Object) -> bpy.types.Object | None:
    for modifier in item.modifiers:
        if modifier.name == NAME and isinstance(modifier, bpy.types.NodesModifier) and modifier.node_group:
            return points_read_by(modifier.node_group)
    return None


def _write(cloud: bpy.types.PointCloud, attributes: dict[str, np.ndarray]) -> None:
    for name, array in attributes.items():
        if name not in cloud.attributes:
            kind = compat.radiance_type() if name == "radiance:base" else ATTRIBUTE_TYPES.get(name)
            kind = kind or {1: "FLOAT", 3: "FLOAT_VECTOR", 4: compat.radiance_type()}[array.shape[-1]]
            cloud.attributes.new(name, cast(Any, kind), "POINT")
    # Adding an attribute can move the others in memory, so each is looked up once all exist.
    for name, array in attributes.items():
        compat.write_attribute(cloud.attributes[name], array)
    cloud.update_tag()
