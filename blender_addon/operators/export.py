# SPDX-License-Identifier: GPL-3.0-or-later
"""Export Shot: write the bound character, its motion and the cameras to a file."""

from __future__ import annotations

import bpy
import numpy as np

from ani3d_formats.shot import save_arrays

from .. import compat
from ..export.shot import Request, export_steps, shot_frames
from ..paths import absolute, in_blend, no_folder
from ..properties import bound_armature, scene_group, shot_file
from ..wording import reported
from .stepwise import Steps, WorksInSteps


class ExportShot(WorksInSteps, bpy.types.Operator):
    """Write the bound character, its motion, cameras and lights to a shot file"""

    bl_idname = "ani3d.export_shot"
    bl_label = "Export Shot"
    bl_options = {"UNDO"}  # undoing a later step must not forget the path
    STAGE, DOING = "export", "Exporting frame"

    filepath: bpy.props.StringProperty(
        name="File",
        description="Shot file (.npz); empty for one beside the .blend",
        subtype="FILE_PATH",
        options=compat.relative_path_options(),
    )

    def begin(self, context: bpy.types.Context) -> Steps:
        armature = bound_armature(context.scene)
        self._path = no_folder(absolute(self.filepath) if self.filepath else shot_file(context), "shot.npz")
        evaluate = scene_group(context.scene).coarse == "evaluated"
        return export_steps(context, Request(armature, shot_frames(context.scene), evaluate), self.warn)

    def finish(self, context: bpy.types.Context, result: dict[str, np.ndarray]) -> None:
        save_arrays(self._path, result)
        if self.filepath:  # a path that was not chosen follows the .blend
            scene_group(context.scene).shot_path = in_blend(self._path)
        self.say(reported("Wrote {count} frames to '{path}'.", count=len(result["bone_pose"]), path=self._path))
