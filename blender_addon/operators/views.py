# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture Views: pictures of the bound character for the engine to fit its avatar to."""

from __future__ import annotations

import bpy

from ani3d_formats.views import Views

from .. import compat
from ..export.shot import shot_frames
from ..paths import absolute, no_folder
from ..properties import bound_armature, scene_group, views_file
from ..views.capture import Wanted, capture_steps
from .stepwise import Steps, WorksInSteps


class CaptureViews(WorksInSteps, bpy.types.Operator):
    """Render the character from all around with Cycles, so that the engine makes its avatar look like your renders"""

    bl_idname = "ani3d.capture_views"
    bl_label = "Capture Views"
    STAGE, DOING = "views", "Rendering view"

    filepath: bpy.props.StringProperty(
        name="File",
        description="Views file (.views.npz); empty for one beside the shot",
        subtype="FILE_PATH",
        options=compat.relative_path_options(),
    )

    def begin(self, context: bpy.types.Context) -> Steps:
        settings = scene_group(context.scene)
        armature = bound_armature(context.scene)
        chosen = absolute(self.filepath) if self.filepath else views_file(context, armature)
        self._path = no_folder(chosen, "character.views.npz")
        wanted = Wanted(
            armature, shot_frames(context.scene), settings.views, settings.views_size, settings.views_samples
        )
        return capture_steps(context, wanted, self.warn)

    def finish(self, _context: bpy.types.Context, result: Views) -> None:
        result.save(self._path)
        self.say(f"Wrote {result.count} views at {len(result.vertices_at)} poses to '{self._path}'.")
