# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators whose work is a generator of steps: with a window a slice at each tick, without one all at once."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import suppress
from typing import Any, ClassVar, TypeVar, cast

import bpy

from ani3d_formats.errors import Ani3DError

from ..jobs import Moment, time_left
from ..properties import scene_group
from ..sentence import joined, said
from ..session import session
from ..wording import failure, reported
from .base import Outcome, ReportsErrors

SLICE = 0.01  # seconds of work between two looks at the keyboard
Step = TypeVar("Step")
Result = TypeVar("Result")
Steps = Generator[tuple[int, int, float], None, Any]
"""Yields (steps done, steps in all, seconds left); closing it puts the scene back."""


def until_undo(steps: Generator[Step, None, Result]) -> Generator[Step, None, Result]:
    """The same steps, which read the scene. Undo, as another window or a script may call it meanwhile, replaces what
    the scene is made of: they put it back before, and the next one raises `Ani3DError` ``cancelled``."""
    undone = False

    def let_go(*_arguments: object) -> None:
        nonlocal undone
        undone = True
        with suppress(ValueError):  # Undo called inside a step
            steps.close()

    lists = bpy.app.handlers.undo_pre, bpy.app.handlers.redo_pre
    for handlers in lists:
        handlers.append(let_go)
    try:
        while not undone:
            try:
                step = next(steps)
            except StopIteration as end:
                return cast(Result, end.value)
            yield step
        raise Ani3DError("cancelled", "Undo or Redo came between.", "Start it again.")
    finally:
        steps.close()
        for handlers in lists:
            with suppress(ValueError):  # opening a file takes handlers away
                handlers.remove(let_go)


class WorksInSteps(ReportsErrors):
    """Mixin for work on the bound character: subclasses write `begin`, which gives the steps, and `finish`, which gets
    what they return.

    Escape and Ctrl-C close the steps. Nothing else gets through meanwhile, since the scene may play.
    """

    STAGE: ClassVar[str]  # the work's name for scripts that listen
    DOING: ClassVar[str]  # begins the line in the status bar: "Exporting frame"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return "" if scene_group(context.scene).armature else "No character is bound."

    def begin(self, context: bpy.types.Context) -> Steps:
        raise NotImplementedError

    def finish(self, context: bpy.types.Context, result: Any) -> None:
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Outcome:
        if bpy.app.background or context.window is None:
            return super().execute(context)
        session.start_over(self.bl_label)
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
            raise self._cancelled_error() from None
        finally:
            self._steps.close()

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        """A slice of work at each tick."""
        if event.type == "ESC":
            self._end(context)
            self.report({"WARNING"}, failure(self._cancelled_error()))
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
        self._steps: Steps = until_undo(self.begin(context))

    def _advance(self, context: bpy.types.Context) -> bool:
        """Work for a while; True when it is finished."""
        until = time.monotonic() + SLICE
        while time.monotonic() < until:
            try:
                step, total, left = next(self._steps)
            except StopIteration as end:
                self.finish(context, end.value)
                return True
            if time.monotonic() >= until or step == total:
                context.window_manager.progress_update(step / total)
                session.report(Moment("", "running", self.STAGE, step, total, left))
                words = said("{doing} {step} of {total}", doing=said(self.DOING), step=step, total=total)
                parts = [each for each in (words, time_left(left)) if each]
                self._show(context, reported("{progress}. Escape stops.", progress=joined(parts, ", ")))
        return False

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

    def _cancelled_error(self) -> Ani3DError:
        return Ani3DError("cancelled", said("{work} was cancelled; nothing was written.", work=said(self.bl_label)), "")
