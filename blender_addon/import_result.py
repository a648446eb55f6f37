# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a fetched result into the scene: the Gaussians, and a copy of the character that plays the mesh cache.

The copies are plain meshes at the origin: a PC2 holds world positions, so no armature and no transform of theirs
has any part in it. Everything lies in one collection that `remove_result` takes away again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import bpy

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache
from ani3d_formats.pc2 import read_pc2

from . import compat, playback
from .display import add_display
from .properties import object_group


def find_cache(folder: Path) -> Path:
    """The cache folder `NAME.ani3d` that is `folder` or lies in it."""
    if folder.suffix == ".ani3d":
        return folder
    found = sorted(folder.glob("*.ani3d")) if folder.is_dir() else []
    if len(found) != 1:
        what = f"{len(found)} caches" if found else "no cache (NAME.ani3d)"
        raise Ani3DError("cache.missing", f"There is {what} in '{folder}'.", "Choose the cache folder itself.")
    return found[0]


def import_result(
    context: bpy.types.Context,
    folder: Path,
    hide_character: bool = True,
    on_warning: Callable[[str], None] | None = None,
) -> bpy.types.Collection:
    """Import the cache in `folder` into the scene; a result of the same name is replaced.

    Args:
        context: its scene receives the collection ``Ani3D NAME``.
        folder: the cache folder, or the result folder around it.
        hide_character: hide the meshes that the result replaces.
        on_warning: called with one sentence for each mesh that has no counterpart in this file.

    Raises:
        Ani3DError: codes ``cache.*``; then nothing was added.
    """
    folder = find_cache(folder.resolve())
    cache = FrameCache.open(folder)
    cache.check_gaussians()
    meshes = _matching_meshes(cache, on_warning or (lambda _message: None))
    name = folder.stem
    remove_result(name)
    collection = bpy.data.collections.new(f"Ani3D {name}")
    context.scene.collection.children.link(collection)

    gaussians = compat.new_point_cloud_object(f"{name} Gaussians", cache.manifest.count, collection)
    _tag(gaussians, "GAUSSIANS", folder, name)
    add_display(gaussians)
    for source, file in meshes:
        _tag(_mesh_copy(source, file, cache.manifest.frame_start, collection), "MESH", file, name, source)
        if hide_character:
            source.hide_render = True
            source.hide_viewport = True
    playback.refresh(context.scene)
    return collection


def remove_result(name: str) -> bool:
    """Take the result `name` out of the file and show the character again; files on disk stay."""
    members = [
        item for item in bpy.data.objects if object_group(item).kind != "NONE" and object_group(item).result == name
    ]
    for item in members:
        if source := object_group(item).source:
            source.hide_render = False
            source.hide_viewport = False
        playback.forget(item)
        data = item.data
        bpy.data.objects.remove(item)
        if data.users == 0:
            owner: Any = bpy.data.meshes if isinstance(data, bpy.types.Mesh) else bpy.data.pointclouds
            owner.remove(data)
    collection: bpy.types.Collection | None = bpy.data.collections.get(f"Ani3D {name}")
    if collection and not collection.all_objects:
        bpy.data.collections.remove(collection)
    return bool(members)


def result_names() -> list[str]:
    """Names of the results in this file."""
    return sorted({object_group(item).result for item in bpy.data.objects if object_group(item).kind != "NONE"})


def _matching_meshes(cache: FrameCache, warn: Callable[[str], None]) -> list[tuple[bpy.types.Object, Path]]:
    pairs = []
    for entry in cache.manifest.meshes:
        name, file = entry.object, cache.path / entry.file
        vertices = read_pc2(file).vertices.shape[1]
        source: bpy.types.Object | None = bpy.data.objects.get(name)
        if source is None or source.type != "MESH":
            warn(f"The mesh '{name}' is not in this file, so its mesh cache is left out.")
        elif len(source.data.vertices) != vertices:
            warn(
                f"'{name}' has {len(source.data.vertices)} vertices, its mesh cache {vertices}; it is left out, "
                "as the mesh was changed after the export."
            )
        else:
            pairs.append((source, file))
    return pairs


def _mesh_copy(
    source: bpy.types.Object, file: Path, frame_start: int, collection: bpy.types.Collection
) -> bpy.types.Object:
    mesh = source.data.copy()
    copy = bpy.data.objects.new(f"{source.name} Ani3D", mesh)
    copy.shape_key_clear()  # a key would be mixed in before the cache replaces the positions
    for slot, original in zip(copy.material_slots, source.material_slots, strict=True):
        slot.link, slot.material = original.link, original.material
    collection.objects.link(copy)
    modifier = cast(bpy.types.MeshCacheModifier, copy.modifiers.new("Ani3D", "MESH_CACHE"))
    modifier.cache_format = "PC2"
    modifier.filepath = str(file)
    modifier.time_mode = "FRAME"
    modifier.play_mode = "SCENE"
    modifier.frame_start = frame_start
    return copy


def _tag(item: bpy.types.Object, kind: str, path: Path, result: str, source: bpy.types.Object | None = None) -> None:
    group = object_group(item)
    group.kind, group.cache_path, group.result, group.source = kind, str(path), result, source
