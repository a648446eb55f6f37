"""A job's events, numbered and kept in memory while the engine runs."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

from .pipe import ProgressReport
from .wire import Event, JobStatus
from .wire.messages import MAX_EVENTS

MOST = 2000  # events of one job; then the older half is thinned out


class EventLog:
    """Events of one job from number 0 on. Of the pictures only the newest of each stage is kept.

    A watcher that comes late gets the whole history first. It is bounded: where a job tells more than `MOST`, every
    second of the older reports from the middle of a stage is left out, and numbers are missing there.
    """

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._pictured: dict[str, int] = {}
        self._next = 0

    def add(self, status: JobStatus, report: ProgressReport | None = None) -> None:
        """Note that the job is now as `status` says; `report` brings the message and the picture."""
        message = report.message if report else ""
        preview = report.preview if report else None
        loss = report.loss if report else None
        if preview is not None:
            old = self._pictured.get(status.stage)
            at = -1 if old is None else bisect_left(self._events, old, key=_number)
            if 0 <= at < len(self._events) and self._events[at].seq == old:
                self._events[at] = replace(self._events[at], preview=None)
            self._pictured[status.stage] = self._next
        event = Event(
            self._next, status.stage, status.step, status.total, status.eta, message, preview, status.state, loss
        )
        self._events.append(event)
        self._next += 1
        if len(self._events) > MOST:
            self._thin_out()

    def _thin_out(self) -> None:
        older, newer = self._events[: MOST // 2], self._events[MOST // 2 :]
        kept = [older[0]]
        for number, (before, event, after) in enumerate(
            zip(older[:-1], older[1:], [*older[2:], newer[0]], strict=True)
        ):
            middle = before.stage == event.stage == after.stage and event.step < event.total
            if not middle or event.preview is not None or number % 2:
                kept.append(event)
        self._events = kept + newer

    def since(self, since: int) -> tuple[list[Event], int]:
        """Events from number `since` on, at most `MAX_EVENTS`, and the number to ask for next.

        A number beyond the end comes from a client that knew an engine before this one: it gets all events.
        """
        start = bisect_left(self._events, since, key=_number) if since <= self._next else 0
        events = self._events[start : start + MAX_EVENTS]
        return events, events[-1].seq + 1 if events else self._next


def _number(event: Event) -> int:
    return event.seq
