# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about a garment that nothing holds: pin its top edge, or have it follow the skeleton."""

from __future__ import annotations

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.pins import PIN_GROUP

from ..export.regions import PREFIX
from ..properties import scene_group
from ..sentence import said
from .base import ReportsErrors
from .bind import bind
from .regions import paintable

SWINGING = ("garment", "hair")
PINNED, FREE = 0.05, 0.2  # shares of the height below the top: pinned up to the first, free from the second on


class PinTopEdge(ReportsErrors, bpy.types.Operator):
    """Hold the object at its upper edge, as the vertex group ani3d_pin, which Paint Pins changes"""

    bl_idname = "ani3d.pin_top_edge"
    bl_label = "Pin Top Edge"
    bl_options = {"REGISTER", "UNDO"}

    object: bpy.props.StringProperty(name="Object", description="Name of the object; empty for the list's active one")

    def run(self, context: bpy.types.Context) -> None:
        item = paintable(context, self.object)
        heights = np.array([(item.matrix_world @ vertex.co).z for vertex in item.data.vertices])
        if len(heights) == 0 or np.ptp(heights) == 0:
            raise Ani3DError(
                "pins.flat", said("'{name}' has no upper edge.", name=item.name), "Paint its pins instead."
            )
        below = (heights.max() - heights) / np.ptp(heights)
        group = item.vertex_groups.get(PIN_GROUP) or item.vertex_groups.new(name=PIN_GROUP)
        for vertex, weight in enumerate(np.clip((FREE - below) / (FREE - PINNED), 0, 1).tolist()):
            group.add([vertex], weight, "REPLACE")
        bind(context, scene_group(context.scene).armature, self.warn)


class Stiffen(ReportsErrors, bpy.types.Operator):
    """Have the object follow the skeleton instead of swinging; garment and hair painted on it are taken off"""

    bl_idname = "ani3d.stiffen"
    bl_label = "Follow the Skeleton"
    bl_options = {"REGISTER", "UNDO"}

    object: bpy.props.StringProperty(name="Object", description="Name of the object")

    def run(self, context: bpy.types.Context) -> None:
        rows = [part for part in scene_group(context.scene).parts if part.object and part.object.name == self.object]
        if not rows:
            raise Ani3DError(
                "parts.unknown",
                said("The list of parts has no '{name}'.", name=self.object),
                "Bind the character first.",
            )
        for part in rows:
            if part.region in SWINGING:
                part.region = "body"
        item = rows[0].object
        for group in [each for each in item.vertex_groups if each.name in {PREFIX + region for region in SWINGING}]:
            if not item.library and not item.data.library:
                item.vertex_groups.remove(group)
        bind(context, scene_group(context.scene).armature, self.warn)
