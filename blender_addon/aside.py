# SPDX-License-Identifier: GPL-3.0-or-later
"""Hiding what is linked from other files, so that it is still hidden when this file is opened again.

What an object that is linked without an override has of its own is read anew from its library each time. So it is put
into a hidden collection of this file: the linked collection that brings it, or the object itself. Whatever else that
collection brings is linked beside, and so stays seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, cast

import bpy

ASIDE = "ani3d_aside"  # marks the hidden collection
# its properties, with a number behind: what was put aside, the collection or scene that had it, what is seen beside it
CHILD, PLACE, BESIDE = "ani3d_child_", "ani3d_place_", "ani3d_beside_"
NAME = "Ani3D Replaced"
Child = bpy.types.Collection | bpy.types.Object


def put_aside(item: bpy.types.Object, replaced: set[bpy.types.Object]) -> bool:
    """Hide the linked `item`, one of those `replaced`, in all scenes of this file; False where none of them can."""
    for scene, parent, child in list(_ways(item)):
        hidden = _collection(scene)
        number = next(n for n in count() if hidden.get(f"{CHILD}{n}") is None)
        hidden[f"{CHILD}{number}"] = child
        hidden[f"{PLACE}{number}"] = scene if parent == scene.collection else parent
        _move(child, parent, hidden)
        if isinstance(child, bpy.types.Collection):
            others = [each for each in _seen(child) if each not in replaced and each not in set(parent.objects)]
            for row, other in enumerate(others):
                parent.objects.link(other)
                hidden[f"{BESIDE}{number}_{row}"] = other
    return any(item in _all(hidden) for hidden in _hidden())


def take_back(item: bpy.types.Object) -> None:
    """Show what `put_aside` hid of `item` again, where it was."""
    for hidden in _hidden():
        for number in [int(key.removeprefix(CHILD)) for key in list(hidden.keys()) if key.startswith(CHILD)]:
            child = hidden[f"{CHILD}{number}"]
            if child == item or (isinstance(child, bpy.types.Collection) and item in _all(child)):
                _put_back(hidden, number)
        if not hidden.all_objects:
            bpy.data.collections.remove(hidden)


def _put_back(hidden: bpy.types.Collection, number: int) -> None:
    place, child = hidden.get(f"{PLACE}{number}"), hidden[f"{CHILD}{number}"]
    parent = place.collection if isinstance(place, bpy.types.Scene) else place or bpy.context.scene.collection
    _move(child, hidden, parent)
    for key in [key for key in list(hidden.keys()) if key.startswith(f"{BESIDE}{number}_")]:
        if hidden[key] is not None and hidden[key] in set(parent.objects):
            parent.objects.unlink(hidden[key])
        del hidden[key]
    del hidden[f"{CHILD}{number}"], hidden[f"{PLACE}{number}"]


def _move(child: Child, source: bpy.types.Collection, target: bpy.types.Collection) -> None:
    there, here = (
        cast(Any, o.objects if isinstance(child, bpy.types.Object) else o.children) for o in (source, target)
    )
    if child in set(there):
        there.unlink(child)
    if child not in set(here):
        here.link(child)


def _hidden() -> list[bpy.types.Collection]:
    return [each for each in bpy.data.collections if not each.library and each.get(ASIDE)]


def _seen(collection: bpy.types.Collection) -> Iterator[bpy.types.Object]:
    if collection.hide_viewport and collection.hide_render:
        return
    yield from collection.objects
    for child in collection.children:
        yield from _seen(child)


def _ways(item: bpy.types.Object) -> Iterator[tuple[bpy.types.Scene, bpy.types.Collection, Child]]:
    """By which the scenes of this file show `item`: a scene, a collection of this file, and what of it brings it."""
    for scene in bpy.data.scenes:
        if scene.library:
            continue
        for parent in (scene.collection, *scene.collection.children_recursive):
            if parent.library or parent.get(ASIDE):
                continue
            if item in set(parent.objects):
                yield scene, parent, item
            yield from ((scene, parent, each) for each in parent.children if each.library and item in _all(each))


def _all(collection: bpy.types.Collection) -> set[bpy.types.Object]:
    return set(collection.all_objects)


def _collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    """The hidden collection of a scene, made where there is none."""
    for child in scene.collection.children:
        if not child.library and child.get(ASIDE):
            return child
    hidden = bpy.data.collections.new(NAME)
    hidden[ASIDE] = True
    hidden.hide_viewport = hidden.hide_render = True
    scene.collection.children.link(hidden)
    return hidden
