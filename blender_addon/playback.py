# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes results play by Blender's own parts alone: instanced, linked, at subframes, and without this extension.

Loose points play the cache's playback files by Mesh Cache modifiers. Geometry nodes make the Gaussians and read their
numbers from those points, so the .blend holds none of them, however many there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import bpy

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache
from ani3d_formats.pc2 import read_pc2
from ani3d_formats.playback_file import STILL, Packing, packings, playback_path, write_playback

from . import compat
from .paths import in_blend
from .playback_nodes import Player, loose_points, objects_read_by, playback_nodes
from .sentence import said
from .timeline import frame_length
from .viewport_points import MOST, every_nth, space

NAME = "Ani3D Playback"
ON_ORIGINAL = "Ani3D Result"  # the modifier by which an original plays a result in its copy's stead
PLACE = "Ani3D Place"  # and the nodes behind it
MARK = "ani3d_plays"  # on such an original: which result, and how it was before, as JSON
COUNT = "ani3d_points"  # how many points an object without vertices plays, or Gaussians a cloud shows


@dataclass(frozen=True)
class Timing:
    """When a result plays: `offset` frames later than it was made for, at `speed` times its own, in a `loop`."""

    offset: float = 0.0
    speed: float = 1.0
    loop: bool = False


def add_playback(item: bpy.types.Object, cache: FrameCache, scene: bpy.types.Scene) -> None:
    """Make the point cloud object `item`, which has one point, show `cache` by modifiers.

    Raises:
        Ani3DError: ``disk.full`` or ``file.unwritable``, when the playback files cannot be written.
    """
    write_playback(cache)
    plans = packings(cache)
    still = _still_cloud(item, cache, plans.pop(STILL, None), scene)
    players = [_player(f"{item.name} Points", cache, name, plan, scene) for name, plan in plans.items()]
    modifier = cast(bpy.types.NodesModifier, item.modifiers.new(NAME, "NODES"))
    count = cache.manifest.count
    item[COUNT] = count
    nth = 0 if compat.draws_splats() else every_nth(count, MOST)
    modifier.node_group = playback_nodes(f"{NAME} {item.name}", still or count, players, nth)


def show_points(item: bpy.types.Object, most: int) -> None:
    """Have the viewport show at most so many of the Gaussians of `item`, a part of a result, as points; 0 for all."""
    modifier: Any = item.modifiers.get(NAME)
    if modifier is not None and modifier.node_group and (count := item.get(COUNT)):
        space(modifier.node_group, every_nth(int(count), most))


def _still_cloud(
    item: bpy.types.Object, cache: FrameCache, plan: Packing | None, scene: bpy.types.Scene
) -> bpy.types.Object | None:
    """A cloud of what stands still, if anything does, which `item` need not make anew at each frame."""
    if plan is None:
        return None
    points, _ = player = _player(f"{item.name} Still Points", cache, STILL, plan, scene)
    cast(bpy.types.MeshCacheModifier, points.modifiers[1]).play_mode = "CUSTOM"  # is not read at each frame
    cloud = compat.new_point_cloud_object(f"{item.name} Still", 1, scene.collection)
    scene.collection.objects.unlink(cloud)
    if compat.draws_splats():
        compat.mark_as_splats(cloud.data)
    modifier = cast(bpy.types.NodesModifier, cloud.modifiers.new(NAME, "NODES"))
    modifier.node_group = playback_nodes(f"{NAME} {cloud.name}", cache.manifest.count, [player])
    return cloud


def _player(name: str, cache: FrameCache, file: str, plan: Packing, scene: bpy.types.Scene) -> Player:
    """Loose points that play a playback file of `cache`, with its plan."""
    points = _points(name, plan.points)
    play_point_cache(points, playback_path(cache, file), cache.manifest.frame_start, scene)
    points.modifiers.move(0, 1)  # behind what makes the points
    return points, plan


def _points(name: str, count: int) -> bpy.types.Object:
    """A mesh object of `count` loose points at its origin, which nodes make; in no collection: only nodes know it."""
    points = bpy.data.objects.new(name, bpy.data.meshes.new(name))
    points[COUNT] = count
    modifier = cast(bpy.types.NodesModifier, points.modifiers.new(NAME, "NODES"))
    modifier.node_group = loose_points(name, count)
    return points


def play_point_cache(
    item: bpy.types.Object, file: Path, frame_start: int, scene: bpy.types.Scene, name: str = "Ani3D", place: int = 0
) -> None:
    """Have the mesh object `item` play the PC2 `file`, whose first sample is frame `frame_start` of `scene`, by a
    modifier at this place of its stack: what a copy has kept of its original comes after it."""
    modifier = cast(bpy.types.MeshCacheModifier, item.modifiers.new(name, "MESH_CACHE"))
    modifier.cache_format = "PC2"
    modifier.filepath = in_blend(file)
    modifier.time_mode = "FRAME"
    _play(modifier, frame_start, Timing(), scene)
    item.modifiers.move(len(item.modifiers) - 1, place)


