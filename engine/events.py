"""A job's events, numbered and kept in memory while the engine runs."""

from __future__ import annotations

from dataclasses import replace

from .pipe import ProgressReport
from .wire import Event, JobStatus
from .wire.messages import MAX_EVENTS


class EventLog:
    """Events of one job from number 0 on. Of the pictures only the newest of each stage is kept."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._pictured: dict[str, int] = {}

    def add(self, status: JobStatus, report: ProgressReport | None = None) -> None:
        """Note that the job is now as `status` says; `report` brings the message and the picture."""
        message = report.message if report else ""
        preview = report.preview if report else None
        seq = len(self._events)
        if preview is not None:
            old = self._pictured.get(status.stage)
            if old is not None:
                self._events[old] = replace(self._events[old], preview=None)
            self._pictured[status.stage] = seq
        event = Event(seq, status.stage, status.step, status.total, status.eta, message, preview, status.state)
        self._events.append(event)

    def since(self, since: int) -> tuple[list[Event], int]:
        """Events from number `since` on, at most `MAX_EVENTS`, and the number to ask for next.

        A number beyond the end comes from a client that knew an engine before this one: it gets all events.
        """
        if since > len(self._events):
            since = 0
        events = self._events[since : since + MAX_EVENTS]
        return events, since + len(events)
