# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a fetched result into the scene: the Gaussians, and a copy of the character that plays the mesh cache.

The copies are plain meshes at the cache's origin: a PC2 holds world places, so no armature and no transform of theirs
has any part in it. Everything lies in one collection that `remove_result` takes away again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache
from ani3d_formats.pc2 import read_pc2
from ani3d_formats.playback_file import write_playback
from ani3d_formats.progress import Progress, Report

from . import compat, film_nodes, on_original, playback
from .aside import put_aside, take_back
from .display import add_display, raise_transparent_bounces
from .mesh_copy import copy_object
from .properties import object_group
from .rest_shape import own_shape, rest_shapes
from .result_settings import SETTINGS, timing_of
from .sentence import said
from .sources import Source, find_sources

RESULT = "ani3d_result"  # names the result on its collection, which may be renamed
HIDDEN = "ani3d_hidden_"  # begins the collection's properties that point to what the result hides


def find_cache(folder: Path) -> Path:
    """The cache folder `NAME.ani3d` that is `folder` or lies in it."""
    if folder.suffix == ".ani3d":
        return folder
    found = sorted(folder.glob("*.ani3d")) if folder.is_dir() else []
    if len(found) == 1:
        return found[0]
    what = said("are {count} caches", count=len(found)) if found else said("is no cache (NAME.ani3d)")
    hint = "Choose the cache folder itself."
    if not found and folder.is_dir() and (deeper := sorted({path.parent.name for path in folder.glob("*/*.ani3d")})):
        hint = said("Choose one of the folders in it that have one: {names}.", names=", ".join(deeper[:5]))
    raise Ani3DError("cache.missing", said("There {what} in '{folder}'.", what=what, folder=folder), hint)


