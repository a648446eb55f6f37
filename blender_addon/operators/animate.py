# SPDX-License-Identifier: GPL-3.0-or-later
"""Animate: everything from the scene to its moving result, at one press.

The scene is read anew each time. That takes seconds, a job minutes, and no other way notices every change: a driver, a
linked file, a picture on disk. The engine finds the same shot with the same settings again and does it only once.

The engine starts first, and is told which job comes: both go on while Blender reads the scene.

With a window the operator ends when the engine has the job; the session's timer follows it and shows the result. Escape
stops the operator. It does not stop the job, which may run for hours while Escape is pressed for other things: the
cross beside the progress does. Without a window it waits until the result is in the scene.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import closing, suppress
from functools import partial
from itertools import count
from typing import Any

import bpy

from ani3d_formats.errors import Ani3DError

from ..connection import Link
from ..export import survey
from ..export.camera import check_camera
from ..export.character import check_armature
from ..export.shot import Request, export_steps, shot_frames
from ..job_list import add_job, fetched, row_of
from ..jobs import Moment
from ..paths import absolute
from ..properties import scene_group, shot_file
from ..results_shown import best_for, show_as
from ..session import JOB_WARNINGS, redraw, redraw_at_times, session
from ..wording import reported
from .base import Outcome
from .bind import bind_steps, binding, chosen_armature
from .engine import open_engine
from .job import chosen_settings, read_pictures, read_settings, read_views, views_beside
from .result import BringsResult, put_in_scene
from .stepwise import SLICE, Steps, until_undo

LONGEST = 0.2  # seconds of work between two looks at the keyboard, where Blender takes longer than that to draw

Work = Generator[Future[Any] | None, None, None]
"""Yields what to wait for while Blender goes on, or None where it goes on by itself and the scene is in its hands."""


class Animate(BringsResult, bpy.types.Operator):
    """Bind the character if none is bound, read the scene, start the engine, animate, and show the result"""

    bl_idname = "ani3d.animate"
    bl_label = JOB_WARNINGS
    bl_options = {"UNDO"}

    settings: bpy.props.StringProperty(name="Settings", description="Settings as JSON; empty for the panel's choices")

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        if session.stop_preparing:
            return "The scene is being read already."
        if scene_group(context.scene).armature or any(each.type == "ARMATURE" for each in bpy.data.objects):
            return ""
        return "There is no armature in this file."

    def execute(self, context: bpy.types.Context) -> Outcome:
        session.start_over(self.bl_label)
        self._work = self._prepare(context)
        self._waits_for: Future[Any] | None = None
        self._stopped_by_user = False
        self._left = math.inf  # when the last slice of work ended
        if bpy.app.background or context.window is None:
            return {"FINISHED"} if self.succeeds(self._all_at_once, context) else {"CANCELLED"}
        session.stop_preparing = self._stop_preparing
        self._timer = context.window_manager.event_timer_add(0.01, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Outcome:
        """A slice of work at each tick. While the scene is read nothing else gets through, since it plays."""
        if event.type == "ESC":
            self._stopped_by_user = True
        passing: Outcome = {"PASS_THROUGH"} if self._waits_for else {"RUNNING_MODAL"}
        if event.type != "TIMER" and not self._stopped_by_user:
            return passing
        if self._stopped_by_user:
            self._end(context, "")
            self.report({"WARNING"}, reported("Animate was stopped."))
            return {"CANCELLED"}
        session.drain()
        ended = False

        def work() -> None:
            nonlocal ended
            ended = self._advance()

        well = self.succeeds(work)
        redraw_at_times()
        if well and not ended:
            return passing
        self._end(context, self._job if well else "")
        return {"FINISHED"} if well else {"CANCELLED"}

    def cancel(self, context: bpy.types.Context) -> None:
        self._end(context, "")

    def _prepare(self, context: bpy.types.Context) -> Work:
        """All until the engine has the job."""
        group, home = scene_group(context.scene), context.scene.session_uid
        settings = read_settings(self.settings) if self.settings else chosen_settings(group)
        session.prepare(
            "bind", 0.0, str(settings.get("preset", "")), context.scene.frame_end - context.scene.frame_start + 1
        )
        armature = group.armature or chosen_armature(context)
        check_armature(armature)
        check_camera(context.scene)
        starting = self._start_engine(context, str(settings.get("preset", "")))
        name = armature.name
        request = Request(armature, shot_frames(context.scene), settings.get("coarse") == "evaluated")
        look = None  # binding again, for what the character wears now
        if request.evaluate:  # nothing is compared then, and so not told how each object moves
            yield from self._read(bind_steps(context, armature, self.warn), starting, "bind")
        else:
            look = binding(context.scene, armature)
        shot = yield from self._read(export_steps(context, request, self.warn, look), starting)
        self._say("start", 0, 1)
        yield starting
        starting.result()
        self._say("send", 0, 1)
        views = views_beside(shot_file(context).parent, shot["meta"], self.warn)
        more = read_views(views) | read_pictures(shot_file(context).parent, shot["meta"], settings)
        sending = session.current().transfer(lambda client: client.submit({**shot, **more}, settings))
        yield sending
        self._job = sending.result()
        scene = next((each for each in bpy.data.scenes if each.session_uid == home), None)  # another may be open now
        add_job(context, self._job, name, settings, wanted=True, scene=scene)

    def _start_engine(self, context: bpy.types.Context, preset: str) -> Future[Link]:
        """Open a link where there is none, and tell the engine what comes."""
        starting: Future[Link] = Future()
        if session.is_open():
            starting.set_result(session.current())
        else:
            starting = open_engine(context)
        starting.add_done_callback(partial(_tell_what_comes, preset))
        return starting

    def _read(self, steps: Steps, starting: Future[Link], stage: str = "") -> Generator[None, None, Any]:
        """What `steps` return, which read the scene. An engine that cannot be started ends them."""
        with closing(until_undo(steps)) as steps:  # puts the scene back
            for looked in count(1):
                try:
                    step, total, left = next(steps)
                except StopIteration as end:
                    return end.value
                if starting.done():
                    starting.result()
                if stage or step:
                    self._say(stage or "export", step, total, left)
                else:  # before the first frame
                    self._say("bind", looked, max(looked + 1, survey.STEPS))
                yield None

    def _advance(self) -> bool:
        """Work for a while; True when the engine has the job."""
        if self._waits_for and not self._waits_for.done():
            return False
        until = time.monotonic() + self._slice()
        while True:
            try:
                self._waits_for = next(self._work)
            except StopIteration:
                return True
            if self._waits_for or time.monotonic() >= until:
                self._left = time.monotonic()
                return False

    def _slice(self) -> float:
        """Seconds to work: as long as Blender went on since the last time, so that half of the time is work also where
        drawing takes long."""
        return max(SLICE, min(time.monotonic() - self._left, LONGEST))

    def _stop_preparing(self) -> None:
        self._stopped_by_user = True

    def _end(self, context: bpy.types.Context, job: str) -> None:
        """Put the scene back, give the window back, follow the job if there is one."""
        self._work.close()
        if not job and self._waits_for:
            self._waits_for.add_done_callback(_cancelled_when_sent)
        context.window_manager.event_timer_remove(self._timer)
        session.prepared(job)
        if job:
            session.watch(job)
        redraw()

    def _all_at_once(self, context: bpy.types.Context) -> None:
        try:
            for future in self._work:
                if future:
                    session.wait(future)
        except KeyboardInterrupt:
            raise Ani3DError("cancelled", "Animate was cancelled; no job was submitted.", "") from None
        finally:
            self._work.close()
            session.prepared(getattr(self, "_job", ""))
        session.follow(self._job)
        row = row_of(context.scene, self._job)
        assert row
        folder = absolute(row.folder)
        fetching = self.fetch(self._job, folder, importing=True)
        try:
            session.wait(fetching)
        except KeyboardInterrupt:
            self.stop()
            raise Ani3DError("cancelled", "Fetching was cancelled.", "Fetch Result fetches it again.") from None
        finally:
            self.leave()
        name = put_in_scene(self, context, folder)
        fetched(context.scene, self._job, folder, name)
        show_as(name, best_for(name))

    def _say(self, stage: str, step: int, total: int, left: float = 0.0) -> None:
        session.prepare(stage, step / total)
        session.report(Moment("", "running", stage, step, total, left))


def _tell_what_comes(preset: str, starting: Future[Link]) -> None:
    """Runs on any thread. Should the engine not want to know, the job is only slower."""
    if not starting.cancelled() and starting.exception() is None:
        with suppress(RuntimeError):  # the link was closed at once
            starting.result().call(lambda client: client.prepare(preset))


def _cancelled_when_sent(sending: Future[Any]) -> None:
    """The engine may have taken a job that nobody wants any more."""
    job = None if sending.cancelled() or sending.exception() else sending.result()
    if isinstance(job, str):
        session.post(partial(_cancel, job))


def _cancel(job: str) -> None:
    if session.is_open():
        session.current().call(lambda client: client.cancel(job))
