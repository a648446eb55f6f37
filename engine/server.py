"""The engine's loop: one ROUTER socket, one thread; requests in, answers out, workers polled in between.

Nothing a client sends can stop it: whatever goes wrong with a request becomes an `error` answer.
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats import early_frames
from ani3d_formats.atomic import disk_full, is_disk_full
from ani3d_formats.errors import Ani3DError
from ani3dhuman import __version__
from ani3dhuman.models.store import installed_priors

from .authentication import Gate
from .device import describe_device
from .events import EventLog
from .executors import LocalProcesses
from .inputs import check_paths, what_files_hold
from .job_table import MAX_ERROR, JobTable
from .pipe import Outcome, ProgressReport
from .router import Front, Reply
from .wire import PROTOCOL_VERSION, JobStatus, Welcome, codec
from .wire import messages as m

log = logging.getLogger("engine")

_TICK = 200  # milliseconds between looks at the workers' limits; their messages wake the loop
_TRIES = 3  # times that a job is begun whose process dies; memory may be short, or a driver at fault
_BACK_OFF = 4.0  # times longer that each further try waits
_BATCH = 64  # requests answered before the workers are polled


@dataclass(frozen=True)
class _Watcher:
    """A `watch` request without events yet, held until there are some or its time is over."""

    client: bytes
    request: int
    watch: m.Watch
    deadline: float


class Server:
    """Serves the jobs of a table on a loopback port.

    Args:
        table: the jobs; what was running in it is queued again.
        executor: where jobs run.
        job: name of the job module, see `engine.job`.
        host, port: address to listen at; port 0 takes any free one, `access` says which and what opens it.
        retry: seconds until a write that found the disk full is tried again; a job whose process died waits so long
            for its second try, and `_BACK_OFF` times that for its third.
        gate: who may talk to the engine; by default whoever has its new token.
        allowed: folders on this machine that settings may name.

    Raises:
        Ani3DError: `engine.address`.
    """

    def __init__(
        self,
        table: JobTable,
        executor: LocalProcesses,
        job: str = "engine.job",
        host: str = "127.0.0.1",
        port: int = 0,
        retry: float = 1.0,
        gate: Gate | None = None,
        allowed: Sequence[Path] = (),
    ) -> None:
        self._allowed = allowed
        self._table = table
        self._executor = executor
        self._check: Callable[[dict[str, np.ndarray], dict[str, Any]], str] = importlib.import_module(job).check
        self._live: dict[str, JobStatus] = {}  # jobs that run, and those that failed while the disk was full
        self._ended: dict[str, tuple[JobStatus, Outcome]] = {}  # what is still to be stored
        self._logs: dict[str, EventLog] = {}
        self._watchers: list[_Watcher] = []
        self._again: dict[str, float] = {}  # jobs whose process died, and when they are started again
        self._tried: dict[str, int] = {}  # how often they have been
        self._retry = retry
        self._retry_at = 0.0
        self._stopping = False
        self._device = describe_device()
        self._front = Front(gate or Gate(), host, port)
        executor.on_news = self._front.wake
        self.access = self._front.access
        for again in table.recover():
            log.info("job %s was interrupted and is queued again", again)

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Serve until a client asks for shutdown or `should_stop` says so; then end all workers."""
        try:
            while not self._stopping and not should_stop():
                if self._front.poll(_TICK):
                    self._answer_waiting()
                self._front.go_on()
                self._tick()
        finally:
            self._executor.stop()
            try:
                self._store_ended()
                self._table.put_back()
            except Exception as error:  # a full disk; the next start queues again what is running
                log.error("%s", _error_reply(error).message)
            self._front.close()

    # ---- requests ----

    def _answer_waiting(self) -> None:
        for _ in range(_BATCH):
            received = self._front.receive()
            if received is None:
                return
            self._answer(*received)

    def _answer(self, client: bytes, frames: list[memoryview]) -> None:
        request = 0
        try:
            request = codec.peek(frames)[1]
            header = codec.read_header(frames)
            message = codec.decode(header, frames[1:], m.REQUESTS)
        except Exception as error:
            reply: Reply = partial(_error_reply, error)
        else:
            reply = partial(self._reply, client, request, message)
        self._front.answer(client, request, reply, sum(frame.nbytes for frame in frames))

    def _reply(self, client: bytes, request: int, message: m.Message) -> m.Message | None:
        try:
            return self._handle(client, request, message)
        except Exception as error:
            return _error_reply(error)

    def _handle(self, client: bytes, request: int, message: m.Message) -> m.Message | None:
        """The answer to `message`, or None when it comes later."""
        match message:
            case m.Hello():
                return Welcome(PROTOCOL_VERSION, __version__, self._device, os.getpid(), installed_priors())
            case m.Ping():
                return m.Pong()
            case m.Submit():
                return self._submit(message)
            case m.Watch():
                self._status(message.job)
                self._watchers.append(_Watcher(client, request, message, time.monotonic() + message.wait))
                if len(self._watchers) > m.MAX_WATCHES:  # the one held longest is told that nothing came
                    self._watchers[0] = replace(self._watchers[0], deadline=0.0)
                return None
            case m.Status():
                return m.Job(self._status(message.job))
            case m.List():
                return m.Jobs([self._live.get(status.id, status) for status in self._table.jobs()])
            case m.Cancel():
                return m.Job(self._cancel(message.job))
            case m.Files():
                return m.Listing(self._table.files(message.job))
            case m.Fetch():
                if message.name == early_frames.NAME:
                    data = self._table.read_early(message.job, message.offset, message.size)
                else:
                    data = self._table.read(message.job, message.name, message.offset, message.size)
                return m.Frame(message.offset, np.frombuffer(data, np.uint8))
            case m.Delete():
                return self._delete(message.job)
            case m.Shutdown():
                self._stopping = True
                return m.Done()
        raise codec.malformed_error(f"nothing answers a '{message.kind}'")

    def _submit(self, message: m.Submit) -> m.Accepted:
        with suppress(Exception):  # what ended while the disk was full may be submitted again as soon as it is not
            self._store_ended()
        check_paths(message.shot, message.settings, self._allowed)
        try:
            name = self._check(message.shot, message.settings)
        except (Ani3DError, OSError, MemoryError):
            raise
        except Exception as error:
            raise codec.malformed_error(
                f"the shot or its settings cannot be read ({type(error).__name__}: {error})"
            ) from error
        job, found = self._table.submit(name, message.shot, message.settings, what_files_hold(message.settings))
        if not found:
            self._logs[job] = EventLog()
            self._logs[job].add(self._table.status(job))
        return m.Accepted(job, self._status(job).state, found)

    def _cancel(self, job: str) -> JobStatus:
        status = self._status(job)
        if status.state == "queued":
            self._log(job)
            status = replace(status, state="cancelled", eta=0.0)
            self._table.finish(status)
            self._logs[job].add(status)
        elif job in self._again:
            del self._again[job]
            self._end(job, Outcome("cancelled"))
        elif status.state == "running":
            self._executor.cancel(job)
        return status

    def _delete(self, job: str) -> m.Done:
        status = self._status(job)
        if status.state in ("queued", "running") or job in self._live:
            raise Ani3DError("job.active", f"Job {job} is {status.state}.", "Cancel it first.")
        self._table.delete(job)
        self._logs.pop(job, None)
        return m.Done()

    def _status(self, job: str) -> JobStatus:
        return self._live.get(job) or self._table.status(job)

    def _log(self, job: str) -> EventLog:
        """The job's events; of a job from before the engine's start there is one, its present state."""
        if job not in self._logs:
            self._logs[job] = EventLog()
            self._logs[job].add(self._status(job))
        return self._logs[job]

    # ---- workers ----

    def _tick(self) -> None:
        """Read the workers' messages, store what ended, start what waits, answer watchers."""
        for job, news in self._executor.poll():
            if isinstance(news, ProgressReport):
                self._live[job] = replace(
                    self._live[job], stage=news.stage, step=news.step, total=news.total, eta=news.eta
                )
                self._log(job).add(self._live[job], news)
            elif isinstance(news, Outcome) and self._may_try_again(job, news):
                log.warning("job %s is tried again: %s", job, (news.error or {}).get("message"))
                self._again[job] = time.monotonic() + self._retry * _BACK_OFF ** (self._tried[job] - 1)
            elif isinstance(news, Outcome):
                self._end(job, news)
        if time.monotonic() >= self._retry_at:
            try:
                self._store_ended()
                self._start_waiting()
            except Exception as error:
                log.error("%s", _error_reply(error).message)
                self._retry_at = time.monotonic() + self._retry
        self._answer_watchers()

    def _may_try_again(self, job: str, outcome: Outcome) -> bool:
        """Whether the job's process died, and not for the last time."""
        if not outcome.error or outcome.error["code"] != "job.crashed":
            return False
        self._tried[job] = self._tried.get(job, 0) + 1
        return self._tried[job] < _TRIES

    def _end(self, job: str, outcome: Outcome) -> None:
        """Keep how a job ended. A failure shows at once; success only when its files are in the table."""
        self._tried.pop(job, None)
        status = replace(self._live[job], state=outcome.state, eta=0.0, error=outcome.error)
        self._ended[job] = (status, outcome)
        if outcome.state != "done":
            self._live[job] = status
            self._log(job).add(status)

    def _store_ended(self) -> None:
        """Store how jobs ended. Raises Ani3DError `disk.full`; what could not be stored is tried again later."""
        for job, (status, outcome) in list(self._ended.items()):
            self._table.finish(status, outcome.result, outcome.files)
            del self._ended[job], self._live[job]
            if outcome.state == "done":
                self._log(job).add(status)
            log.info("job %s: %s", job, outcome.state)

    def _start_waiting(self) -> None:
        for again, when in list(self._again.items()):
            if time.monotonic() >= when and self._executor.has_room:
                del self._again[again]
                self._start(again)
        while self._executor.has_room and (job := self._table.next_queued()):
            self._table.start(job)
            self._live[job] = self._table.status(job)
            self._log(job).add(self._live[job])
            self._start(job)
            self._store_ended()

    def _start(self, job: str) -> None:
        try:
            self._executor.start(job, self._table.folder(job))
        except OSError as error:
            why = _error_reply(error)
            detail = {"code": why.code, "message": why.message, "hint": why.hint}
            self._end(job, Outcome("failed", detail))

    def _answer_watchers(self) -> None:
        held, self._watchers = self._watchers, []
        for watcher in held:
            try:
                self._status(watcher.watch.job)
                events, following = self._log(watcher.watch.job).since(watcher.watch.since)
                reply: m.Message = m.Events(events, following)
                if not events and time.monotonic() < watcher.deadline and not self._stopping:
                    self._watchers.append(watcher)
                    continue
            except Ani3DError as error:  # the job was deleted meanwhile
                reply = _error_reply(error)
            self._front.answer(watcher.client, watcher.request, partial(_same, reply))


def _same(reply: m.Message) -> m.Message:
    return reply


def _error_reply(error: Exception) -> m.Error:
    """The `error` message for an exception."""
    if is_disk_full(error):
        name = getattr(error, "filename", None)
        error = disk_full(Path(name) if name else Path.cwd())
    if isinstance(error, Ani3DError):
        return m.Error(error.code, error.message[:MAX_ERROR], error.hint[:MAX_ERROR])
    log.error("an error of the engine itself", exc_info=error)
    text = f"The engine met an error of its own: {type(error).__name__}: {error}."[:MAX_ERROR]
    return m.Error("engine.internal", text, "Its log says where.")