def open_cache(
    folder: Path,
    listener: Callable[[Report], None] | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> FrameCache:
    """The cache in `folder` with its playback file, which is written if need be; on any thread.

    Args:
        folder: the cache folder, or the result folder around it.
        listener: hears after every frame that is written.
        should_cancel: asked after every frame.
    """
    cache = FrameCache.open(find_cache(folder.resolve()))
    if cache.manifest.count or not cache.manifest.meshes:
        cache.check_gaussians()
        write_playback(cache, Progress("playback", cache.manifest.frames, listener, should_cancel))
    return cache


def import_result(
    context: bpy.types.Context,
    folder: Path,
    hide_character: bool = True,
    on_warning: Callable[[str], None] | None = None,
) -> bpy.types.Collection:
    """Import the cache in `folder` into the scene; a result of the same folder is replaced, others stay.

    Args:
        context: its scene receives the collection ``Ani3D NAME``, with a number behind a name that is taken.
        folder: the cache folder, or the result folder around it.
        hide_character: hide the objects that the result replaces, and other results of them.
        on_warning: called with one sentence for each mesh that has no counterpart in this file.

    Raises:
        Ani3DError: codes ``cache.*``, ``disk.full``, ``file.unwritable``; then nothing was added.
    """
    cache = open_cache(folder)
    name = _free_name(cache.path)
    warn = on_warning or (lambda _message: None)
    sources = find_sources(context.scene, cache, warn)
    for found in sources:
        on_original.take_off(found.item)
    meshes = _matching_meshes(context, [source for source in sources if not source.hair], warn)
    if not cache.manifest.count and not meshes:
        raise Ani3DError(
            "cache.no_counterpart",
            said("None of the meshes in '{name}' is an object of this file as it was exported.", name=cache.path.name),
            "Open the file that it was made from, or undo what changed its meshes.",
        )
    former = next((object_group(item) for item in parts_of(name)), None)
    settings = {field: getattr(former, field) for field in SETTINGS} if former else {}
    remove_result(name)
    collection = bpy.data.collections.new(f"Ani3D {name}")
    collection[RESULT] = name
    context.scene.collection.children.link(collection)
    copied = {item for item, *_ in meshes}
    hair = {source.item: None for source in sources if source.hair and source.item not in copied}
    if not cache.manifest.count:  # nothing would show hair in its stead
        hair = {}
    try:
        if cache.manifest.count:
            _add_gaussians(context.scene, cache, name, collection)
        if hide_character:
            hide_replaced([*hair, *copied], warn)
            for number, item in enumerate([*hair, *copied]):
                collection[f"{HIDDEN}{number}"] = item
        for source in hair:  # Gaussians alone show it; an object without a shape remembers what is hidden
            stand_in = bpy.data.objects.new(f"{source.name} Ani3D", bpy.data.meshes.new(f"{source.name} Ani3D"))
            collection.objects.link(stand_in)
            _tag(stand_in, "MESH", name, source)
        for source, mesh, file, own_vertices in meshes:
            copy = copy_object(source, mesh, own_vertices, warn)
            collection.objects.link(copy)
            _tag(copy, "MESH", name, source)
            playback.play_point_cache(copy, file, cache.manifest.frame_start, context.scene)
    except BaseException:
        remove_result(name)
        raise
    for item in collection.objects:
        item.location = cache.manifest.origin
    for field, value in settings.items():
        setattr(object_group(collection.objects[0]), field, value)  # the others follow
    if cache.manifest.count:
        raise_transparent_bounces(context.scene, warn)
    return collection


def remove_result(name: str) -> bool:
    """Take the result `name` out of the file and show the character again; files on disk stay."""
    members, collections = parts_of(name), _collections_of(name)
    sources = {source for item in members if (source := object_group(item).source)}
    for collection in collections:  # somebody may have deleted the parts that know their sources
        sources |= {item for key, item in collection.items() if key.startswith(HIDDEN) and item is not None}
    for source in sources:
        if playback.played_on(source) == name:
            on_original.take_off(source)
    film_nodes.remove(name)
    for item in members:
        playback.remove_playback(item)
        data = item.data
        bpy.data.objects.remove(item)
        if data.users == 0:
            owner: Any = bpy.data.meshes if isinstance(data, bpy.types.Mesh) else bpy.data.pointclouds
            owner.remove(data)
    replaced = {object_group(item).source for item in bpy.data.objects if not item.hide_viewport}
    for source in sources - replaced:
        show_again(source)
    for collection in collections:
        if not collection.all_objects:
            bpy.data.collections.remove(collection)
    return bool(members or collections)


def _collections_of(name: str) -> list[bpy.types.Collection]:
    return [c for c in bpy.data.collections if not c.library and c.get(RESULT) == name]


def parts_of(name: str) -> list[bpy.types.Object]:
    """The objects of the result `name` that are this file's own; a linked result is its library's."""
    return [
        item
        for item in bpy.data.objects
        if not item.library and object_group(item).kind != "NONE" and object_group(item).result == name
    ]


def check_own_time(name: str) -> None:
    """Raises `Ani3DError` ``result.retimed`` where a result plays at another time than that of its frames."""
    if any(timing_of(object_group(item)) != playback.Timing() for item in parts_of(name)):
        raise Ani3DError(
            "result.retimed",
            said("The result '{name}' plays at another time than its own.", name=name),
            "Set its Offset to 0 and its Speed to 1, and switch Loop off.",
        )


def result_names() -> list[str]:
    """Names of the results in this file."""
    emptied = {str(c[RESULT]) for c in bpy.data.collections if not c.library and c.get(RESULT)}
    parts = {object_group(item).result for item in bpy.data.objects if object_group(item).kind != "NONE"}
    return sorted(parts | emptied)


def _free_name(folder: Path) -> str:
    """The cache's name, with a number where a result of another folder has it already."""
    name, number = folder.stem, 1
    while True:
        folders = {file.resolve().parent for item in parts_of(name) if (file := playback.cache_file(item))}
        if not folders or folder in folders:
            return name
        number += 1
        name = f"{folder.stem} {number}"


def _matching_meshes(
    context: bpy.types.Context, sources: list[Source], warn: Callable[[str], None]
) -> list[tuple[bpy.types.Object, bpy.types.Mesh, Path, bool]]:
    """(object, a mesh of its shape, PC2 file, whether the shape is that before modifiers) of each of `sources` whose
    cache still fits it."""
    pairs = []
    meshes = rest_shapes(context, [source.item for source in sources])
    for source, shape in zip(sources, meshes, strict=True):
        item, file, own = source.item, source.file, False
        expected = read_pc2(file).vertices.shape[1]
        if len(shape.vertices) != expected and item.type == "MESH" and len(item.data.vertices) == expected:
            bpy.data.meshes.remove(shape)
            shape, own = own_shape(item), True
        if len(shape.vertices) == expected:
            pairs.append((item, shape, file, own))
            continue
        warn(
            said(
                "'{name}' has {count} vertices, its mesh cache {expected}; it is left out, as the mesh was "
                "changed after the export.",
                name=item.name,
                count=len(shape.vertices),
                expected=expected,
            )
        )
        bpy.data.meshes.remove(shape)
    return pairs


def hide_replaced(sources: list[bpy.types.Object], warn: Callable[[str], None]) -> None:
    """Hide the objects that show `sources`, and older results of them."""
    for source in sources:
        on_original.take_off(source)
    older = {object_group(item).result for item in bpy.data.objects if object_group(item).source in sources}
    replaced = [*itertools.chain(*map(shown_by, sources)), *itertools.chain(*map(parts_of, older))]
    for item in replaced:
        if item.library and put_aside(item, set(replaced)):
            continue
        item.hide_render = item.hide_viewport = True
        if item.library:
            warn(
                said(
                    "'{name}' is linked with its scene, so it stays hidden only until this file is opened again: "
                    "make a library override of it, or hide its collection.",
                    name=item.name,
                )
            )


def show_again(source: bpy.types.Object) -> None:
    """Undo `hide_replaced` for one of its sources."""
    for item in shown_by(source):
        if item.library:
            take_back(item)
        item.hide_render = item.hide_viewport = False


def shown_by(source: bpy.types.Object) -> list[bpy.types.Object]:
    """What to hide so that `source` is not seen: itself, or what instances it where it stands in no scene."""
    if source.users_scene:
        return [source]
    return [
        item
        for item in bpy.data.objects
        if item.instance_type == "COLLECTION"
        and item.instance_collection
        and source in item.instance_collection.all_objects.values()
    ]


def _add_gaussians(scene: bpy.types.Scene, cache: FrameCache, result: str, collection: bpy.types.Collection) -> None:
    gaussians = compat.new_point_cloud_object(f"{result} Gaussians", 1, collection)
    _tag(gaussians, "GAUSSIANS", result)
    playback.add_playback(gaussians, cache, scene)
    add_display(gaussians)


def _tag(item: bpy.types.Object, kind: str, result: str, source: bpy.types.Object | None = None) -> None:
    group = object_group(item)
    group.kind, group.result, group.source = kind, result, source
