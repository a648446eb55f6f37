# SPDX-License-Identifier: GPL-3.0-or-later
"""What all operators share: a user's mistake becomes one line on the screen, never a traceback."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Literal, cast

import bpy

from ani3d_formats.errors import Ani3DError

from ..failures import unforeseen_error
from ..sentence import said
from ..session import redraw_at_times, session
from ..wording import failure, reported

if TYPE_CHECKING:
    from bpy.types import Operator as Base
else:
    Base = object  # Blender registers each operator by its own class
Outcome = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]  # as Blender names them


class ReportsErrors(Base):
    """Mixin: subclasses write `run`, which may raise `Ani3DError`, and may write `why_not`."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A button is grey, and says why, where `why_not` has a reason; scripts get the error of `run` instead."""
        reason = "" if bpy.app.background else cls.why_not(context)
        if reason:
            cast(Any, cls).poll_message_set(reported(reason))
        return not reason

    @classmethod
    def why_not(cls, _context: bpy.types.Context) -> str:
        """Why the operator cannot run now, one short sentence; "" where it can."""
        return ""

    def execute(self, context: bpy.types.Context) -> Outcome:
        session.start_over(self.bl_label)
        return {"FINISHED"} if self.succeeds(self.run, context) else {"CANCELLED"}

    def run(self, context: bpy.types.Context) -> None:
        raise NotImplementedError

    def succeeds(self, function: Any, *arguments: Any) -> bool:
        """Call `function`; True when it ended well, else the error was reported."""
        try:
            function(*arguments)
        except Ani3DError as error:
            self.fail(error)
            return False
        except Exception as error:
            self.fail(unforeseen_error(self.bl_label, error))
            return False
        return True

    def fail(self, error: Ani3DError) -> None:
        """Report an error and keep it for the panel until another operator runs."""
        session.error = failure(error)
        self.report({"ERROR"}, session.error)

    def warn(self, message: str) -> None:
        """Report a warning and keep it for the panel until the operator runs again."""
        text = reported(message)
        self.report({"WARNING"}, text)
        session.keep_warning(self.bl_label, text)

    def say(self, message: str) -> None:
        """Report how it ended; the status bar shows this last line alone, so it counts the warnings before it."""
        count = len(session.warnings.get(self.bl_label, ()))
        if not count or bpy.app.background:
            self.report({"INFO"}, message)
        else:
            sentence = "{message} 1 warning" if count == 1 else "{message} {count} warnings"
            text = reported(f"{sentence}, see the Ani3D tab.", message=message, count=count)
            self.report({"WARNING"}, text)


class WaitsForWork(ReportsErrors):
    """Mixin for what takes seconds: `begin` starts work on another thread, `finish` gets what it returned.

    With a window Blender stays usable meanwhile; without one the operator waits. Subclasses may write `stop`,
    called when the user presses Escape or Ctrl-C, and `leave`, called when the work is over, however it ended.
    """

    def begin(self, context: bpy.types.Context) -> Future[Any]:
        raise NotImplementedError

    def finish(self, context: bpy.types.Context, result: Any) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        pass

    def leave(self) -> None:
        pass

    def execute(self, context: bpy.types.Context) -> Outcome:
        session.start_over(self.bl_label)
        if not self.succeeds(self._begin, context):
            return {"CANCELLED"}
        if bpy.app.background or context.window is None:
            return {"FINISHED"} if self.succeeds(self._wait, context) else {"CANCELLED"}
        self._timer = context.window_manager.event_timer_add(0.1, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        if event.type == "ESC":
            self.stop()
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        done = self._future.done()  # asked first: all that the work has posted is then in the inbox
        session.drain()
        redraw_at_times(now=done)
        if not done:
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        self.leave()
        return {"FINISHED"} if self.succeeds(self._collect, context) else {"CANCELLED"}

    def cancel(self, _context: bpy.types.Context) -> None:
        """Blender takes the operator away, as when another file is opened; its timers go with the window."""
        self.stop()
        self.leave()

    def _begin(self, context: bpy.types.Context) -> None:
        self._future = self.begin(context)

    def _wait(self, context: bpy.types.Context) -> None:
        try:
            session.wait(self._future)
        except KeyboardInterrupt:
            self.stop()
            raise Ani3DError("cancelled", said("{work} was cancelled.", work=said(self.bl_label)), "") from None
        finally:
            self.leave()
        self._collect(context)

    def _collect(self, context: bpy.types.Context) -> None:
        self.finish(context, session.result_of(self._future))
