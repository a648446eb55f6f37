# SPDX-License-Identifier: GPL-3.0-or-later
"""Render Shot: film frames of a result by the engine, merged with Blender's render of the rest."""

from __future__ import annotations

from pathlib import Path

import bpy

from .. import compat, preferences
from ..film.shoot import Wanted, cache_of, frames_of, shoot
from ..film_nodes import set_up
from ..paths import absolute, output_folder
from ..results_shown import FILM, show_as, with_gaussians
from ..wording import reported
from .stepwise import Steps, WorksInSteps


class RenderShot(WorksInSteps, bpy.types.Operator):
    """Have the engine draw the result's Gaussians with the camera's motion blur and depth of field, behind what is
    nearer, and let the compositor lay the frames over Blender's picture of the rest"""

    bl_idname = "ani3d.render_shot"
    bl_label = "Render Shot"
    STAGE, DOING = "film", "Drawing frame"

    result: bpy.props.StringProperty(name="Result", description="Name of the result; empty for the one that is seen")
    directory: bpy.props.StringProperty(
        name="Folder",
        description="Where the frames go; empty for a folder beside the .blend",
        subtype="DIR_PATH",
        options=compat.relative_path_options(),
    )
    samples: bpy.props.IntProperty(
        name="Samples", description="Pictures that are averaged in each frame", default=32, min=1, max=4096
    )
    current: bpy.props.BoolProperty(name="This Frame Alone", description="Draw the present frame and no other")
    merge: bpy.props.BoolProperty(
        name="Merge", description="Have the compositor lay the frames over Blender's own picture", default=True
    )

    @classmethod
    def why_not(cls, _context: bpy.types.Context) -> str:
        return "" if with_gaussians() else "There is no result with Gaussians."

    def begin(self, context: bpy.types.Context) -> Steps:
        self._name = self.result or next(iter(with_gaussians()), "")
        cache = cache_of(self._name)
        self._frames = frames_of(context.scene, cache)
        if self.current and context.scene.frame_current in self._frames:
            self._frames = range(context.scene.frame_current, context.scene.frame_current + 1)
        out = absolute(self.directory) if self.directory else output_folder(context) / "film" / self._name
        command = preferences.get(context).engine_command
        return shoot(context, Wanted(self._name, self._frames, self.samples, command, out))

    def finish(self, context: bpy.types.Context, result: list[Path]) -> None:
        if self.merge:
            set_up(context.scene, self._name, result, self._frames)
            show_as(self._name, FILM)
        self.say(reported("Drew {count} film frames into '{folder}'.", count=len(result), folder=result[0].parent))
