# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of the timeline and frames of animation, which time remapping sets apart; going back to a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import bpy

from .sentence import said

PLACE = ("location", "rotation_euler", "rotation_quaternion", "rotation_axis_angle", "scale")


def frame_length(scene: bpy.types.Scene) -> float:
    """How many frames of animation pass in one frame of the timeline; 1 without time remapping.

    Blender evaluates frame f of the timeline at f times this. Shots, and so caches, count frames of the timeline.
    """
    return scene.render.frame_map_old / scene.render.frame_map_new


def warn_of_preview_range(scene: bpy.types.Scene, frames: range, warn: Callable[[str], None]) -> None:
    """Say so where `frames` are exported while another range is previewed: as renders, shots have the scene's own."""
    preview = range(scene.frame_preview_start, scene.frame_preview_end + 1)
    if scene.use_preview_range and preview != frames:
        told = [said("{first} to {last}", first=each.start, last=each.stop - 1) for each in (preview, frames)]
        warn(
            said(
                "The preview range, {preview}, is not that of the shot, which has the scene's frames {scene}.",
                preview=told[0],
                scene=told[1],
            )
        )


@contextmanager
def frame_restored(scene: bpy.types.Scene) -> Iterator[None]:
    """Put the scene's frame back afterwards, with the poses, places and shape keys that nobody has keyed yet."""
    frame, subframe = scene.frame_current, scene.frame_subframe
    held = [(item, {key: _value(*key, owner) for key, owner in _animated(item)}) for item in scene.objects]
    try:
        yield
    finally:
        scene.frame_set(frame, subframe=subframe)
        for item, values in held:
            with suppress(ReferenceError):  # deleted meanwhile
                for key, owner in _animated(item):  # Python crashes on bones that were deleted
                    value = values.get(key)
                    if value is not None and _value(*key, owner) != value:
                        setattr(owner, key[1], value)


def _animated(item: bpy.types.Object) -> Iterator[tuple[tuple[str, str], bpy.types.bpy_struct]]:
    """What of an object of this file a change of the frame may set: (bone or shape key, property), and its owner."""
    if item.library:
        return
    if item.animation_data:
        for name in PLACE:
            yield ("", name), item
            yield from (((bone.name, name), bone) for bone in (item.pose.bones if item.pose else ()))
    keys = getattr(item.data, "shape_keys", None)
    if keys and keys.animation_data:
        yield from (((key.name, "value"), key) for key in keys.key_blocks)


def _value(_owner_name: str, name: str, owner: bpy.types.bpy_struct) -> tuple[float, ...] | float:
    value = getattr(owner, name)
    return value if isinstance(value, float) else tuple(value)
