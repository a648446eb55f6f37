# SPDX-License-Identifier: GPL-3.0-or-later
"""What modifiers do to a mesh: which ones deform it, which ones may make other vertices, and switching them off."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import cast

import bpy

from ..playback import MARK, ON_ORIGINAL, PLACE, played_on

# Modifiers that may make other vertices than the mesh has.
# fmt: off
GENERATIVE = frozenset((
    "ARRAY", "BEVEL", "BOOLEAN", "BUILD", "DECIMATE", "EDGE_SPLIT", "MASK", "MESH_SEQUENCE_CACHE", "MIRROR", "MULTIRES",
    "NODES", "REMESH", "SCREW", "SKIN", "SOLIDIFY", "SUBSURF", "TRIANGULATE", "WELD", "WIREFRAME",
))
# fmt: on


@contextmanager
def switched(modifiers: Sequence[bpy.types.Modifier], on: bool) -> Iterator[None]:
    """Show hidden `modifiers` in the viewport meanwhile (`on`), or hide shown ones; what is deleted meanwhile is no
    matter."""
    with ExitStack() as stack:
        for modifier in modifiers:
            stack.callback(_set_again, modifier.id_data, modifier.name, "show_viewport", not on)
            modifier.show_viewport = on
        yield


@contextmanager
def rendered(modifiers: Sequence[bpy.types.Modifier]) -> Iterator[None]:
    """Show `modifiers` in renders too meanwhile; what is deleted meanwhile is no matter."""
    with ExitStack() as stack:
        for modifier in [m for m in modifiers if not m.show_render]:
            stack.callback(_set_again, modifier.id_data, modifier.name, "show_render", False)
            modifier.show_render = True
        yield


def _set_again(owner: bpy.types.ID, name: str, option: str, value: bool) -> None:
    """Set an option of a modifier, which is found by its name: Python crashes on modifiers that were deleted."""
    with suppress(ReferenceError):  # the object is deleted
        modifier: bpy.types.Modifier | None = cast(bpy.types.Object, owner).modifiers.get(name)
        if modifier is not None:
            setattr(modifier, option, value)


@contextmanager
def as_it_was(items: Iterable[bpy.types.Object]) -> Iterator[None]:
    """Have objects show themselves meanwhile, and not the results that they play."""
    playing = [item for item in items if played_on(item)]
    off = [item.modifiers[name] for item in playing for name in (ON_ORIGINAL, PLACE) if name in item.modifiers]
    on = [
        item.modifiers[name]
        for item in playing
        for name, in_viewport, _ in json.loads(str(item[MARK]))["off"]
        if in_viewport and name in item.modifiers
    ]
    with ExitStack() as stack:
        stack.enter_context(switched([m for m in off if m.show_viewport], False))
        stack.enter_context(switched([m for m in on if not m.show_viewport], True))
        yield


def switched_off(modifiers: Sequence[bpy.types.Modifier]) -> AbstractContextManager[None]:
    """Hide shown `modifiers` in the viewport meanwhile."""
    return switched(modifiers, False)


MERGING = {"MIRROR": "use_mirror_merge", "ARRAY": "use_merge_vertices"}  # what makes them merge vertices


def steadied_merges(item: bpy.types.Object) -> AbstractContextManager[None] | None:
    """A context in which a modifier of `item` merges no vertices any more, which it may do in some poses alone.

    Merging joins what lies in one place, so nothing is seen of it. None where no modifier merges.
    """
    for modifier in reversed(item.modifiers):
        if modifier.show_viewport and modifier.type == "WELD":
            return switched_off([modifier])
        option = MERGING.get(modifier.type)
        if modifier.show_viewport and option and getattr(modifier, option):
            return _without(modifier, option)
    return None


@contextmanager
def _without(modifier: bpy.types.Modifier, option: str) -> Iterator[None]:
    item, name = modifier.id_data, modifier.name
    try:
        setattr(modifier, option, False)
        yield
    finally:
        _set_again(item, name, option, True)


def last_generative(item: bpy.types.Object) -> bpy.types.Modifier | None:
    """The last shown modifier of `item` that may make other vertices."""
    return next((m for m in reversed(item.modifiers) if m.show_viewport and m.type in GENERATIVE), None)
