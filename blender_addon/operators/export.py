# SPDX-License-Identifier: GPL-3.0-or-later
"""Export Shot: write the bound character, its motion and the cameras to a file."""

from __future__ import annotations

import bpy

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import save_arrays

from ..export import export_shot
from ..jobs import Moment
from ..properties import scene_group
from ..session import session
from .base import ReportsErrors, absolute, output_folder


class ExportShot(ReportsErrors, bpy.types.Operator):
    """Write the bound character, its motion, cameras and lights to a shot file"""

    bl_idname = "ani3d.export_shot"
    bl_label = "Export Shot"
    bl_options = {"UNDO"}  # undoing a later step must not forget the path

    filepath: bpy.props.StringProperty(
        name="File", description="Shot file (.npz); empty for one beside the .blend", subtype="FILE_PATH"
    )

    def run(self, context: bpy.types.Context) -> None:
        settings, windows = scene_group(context.scene), context.window_manager
        if settings.armature is None:
            raise Ani3DError(
                "character.not_bound", "No character is bound.", "Select its armature, then Bind Character."
            )
        chosen = self.filepath or settings.shot_path
        path = absolute(chosen) if chosen else output_folder(context) / "shot.npz"

        def progress(step: int, total: int, left: float) -> None:
            windows.progress_update(step / total)
            session.report(Moment("", "running", "export", step, total, left))

        windows.progress_begin(0, 1)
        try:
            shot = export_shot(
                context,
                settings.armature,
                on_progress=progress,
                on_warning=self.warn,
                evaluate=settings.coarse == "evaluated",
            )
        finally:
            windows.progress_end()
        save_arrays(path, shot)
        settings.shot_path = str(path)
        self.report({"INFO"}, f"Wrote {len(shot['bone_pose'])} frames to '{path}'.")
