# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture Views: pictures of the bound character for the engine to fit its avatar to; and those of a whole shot."""

from __future__ import annotations

import bpy

from ani3d_formats.coarse_pictures import SUFFIX as PICTURES
from ani3d_formats.coarse_pictures import CoarsePictures
from ani3d_formats.shot_meta import ShotMeta
from ani3d_formats.views import Views

from .. import compat
from ..export.shot import shot_frames
from ..import_result import result_names
from ..paths import absolute, no_folder
from ..properties import bound_armature, scene_group, shot_file, views_file
from ..views.capture import Wanted, capture_steps
from ..views.coarse import Wanted as WantedPictures
from ..views.coarse import picture_steps
from ..wording import reported
from .job import meta_of
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
        wrote = {"count": result.count, "poses": len(result.vertices_at), "path": self._path}
        self.say(reported("Wrote {count} views at {poses} poses to '{path}'.", **wrote))


class RenderPictures(WorksInSteps, bpy.types.Operator):
    """Render the result's meshes along the camera, so that the prior restores Blender's own pictures"""

    bl_idname = "ani3d.render_pictures"
    bl_label = "Render Coarse Pictures"
    STAGE, DOING = "pictures", "Rendering frame"

    result: bpy.props.StringProperty(name="Result", description="Name of the result; empty for the first one here")
    side: bpy.props.IntProperty(name="Size", description="Pixels of the longer side", default=832, min=32, max=4096)
    samples: bpy.props.IntProperty(name="Samples", description="Light paths a pixel", default=32, min=1, max=4096)

    def begin(self, context: bpy.types.Context) -> Steps:
        shot = shot_file(context)
        meta = ShotMeta.parse(meta_of(shot))
        self._path = shot.parent / f"{meta.name}{PICTURES}"
        name = self.result or next(iter(result_names()), "")
        return picture_steps(context, WantedPictures(name, meta, self.side, self.samples))

    def finish(self, _context: bpy.types.Context, result: CoarsePictures) -> None:
        result.save(self._path)
        self.say(reported("Wrote {count} pictures to '{path}'.", count=result.frames, path=self._path))
