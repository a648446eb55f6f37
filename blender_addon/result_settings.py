# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a result, which all its parts have alike: what happens when one is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast

import bpy

from . import playback

Settings = Any
"""`object.ani3d` of a part of a result."""
TIMING = tuple(field.name for field in fields(playback.Timing))
SETTINGS = (*TIMING, "points")


def timing_of(group: Settings) -> playback.Timing:
    """When the part of a result plays whose settings `group` has."""
    return playback.Timing(group.offset, group.speed, group.loop)


def retime(group: Settings, context: bpy.types.Context) -> None:
    """Play an object, and with it the rest of its result, at the time that was set."""
    playback.retime(cast(bpy.types.Object, group.id_data), timing_of(group), context.scene)
    _share(group, TIMING)


def show_points(group: Settings, _context: bpy.types.Context) -> None:
    """Show as many points of a result's Gaussians as was set."""
    playback.show_points(cast(bpy.types.Object, group.id_data), group.points)
    _share(group, ("points",))


def _share(group: Settings, names: Sequence[str]) -> None:
    """Give the other parts of a result these settings of one of them."""
    for item in bpy.data.objects:
        other = cast(Any, item).ani3d
        if not item.library and other.kind != "NONE" and other.result == group.result:
            for name in names:
                if getattr(other, name) != getattr(group, name):
                    setattr(other, name, getattr(group, name))  # and so on, until all are alike
