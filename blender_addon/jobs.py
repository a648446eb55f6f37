# SPDX-License-Identifier: GPL-3.0-or-later
"""Follows one job: how far it is, as the engine tells it, for the panel and for scripts.

With a window a timer asks every quarter of a second and redraws the sidebar; without one, `follow` blocks
and hands every step to `listener`, which prints one line a step unless a script sets another.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import bpy

from engine.wire import Client, WireError

from . import connection
from .errors import AddonError

ENDED = frozenset(("done", "failed", "cancelled"))
TICK = 0.25


@dataclass(frozen=True)
class Moment:
    """One moment of some work: `step` of `total`, `eta` seconds left (inf when unknown), `state` as the engine's."""

    job: str
    state: str
    stage: str
    step: int
    total: int
    eta: float
    message: str = ""

    @property
    def factor(self) -> float:
        return self.step / self.total if self.total else 0.0


def time_left(seconds: float) -> str:
    """`seconds` as a person would say them; empty when unknown."""
    if not math.isfinite(seconds):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s left" if minutes else f"{rest} s left"


def _print(moment: Moment) -> None:
    line = f"Ani3D: {moment.stage or moment.state} {moment.step}/{moment.total} {time_left(moment.eta)}".rstrip()
    print(line, flush=True)


listener: Callable[[Moment], None] = _print
current: Moment | None = None  # of the job that is followed
transfer: Moment | None = None  # of a fetch, which may go on while another job runs
error: str = ""  # why the job is followed no longer
_poll: Future[tuple[Moment, int]] | None = None
_since = 0


def tell(moment: Moment) -> None:
    """Make `moment` the current one of the job; scripts hear of it when it differs from the last."""
    global current
    if moment != current:
        current = moment
        report(moment)


def of(job: str) -> Moment | None:
    """The current moment if it is of `job`; another file that is opened has another job."""
    return current if current and current.job == job else None


def tell_transfer(moment: Moment | None) -> None:
    """The same for a fetch; None when it is over."""
    global transfer
    if moment != transfer:
        transfer = moment
        if moment:
            report(moment)


def report(moment: Moment) -> None:
    """Tell scripts of `moment`; with a window the panel shows it."""
    if bpy.app.background:
        listener(moment)


def look(client: Client, job: str, since: int, last: Moment | None) -> tuple[Moment, int]:
    """Ask the engine for what happened after event `since`; runs on the worker thread."""
    events, since = client.events(job, since=since, timeout=0.2)
    if events:
        event = events[-1]
        moment = Moment(job, event.state, event.stage, event.step, event.total, event.eta, event.message)
        if moment.state not in ENDED:
            return moment, since
    elif last is not None and last.state not in ENDED:
        return last, since
    status = client.status(job)
    message = _sentence(status.error) if status.error else ""
    return Moment(job, status.state, status.stage, status.step, status.total, status.eta, message), since


def follow(job: str) -> Moment:
    """Block until `job` ends, telling `listener` every step. Ctrl-C cancels the job.

    Raises:
        AddonError: the job's own error when it failed, ``cancelled`` when it was cancelled.
        WireError: when the engine went away.
    """
    link, since = connection.current(), 0
    moment: Moment | None = None
    try:
        while moment is None or moment.state not in ENDED:
            moment, since = connection.wait(
                link.call(lambda c, s=since, m=moment: look(c, job, s, m)), on_tick=link.check
            )
            tell(moment)
    except KeyboardInterrupt:
        connection.wait(link.call(lambda client: client.cancel(job)))
        raise AddonError("cancelled", "The job was cancelled.", "Submit the shot again to go on from there.") from None
    raise_if_failed(moment)
    return moment


def raise_if_failed(moment: Moment) -> None:
    if moment.state == "failed":
        raise AddonError("job.failed", f"The job failed: {moment.message}".rstrip(), "")
    if moment.state == "cancelled":
        raise AddonError("cancelled", "The job was cancelled.", "Submit the shot again to go on from there.")


def fetch_all(
    client: Client,
    job: str,
    folder: Path,
    on_step: Callable[[Moment], None],
    should_cancel: Callable[[], bool],
) -> list[str]:
    """Fetch every result file of `job` into `folder`; runs on the worker thread. Returns their names."""
    files = client.files(job)
    total = sum(file.size for file in files)
    before, started = 0, time.monotonic()
    for file in files:

        def report(done_of_file: int, _size: int, name: str = file.name, before: int = before) -> None:
            done, elapsed = before + done_of_file, time.monotonic() - started
            eta = elapsed / done * (total - done) if done else math.inf
            on_step(Moment(job, "fetching", f"fetch {name}", done, total, eta))

        client.fetch(job, file.name, folder / file.name, report, should_cancel)
        before += file.size
    return [file.name for file in files]


def watch(job: str) -> None:
    """With a window: follow `job` by a timer from now on."""
    global current, error, _poll, _since
    current, error, _poll, _since = Moment(job, "queued", "", 0, 0, math.inf), "", None, 0
    if not bpy.app.timers.is_registered(_tick):
        bpy.app.timers.register(_tick, first_interval=TICK, persistent=True)


def forget() -> None:
    """Stop following."""
    global current, error, _poll
    current, error, _poll = None, "", None
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)


def _tick() -> float | None:
    """Timer: collect the answer to the last question, ask the next; None ends the timer."""
    global current, error, _poll, _since
    if current is None or current.state in ENDED:
        return None
    try:
        if _poll is None:
            job, since, last = current.job, _since, current if _since else None
            _poll = connection.current().call(lambda client: look(client, job, since, last))
        elif _poll.done():
            moment, _since = _poll.result()
            _poll = None
            tell(moment)
            connection.redraw()
    except (AddonError, WireError) as problem:
        current, error, _poll = None, str(problem), None  # the job may well go on: Follow Job asks again
        connection.redraw()
        return None
    return TICK


def _sentence(problem: dict[str, str]) -> str:
    return f"{problem.get('message', '')} {problem.get('hint', '')}".strip()
