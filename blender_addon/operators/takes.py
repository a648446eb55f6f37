# SPDX-License-Identifier: GPL-3.0-or-later
"""Record Takes: the character under random motion with Blender's cloth, to train a prior on."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, cast

import bpy

from ani3d_formats.errors import Ani3DError

from .. import compat, jobs
from ..export import character
from ..paths import absolute, output_folder
from ..properties import scene_group
from ..sentence import joined, said
from ..session import session
from ..takes.record import Step, Takes, record
from ..takes.view import some_camera
from ..wording import reported
from .base import Outcome, ReportsErrors
from .stepwise import SLICE, until_undo


class RecordTakes(ReportsErrors, bpy.types.Operator):
    """Simulate the character's cloth under random motions, to train a prior on it; finished takes are kept"""

    bl_idname = "ani3d.record_takes"
    bl_label = "Record Takes"
    bl_options = {"UNDO"}  # it may bind the character

    folder: bpy.props.StringProperty(
        name="Folder",
        description="Where the takes go; empty for a folder beside the .blend",
        subtype="DIR_PATH",
        options=compat.relative_path_options(),
    )
    takes: bpy.props.IntProperty(name="Takes", description="How many takes there shall be", default=16, min=1)
    frames: bpy.props.IntProperty(name="Frames", description="Length of a take", default=48, min=2)
    seed: bpy.props.IntProperty(name="Seed", description="Another seed, other motions", default=0, min=0)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Outcome:
        if bpy.app.background:  # the module runs invoke as well, and has no dialog
            return self.execute(context)
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: bpy.types.Context) -> Outcome:
        session.start_over(self.bl_label)
        if not self.succeeds(self._begin, context):
            return {"CANCELLED"}
        if bpy.app.background or context.window is None:
            return {"FINISHED"} if self.succeeds(self._wait) else {"CANCELLED"}
        self._timer = context.window_manager.event_timer_add(0.01, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        """Everything but Escape is swallowed: the scene must not change below the simulation."""
        if event.type == "ESC":
            self._leave(context)
            self.report({"WARNING"}, reported("Recording takes was cancelled; finished ones are kept."))
            return {"CANCELLED"}
        if event.type == "TIMER":
            done = [False]
            went_well = self.succeeds(self._go_on, context, done)
            if done[0] or not went_well:
                self._leave(context)
                return {"FINISHED"} if went_well else {"CANCELLED"}
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        self._leave(context)

    def _begin(self, context: bpy.types.Context) -> None:
        folder = absolute(self.folder) if self.folder else output_folder(context) / "takes"
        self._takes = Takes(folder, self.takes, self.frames, self.seed)
        armature = _bound(context)
        self._steps: Generator[Step] = until_undo(record(context, armature, self._takes, self.warn))

    def _wait(self) -> None:
        try:
            for step in self._steps:
                session.report(jobs.Moment("", "running", "takes", step.done, step.total, step.left))
        except KeyboardInterrupt:
            self._steps.close()
            raise Ani3DError("cancelled", "Recording takes was cancelled.", "Finished ones are kept.") from None
        self._say()

    def _go_on(self, context: bpy.types.Context, done: list[bool]) -> None:
        until = time.monotonic() + SLICE
        while time.monotonic() < until:
            step = next(self._steps, None)
            if step is None:
                done[0] = True
                self._say()
                return
        where = {"share": step.done / step.total, "time": jobs.time_left(step.left)}
        context.workspace.status_text_set(reported("Ani3D takes: {share:.0%}, {time}. Escape stops.", **where))

    def _leave(self, context: bpy.types.Context) -> None:
        self._steps.close()
        context.window_manager.event_timer_remove(self._timer)
        context.workspace.status_text_set(None)

    def _say(self) -> None:
        takes = self._takes
        if takes.dropped == takes.count:
            why = takes.reasons[0] if takes.reasons else said("found so before")
            raise Ani3DError(
                "takes.all_dropped",
                said("All {count} takes were dropped ({why}).", count=takes.count, why=why),
                "Look at the cloth's settings, or remove the folder and try another seed.",
            )
        numbers = {"count": takes.recorded, "folder": takes.folder, "kept": takes.kept, "dropped": takes.dropped}
        text = said("Recorded {count} takes in '{folder}', {kept} were there, {dropped} dropped", **numbers)
        if takes.reasons:
            reasons = joined(sorted(set(takes.reasons)), "; ")
            self.say(reported("{text} ({reasons}).", text=text, reasons=reasons))
        else:
            self.say(reported("{text}.", text=text))


def _bound(context: bpy.types.Context) -> bpy.types.Object:
    """The bound character; where none is and one armature has meshes, that one, bound now."""
    settings = scene_group(context.scene)
    if settings.armature is None:
        found = [item for item in context.view_layer.objects if item.type == "ARMATURE" and _has_meshes(context, item)]
        if len(found) != 1:
            what = said("{count} armatures have meshes", count=len(found)) if found else said("No armature has meshes")
            raise Ani3DError(
                "character.not_bound", said("{what}, and no character is bound.", what=what), "Bind Character first."
            )
        with _camera(context, found[0]):
            cast(Any, bpy.ops).ani3d.bind_character(armature=found[0].name)
    character.check_armature(settings.armature)
    return settings.armature


@contextmanager
def _camera(context: bpy.types.Context, armature: bpy.types.Object) -> Iterator[None]:
    """Binding asks for a camera. What it reports as an error is ours too."""
    try:
        with some_camera(context, armature):
            yield
    except RuntimeError as error:
        raise Ani3DError("character.not_bound", str(error).removeprefix("Error: ").strip()) from None


def _has_meshes(context: bpy.types.Context, armature: bpy.types.Object) -> bool:
    try:
        return bool(character.members_of(armature, context.view_layer).shapes)
    except Ani3DError:
        return False
