# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays Gaussian caches on the timeline.

Before Blender evaluates a frame, the points of every result object are overwritten with that frame of its
cache. The link is `object.ani3d.cache_path`: absolute while a file is open, written relative when the cache
lies below the .blend, so that a project folder can be moved as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import bpy
import numpy as np
from bpy.app.handlers import persistent

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache

from . import compat
from .display import COLOR_ATTRIBUTE, display_colors
from .properties import object_group


@dataclass
class _Player:
    """One object's opened cache, and the frame its points hold."""

    path: str
    cache: FrameCache | None = None
    error: str = ""
    shown: int | None = None


_players: dict[int, _Player] = {}


def refresh(scene: bpy.types.Scene) -> None:
    """Bring every Gaussian object of `scene` to the current frame."""
    for item in scene.objects:
        if item.type == "POINTCLOUD" and object_group(item).kind == "GAUSSIANS":
            _show(item, scene.frame_current)


def error_of(item: bpy.types.Object) -> str:
    """Why `item` does not play, or an empty string."""
    player = _players.get(item.session_uid)
    return player.error if player else ""


def forget(item: bpy.types.Object) -> None:
    """Close the cache that `item` plays: on Windows a file that is open cannot be removed."""
    _players.pop(item.session_uid, None)


def _show(item: bpy.types.Object, frame: int) -> None:
    player = _players.get(item.session_uid)
    if player is None or player.path != object_group(item).cache_path:
        player = _players[item.session_uid] = _open(item)
    if player.cache is None:  # said once, when opening; asking the disk at every frame would stall playback
        return
    frame = player.cache.nearest_frame(frame)
    if frame != player.shown:
        write_frame(cast(bpy.types.PointCloud, item.data), player.cache, frame, everything=player.shown is None)
        player.shown = frame


def _open(item: bpy.types.Object) -> _Player:
    path = object_group(item).cache_path
    try:
        cache = FrameCache.open(Path(bpy.path.abspath(path)))
        cache.check_gaussians()
        if cache.manifest.count != len(item.data.points):
            raise Ani3DError(
                "cache.malformed",
                f"'{item.name}' has {len(item.data.points)} points, the cache {path} {cache.manifest.count} Gaussians.",
                "Import the result again.",
            )
    except Ani3DError as error:
        print(f"Ani3D: '{item.name}' does not play. {error}")
        return _Player(path, error=str(error))
    return _Player(path, cache)


def write_frame(cloud: bpy.types.PointCloud, cache: FrameCache, frame: int, everything: bool) -> None:
    """Write scene frame `frame` of `cache` into the points; static attributes only when `everything`."""
    values = {n: array for n, array in cache.frame(frame).items() if everything or cache.arrays[n].ndim == 3}
    if "radiance:base" in values and not compat.draws_splats():
        values[COLOR_ATTRIBUTE] = display_colors(values["radiance:base"])
    for name, array in values.items():
        if name not in cloud.attributes:
            cloud.attributes.new(name, cast(Any, _attribute_type(name, array)), "POINT")
    # Adding an attribute can move the others in memory, so each is looked up once all exist.
    for name, array in values.items():
        compat.write_attribute(cloud.attributes[name], array)
    cloud.update_tag()


def _attribute_type(name: str, array: np.ndarray) -> str:
    if name == "rotation":
        return "QUATERNION"
    if name == COLOR_ATTRIBUTE:
        return "FLOAT_COLOR"
    return {1: "FLOAT", 3: "FLOAT_VECTOR", 4: compat.four_floats_type()}[array.shape[-1]]


@persistent
def _on_frame_change(scene: bpy.types.Scene, _depsgraph: bpy.types.Depsgraph | None = None) -> None:
    refresh(scene)


@persistent
def reload_results(*_args: object) -> None:
    """Paths become absolute, former players are forgotten, the points come up to date."""
    _players.clear()
    _make_absolute()
    for scene in bpy.data.scenes:
        refresh(scene)


@persistent
def _on_save_pre(filepath: str, _unused: object = None) -> None:
    if not filepath:
        return
    folder = Path(filepath).resolve().parent
    for item in _result_objects():
        path = Path(bpy.path.abspath(object_group(item).cache_path)).resolve()
        if path.is_relative_to(folder):
            _set_path(item, "//" + path.relative_to(folder).as_posix())


@persistent
def _on_save_post(filepath: str, _unused: object = None) -> None:
    if filepath:
        _make_absolute(Path(filepath).parent)


def _make_absolute(folder: Path | None = None) -> None:
    for item in _result_objects():
        path = bpy.path.abspath(object_group(item).cache_path, start=str(folder) if folder else None)
        _set_path(item, path)
        for modifier in item.modifiers:
            if isinstance(modifier, bpy.types.MeshCacheModifier) and modifier.filepath != path:
                modifier.filepath = path


def _set_path(item: bpy.types.Object, path: str) -> None:
    """Change how the link is written. Modifiers keep absolute paths: on saving elsewhere Blender would rebase
    a relative one from the former folder, after the handlers ran."""
    player = _players.get(item.session_uid)
    if player and player.path == object_group(item).cache_path:  # same cache by another name: it stays open
        player.path = path
    object_group(item).cache_path = path


def _result_objects() -> list[bpy.types.Object]:
    return [o for o in bpy.data.objects if object_group(o).kind != "NONE" and object_group(o).cache_path]


HANDLERS = (
    (bpy.app.handlers.frame_change_pre, _on_frame_change),
    (bpy.app.handlers.load_post, reload_results),
    (bpy.app.handlers.undo_post, reload_results),  # undo brings back the points of another frame
    (bpy.app.handlers.redo_post, reload_results),
    (bpy.app.handlers.save_pre, _on_save_pre),
    (bpy.app.handlers.save_post, _on_save_post),
)


def register() -> None:
    for handlers, function in HANDLERS:
        handlers.append(function)


def unregister() -> None:
    for handlers, function in HANDLERS:
        handlers.remove(function)
    _players.clear()
