# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine says of a job, and the fetching of its files. All of it runs on any thread and keeps no state."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ani3d_formats.errors import Ani3DError
from engine.wire import Client

from .sentence import said

ENDED = frozenset(("done", "failed", "cancelled"))
WARNING = "warning"  # the stage of an event whose message is a warning


@dataclass(frozen=True)
class Moment:
    """One moment of some work: `step` of `total`, `eta` seconds left (inf when unknown), `state` as the engine's,
    `warnings` so far."""

    job: str
    state: str
    stage: str
    step: int
    total: int
    eta: float
    message: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def factor(self) -> float:
        return self.step / self.total if self.total else 0.0


def time_left(seconds: float) -> str:
    """That `seconds` are left, as a person would say it; empty when unknown."""
    return said("{time} left", time=duration(seconds)) if math.isfinite(seconds) else ""


def duration(seconds: float) -> str:
    """`seconds` as a person would say them."""
    minutes, rest = divmod(round(seconds), 60)
    return said("{minutes} min {rest:02d} s", minutes=minutes, rest=rest) if minutes else said("{rest} s", rest=rest)


def print_moment(moment: Moment) -> None:
    line = f"Ani3D: {moment.stage or moment.state} {moment.step}/{moment.total} {time_left(moment.eta)}".rstrip()
    print(line, flush=True)


def look(client: Client, job: str, since: int, last: Moment | None) -> tuple[Moment, int]:
    """Ask the engine for what happened after event `since`; the moment and the number to ask for next."""
    events, since = client.events(job, since=since, timeout=0.2)
    warnings = last.warnings if last else ()
    warnings += tuple(event.message for event in events if event.stage == WARNING)
    steps = [event for event in events if event.stage != WARNING]
    if steps:
        event = steps[-1]
        moment = Moment(job, event.state, event.stage, event.step, event.total, event.eta, event.message, warnings)
        if moment.state not in ENDED:
            return moment, since
    elif last is not None and last.state not in ENDED:
        return replace(last, warnings=warnings), since
    status = client.status(job)
    message = sentence(status.error) if status.error else ""
    return Moment(job, status.state, status.stage, status.step, status.total, status.eta, message, warnings), since


def raise_if_failed(moment: Moment) -> None:
    """Raise `Ani3DError` ``job.failed`` or ``cancelled`` if the job of `moment` ended so."""
    if moment.state == "failed":
        raise Ani3DError("job.failed", said("The job failed: {reason}", reason=moment.message), "")
    if moment.state == "cancelled":
        raise Ani3DError("cancelled", "The job was cancelled.", "Submit the shot again to go on from there.")


def fetch_all(
    client: Client,
    job: str,
    folder: Path,
    on_step: Callable[[Moment], None],
    should_cancel: Callable[[], bool],
) -> list[str]:
    """Fetch every result file of `job` into `folder`; their names."""
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


def sentence(problem: Mapping[str, str]) -> str:
    """An error that the engine sent, as one line."""
    return f"{problem.get('message', '')} {problem.get('hint', '')}".strip()
