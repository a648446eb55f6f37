# SPDX-License-Identifier: GPL-3.0-or-later
"""Export Shot: write the bound character, its motion and the cameras to a file."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import save_arrays

from .. import compat
from ..export.shot import Request, export_steps, shot_frames
from ..jobs import Moment
from ..paths import absolute, in_blend
from ..properties import scene_group, shot_file
from ..session import session
from .base import Outcome, ReportsErrors

SLICE = 0.1  # seconds of work between two looks at the keyboard
Steps = Generator[tuple[int, int, float], None, dict[str, np.ndarray]]


class ExportShot(ReportsErrors, bpy.types.Operator):
    """Write the bound character, its motion, cameras and lights to a shot file"""

    bl_idname = "ani3d.export_shot"
    bl_label = "Export Shot"
    bl_options = {"UNDO"}  # undoing a later step must not forget the path

    filepath: bpy.props.StringProperty(
        name="File",
        description="Shot file (.npz); empty for one beside the .blend",
        subtype="FILE_PATH",
        options=compat.relative_path_options(),
    )

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if scene_group(context.scene).armature else "No character is bound."

    def execute(self, context: bpy.types.Context) -> Outcome:
        if bpy.app.background or context.window is None:
            return super().execute(context)
        session.forget_warnings(self.bl_label)
        if not self.succeeds(self._begin, context):
            return {"CANCELLED"}
        windows = context.window_manager
        self._timer = windows.event_timer_add(0.01, window=context.window)
        windows.progress_begin(0, 1)
        windows.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def run(self, context: bpy.types.Context) -> None:
        self._begin(context)
        try:
            while not self._advance(context):
                pass
        except KeyboardInterrupt:
            raise _cancelled_error() from None
        finally:
            self._steps.close()

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        """A slice of work at each tick; nothing else gets through, since the scene plays meanwhile."""
        if event.type == "ESC":
            self._end(context)
            self.report({"WARNING"}, str(_cancelled_error()))
            return {"CANCELLED"}
        if event.type != "TIMER":
            return {"RUNNING_MODAL"}
        ended = False

        def work() -> None:
            nonlocal ended
            ended = self._advance(context)

        well = self.succeeds(work)
        if well and not ended:
            return {"RUNNING_MODAL"}
        self._end(context)
        return {"FINISHED"} if well else {"CANCELLED"}

    def cancel(self, context: bpy.types.Context) -> None:
        self._end(context)

    def _begin(self, context: bpy.types.Context) -> None:
        settings = scene_group(context.scene)
        if settings.armature is None:
            raise Ani3DError(
                "character.not_bound", "No character is bound.", "Select its armature, then Bind Character."
            )
        self._path: Path = absolute(self.filepath) if self.filepath else shot_file(context)
        if self._path.is_dir():
            raise Ani3DError(
                "shot.is_folder", f"'{self._path}' is a folder.", "Give the name of a file in it, such as shot.npz."
            )
        request = Request(settings.armature, shot_frames(context.scene), settings.coarse == "evaluated")
        self._steps: Steps = export_steps(context, request, self.warn)

    def _advance(self, context: bpy.types.Context) -> bool:
        """Work for a while; True when the shot is written."""
        until = time.monotonic() + SLICE
        while time.monotonic() < until:
            try:
                step, total, left = next(self._steps)
            except StopIteration as end:
                self._write(context, end.value)
                return True
            if time.monotonic() >= until or step == total:
                context.window_manager.progress_update(step / total)
                session.report(Moment("", "running", "export", step, total, left))
                self._show(context, f"Exporting frame {step} of {total}, {left:.0f} s left. Escape stops.")
        return False

    def _write(self, context: bpy.types.Context, shot: dict[str, np.ndarray]) -> None:
        save_arrays(self._path, shot)
        if self.filepath:  # a path that was not chosen follows the .blend
            scene_group(context.scene).shot_path = in_blend(self._path)
        self.say(f"Wrote {len(shot['bone_pose'])} frames to '{self._path}'.")

    def _end(self, context: bpy.types.Context) -> None:
        """Put the scene back, which closing the steps does, and take the progress away."""
        self._steps.close()
        context.window_manager.progress_end()
        context.window_manager.event_timer_remove(self._timer)
        self._show(context, None)

    @staticmethod
    def _show(context: bpy.types.Context, text: str | None) -> None:
        if context.workspace is not None:
            context.workspace.status_text_set(text)


def _cancelled_error() -> Ani3DError:
    return Ani3DError("cancelled", "Export Shot was cancelled; nothing was written.", "")
