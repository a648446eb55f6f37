# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves that lead something else: paths, spline IK, profiles. Nobody renders them, so they are no hair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import bpy

LED_BY = {"CURVE": "object"}  # modifiers that bend a mesh along a curve
LEADING = frozenset(("FOLLOW_PATH", "CLAMP_TO", "SPLINE_IK"))


def guides(objects: Iterable[bpy.types.Object]) -> set[bpy.types.Object]:
    """The curves that modifiers, constraints and other curves among `objects` go by."""
    return {guide for item in objects for guide in _of(item) if guide is not None}


def _of(item: bpy.types.Object) -> Iterator[bpy.types.Object | None]:
    for modifier in item.modifiers:
        if modifier.type in LED_BY:
            yield getattr(modifier, LED_BY[modifier.type])
    owners = (item, *item.pose.bones) if item.pose else (item,)
    for constraint in (each for owner in owners for each in owner.constraints):
        if constraint.type in LEADING:
            yield cast(Any, constraint).target
    if isinstance(item.data, bpy.types.Curve):
        yield item.data.bevel_object
        yield item.data.taper_object
