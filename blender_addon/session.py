# SPDX-License-Identifier: GPL-3.0-or-later
"""The one state of the add-on: the engine it talks to, the job it follows, the result it fetches.

It is read and changed on Blender's main thread only. Other threads `post` what they found; with a window a timer
takes it from there, without one `wait` does. The state does not outlive Blender; a .blend remembers its job's id.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

import bpy

from ani3d_formats.errors import Ani3DError
from engine.wire import JobStatus

from .animate_progress import Course
from .connection import Link, finished, on_thread
from .jobs import ENDED, Moment, look, print_moment, raise_if_failed
from .wording import failure

T = TypeVar("T")
JOB_WARNINGS = "Animate"  # they stand under the button that submitted the job
TICK = 0.05  # seconds between two looks of the timer at what other threads have posted
ASKS = 0.25  # seconds between two questions to the engine at least
DRAWS = 0.5  # seconds between two drawings of what goes on at least: a software renderer takes .05 for the sidebar


class Session:
    """Open links with `start`, follow jobs with `watch` (a window) or `follow` (a script); `close` ends all."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.job: Moment | None = None  # of the job that is followed
        self.transfer: Moment | None = None  # of a fetch, which may go on while another job runs
        self.course: Course | None = None  # how far the job or its preparation is as a whole
        self.stop_preparing: Callable[[], None] | None = None  # of the preparation under way
        self.foreign: list[JobStatus] = []  # jobs that the engine works on and no list has
        self.hears_job: list[Callable[[Moment], None]] = []
        self.hears_all: list[Callable[[list[JobStatus]], None]] = []
        self.error = ""  # of the operator that ran last, or why the job is followed no longer
        self.warnings: dict[str, list[str]] = {}  # of the last run of each operator, by its label
        self.listener: Callable[[Moment], None] = print_moment  # hears every step when there is no window
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._starting: object | None = None  # stands for the start under way
        self._ending: Future[None] | None = None  # of the link closed last
        self._question: Future[tuple[Moment, int]] | None = None
        self._question_of_all: Future[list[JobStatus]] | None = None
        self._since = 0
        self._asked_at = 0.0
        self._timer = self.tick  # one object, as Blender knows timers by identity

    # ---- the engine ----

    def is_open(self) -> bool:
        return self.link is not None and self.link.alive()

    @property
    def starting(self) -> bool:
        """Whether a link is being opened."""
        return self._starting is not None

    def is_working(self) -> bool:
        """Whether a job is followed that goes on."""
        return self.job is not None and self.job.state not in ENDED

    def current(self) -> Link:
        """The open link. Raises `Ani3DError` ``engine.unreachable`` when there is none."""
        if self.link is None:
            raise Ani3DError("engine.unreachable", "The engine is not running.", "Start it with Start Engine first.")
        self.link.check()
        return self.link

    def start(self, open_link: Callable[[], Link]) -> Future[Link]:
        """Open a link on another thread, where `open_link` may take its time; it replaces the present one."""
        start, ending = object(), self._ending
        self._starting = start
        self._run_timer()

        def run() -> Link:
            try:
                if ending:
                    ending.result()  # until then it locks its store
                link = open_link()
            except BaseException:
                self.post(partial(self._opened, start, None))
                raise
            if self._starting is not start:  # closed meanwhile, perhaps with nobody left to empty the inbox
                link.close()
                raise Ani3DError("engine.start", "The engine was stopped before it was ready.", "Start it again.")
            self.post(partial(self._opened, start, link))
            return link

        return on_thread(run)

    def close(self) -> Future[None]:
        """Forget the job and close the link without waiting. The future is done when an engine of ours has ended."""
        self._starting = None
        self.drain()
        self.forget()
        link, self.link = self.link, None
        if link:
            self._ending = link.close()
        return self._ending or finished()

    def _opened(self, start: object, link: Link | None) -> None:
        if start is self._starting:
            self._starting = None
            if link:
                self.close()
                self.link = link
                self.ask_for_all()
        elif link:
            link.close()

    # ---- the job ----

    def tell(self, moment: Moment) -> None:
        """Make `moment` the current one of the job; scripts hear of it when it differs from the last."""
        for warning in moment.warnings:
            self.keep_warning(JOB_WARNINGS, warning)
        if moment != self.job:
            self.job = moment
            self.report(moment)
            for listener in self.hears_job:
                listener(moment)
        if self.course and self.course.job == moment.job:
            stage = moment.stage or ("starting" if moment.state == "running" else "queued")
            self.course.see(stage, moment.factor, time.monotonic())

    def moment_of(self, job: str) -> Moment | None:
        """The current moment if it is of `job`; another file that is opened has another job."""
        return self.job if self.job and self.job.job == job else None

    def tell_transfer(self, moment: Moment | None) -> None:
        """The same as `tell` for a fetch; None when it is over."""
        if moment != self.transfer:
            self.transfer = moment
            if moment:
                self.report(moment)
                if self.course and self.course.job == moment.job:
                    self.course.see("fetch", moment.factor, time.monotonic())

    def report(self, moment: Moment) -> None:
        """Tell scripts of `moment`; with a window the panel shows it."""
        if bpy.app.background:
            self.listener(moment)

    def follow(self, job: str) -> None:
        """Block until `job` ends, telling `listener` every step. Ctrl-C cancels the job.

        Raises:
            Ani3DError: the job's own error when it failed, ``cancelled`` when it was cancelled.
            Ani3DError: when the engine went away.
        """
        link, since = self.current(), 0
        moment: Moment | None = None
        try:
            while moment is None or moment.state not in ENDED:
                question = link.call(partial(look, job=job, since=since, last=moment))
                moment, since = self.wait(question, on_tick=link.check)
                self.tell(moment)
        except KeyboardInterrupt:
            self.wait(link.call(lambda client: client.cancel(job)))
            raise Ani3DError(
                "cancelled", "The job was cancelled.", "Submit the shot again to go on from there."
            ) from None
        raise_if_failed(moment)

    def watch(self, job: str, preset: str = "") -> None:
        """Follow `job`, which has the quality `preset`, by the timer from now on."""
        if self.course is None or self.course.job != job:
            self.course = Course(time.monotonic(), job, preset)
        self.job, self.error, self._question, self._since = Moment(job, "queued", "", 0, 0, math.inf), "", None, 0
        self._asked_at = 0.0
        self._run_timer()

    def forget(self) -> None:
        """Stop following."""
        self.job, self.error, self._question, self._question_of_all = None, "", None, None
        self.foreign = []
        if self.course and self.course.job:
            self.course = None

    def prepare(self, stage: str, share: float, preset: str = "", frames: int = 0) -> None:
        """Say how far the preparation of a job is: `share` (0..1) of the first stages of `animate_progress.STAGES`."""
        if self.course is None or self.course.job:
            self.course = Course(time.monotonic(), "", preset, frames)
        self.course.see(stage, share, time.monotonic())

    def prepared(self, job: str) -> None:
        """The preparation is over, with a job or, "", without."""
        self.stop_preparing = None
        if self.course and not job:
            self.course = None
        elif self.course:
            self.course.job = job

    def ask_for_all(self) -> Future[list[JobStatus]] | None:
        """Ask the engine, if one runs, for the states of all its jobs, for the lists of jobs."""
        if self.link is None:
            return None
        question = self._question_of_all = self.link.call(lambda client: client.jobs())
        question.add_done_callback(lambda done: self.post(partial(self._answered_all, done)))
        self._run_timer()
        return question

    def _answered_all(self, question: Future[list[JobStatus]]) -> None:
        if question is self._question_of_all:
            self._question_of_all = None
        if not question.cancelled() and question.exception() is None:  # an engine that is lost is noticed elsewhere
            for listener in self.hears_all:
                listener(question.result())

    def _ask(self) -> None:
        assert self.job
        self._asked_at = time.monotonic()
        last = self.job if self._since else None
        try:
            question = self.current().call(partial(look, job=self.job.job, since=self._since, last=last))
        except Ani3DError as problem:
            self._lose(problem)
            return
        self._question = question
        question.add_done_callback(lambda done: self.post(partial(self._answered, done)))

    def _answered(self, question: Future[tuple[Moment, int]]) -> None:
        if question is not self._question:  # of a job that is followed no longer
            return
        self._question = None
        try:
            moment, self._since = self.result_of(question)
        except Ani3DError as problem:
            self._lose(problem)
            return
        self.tell(moment)
        redraw_at_times(now=moment.state in ENDED)

    def _lose(self, problem: Exception) -> None:
        self.job, self._question = None, None  # the job may well go on: Follow Job asks again
        self.error = failure(problem)
        redraw()

    # ---- warnings ----

    def keep_warning(self, operator: str, message: str) -> None:
        """Keep a warning of the operator labelled `operator` for the panel, once."""
        kept = self.warnings.setdefault(operator, [])
        if message not in kept:
            kept.append(message)

    def start_over(self, operator: str) -> None:
        """Forget what the operator warned of last, and the last error, as it runs again."""
        self.error = ""
        self.forget_warnings(operator)

    def forget_warnings(self, operator: str = "") -> None:
        """Forget those of one operator, as it runs again; without a label all, as when another file is opened."""
        if operator:
            self.warnings.pop(operator, None)
        else:
            self.warnings.clear()

    # ---- from other threads to the main one ----

    def post(self, action: Callable[[], None]) -> None:
        """Have `action` run on the main thread; may be called on any."""
        self._inbox.put(action)

    def drain(self) -> None:
        """Run what was posted."""
        while not self._inbox.empty():
            self._inbox.get()()

    def wait(self, future: Future[T], on_tick: Callable[[], None] | None = None) -> T:
        """Block until `future` is done, calling `on_tick` about ten times a second; Ctrl-C gets through."""
        while not futures.wait((future,), timeout=0.1).done:
            self.drain()
            if on_tick:
                on_tick()
        self.drain()
        return self.result_of(future)

    def result_of(self, future: Future[T]) -> T:
        """What a finished call or transfer returned. Where nobody answered as our engine ended, that is the error."""
        try:
            return future.result()
        except Ani3DError as problem:
            if problem.code == "engine.unreachable" and self.link:
                self.link.check()
            raise

    def tick(self) -> float | None:
        """The timer: run what was posted, ask for the job's next moment. None, when nothing goes on, ends the timer."""
        self.drain()
        due = time.monotonic() >= self._asked_at + ASKS and self._question is None
        if due and self.job and self.job.state not in ENDED:
            self._ask()
        going_on = self._starting or self._question_of_all or (self.job and self.job.state not in ENDED)
        return TICK if going_on else None

    def _run_timer(self) -> None:
        if not bpy.app.background and not bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.register(self._timer, first_interval=TICK, persistent=True)


def redraw(region_type: str = "UI") -> None:
    """Draw the sidebars again, as they show what has changed, and nothing else: a view of a scene can take seconds.

    With ``"WINDOW"`` the 3D views themselves.
    """
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if area.type == "VIEW_3D" and region.type == region_type:
                    region.tag_redraw()


_drawn_at = 0.0


def redraw_at_times(now: bool = False) -> None:
    """`redraw` for what goes on by itself: `now`, else only after `DRAWS` seconds without."""
    global _drawn_at
    if now or time.monotonic() >= _drawn_at + DRAWS:
        _drawn_at = time.monotonic()
        redraw()


session = Session()