def retime(item: bpy.types.Object, timing: Timing, scene: bpy.types.Scene) -> None:
    """Have `item`, a part of a result, play at another time; a cache that is not there plays as before.

    In a loop the last frame is followed by the first, and frames before the first are those of the loop before.
    """
    for owner, modifier in players_for(item):
        try:
            cache = read_pc2(file_of(owner, modifier))
        except Ani3DError:
            continue  # the panel says so
        if len(cache.vertices) == 1:
            continue
        _play(modifier, cache.start, timing, scene)
        modifier.driver_remove("eval_frame")
        if timing.loop:
            modifier.play_mode = "CUSTOM"
            driver = cast(bpy.types.FCurve, modifier.driver_add("eval_frame")).driver
            driver.type, length = "SCRIPTED", len(cache.vertices)
            played = f"frame * {modifier.frame_scale!r} - {modifier.frame_start!r}"
            # fmod keeps signs; so plain an expression is no script, which Blender would ask about
            driver.expression = f"fmod(fmod({played}, {length}) + {length}, {length})"


def _play(modifier: bpy.types.MeshCacheModifier, start: float, timing: Timing, scene: bpy.types.Scene) -> None:
    """Have a modifier play its file, whose first sample is frame `start`, once."""
    modifier.play_mode = "SCENE"
    modifier.frame_scale = timing.speed / frame_length(scene)  # Blender gives modifiers the remapped frame
    modifier.frame_start = (start + timing.offset) * timing.speed  # subtracted from the scaled frame


def remove_playback(item: bpy.types.Object) -> None:
    """Take away what `add_playback` made beside `item`; the file stays."""
    players = _players_of(item)
    trees = [cast(bpy.types.NodesModifier, each.modifiers[NAME]).node_group for each in (item, *players) if players]
    if players:
        item.modifiers.clear()
    for tree, owner in zip(trees, (None, *players), strict=False):  # each is read by the tree before it or by none
        if owner is not None and owner.users == 0:
            data = owner.data
            kinds: Any = bpy.data.meshes if isinstance(data, bpy.types.Mesh) else bpy.data.pointclouds
            kinds.remove(data)  # and the object with it
        if tree.users == 0:
            bpy.data.node_groups.remove(tree)


def cache_file(item: bpy.types.Object) -> Path | None:
    """The PC2 file that plays `item`, a part of a result; none where nothing does."""
    return next((file_of(*player) for player in modifiers_of(item)), None)


def error_of(item: bpy.types.Object) -> str:
    """Why `item`, a part of a result, does not play, or an empty string."""
    for owner, modifier in modifiers_of(item):
        expected = owner.get(COUNT) or len(cast(bpy.types.Mesh, owner.data).vertices)
        file = file_of(owner, modifier)
        try:
            found = read_pc2(file).vertices.shape[1]
        except Ani3DError as error:
            return said(
                "{problem} Fetch or import the result again, or put its folder back.", problem=said(error.message)
            )
        if found != expected:
            return said(
                "'{name}' has {expected} points, its cache {file} {found}. Import the result again.",
                name=item.name,
                expected=expected,
                file=file,
                found=found,
            )
    return ""


def file_of(owner: bpy.types.Object, modifier: bpy.types.MeshCacheModifier) -> Path:
    return Path(bpy.path.abspath(modifier.filepath, library=owner.library))


def players_for(item: bpy.types.Object) -> Iterator[tuple[bpy.types.Object, bpy.types.MeshCacheModifier]]:
    """Objects with the modifiers by which they play files for `item`, on the original in its stead too."""
    yield from modifiers_of(item)
    yield from _on_original(item)


def modifiers_of(item: bpy.types.Object) -> Iterator[tuple[bpy.types.Object, bpy.types.MeshCacheModifier]]:
    """The objects that play files for `item`, with the modifiers that do it."""
    for owner in (item, *_players_of(item)):
        for modifier in owner.modifiers:
            if isinstance(modifier, bpy.types.MeshCacheModifier):
                yield owner, modifier


def played_on(source: bpy.types.Object) -> str:
    """The name of the result that an original plays, "" for none."""
    return str(json.loads(str(source[MARK]))["result"]) if source.get(MARK) else ""


def _on_original(item: bpy.types.Object) -> Iterator[tuple[bpy.types.Object, bpy.types.MeshCacheModifier]]:
    """The original that plays in the stead of `item`, with the modifier that does it."""
    group = cast(Any, item).ani3d
    if group.source is not None and played_on(group.source) == group.result:
        modifier = group.source.modifiers.get(ON_ORIGINAL)
        if isinstance(modifier, bpy.types.MeshCacheModifier):
            yield group.source, modifier


def _players_of(item: bpy.types.Object) -> list[bpy.types.Object]:
    """The objects that `item` reads, each before those that it reads itself."""
    for modifier in item.modifiers:
        if modifier.name == NAME and isinstance(modifier, bpy.types.NodesModifier) and modifier.node_group:
            return [found for each in objects_read_by(modifier.node_group) for found in (each, *_players_of(each))]
    return []
