"""What becomes of jobs while the engine runs: queued, started, tried again, paused, ended, and what is told of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Set
from dataclasses import replace
from functools import partial
from typing import Any

from ani3d_formats.errors import Ani3DError

from . import job_folders
from .desk import Desk, Park, Task, Work
from .events import EventLog
from .executors import Executor, failed
from .job_table import JobTable, no_files
from .pipe import Outcome, ProgressReport
from .wire import JobStatus
from .wire import messages as m

log = logging.getLogger("engine")

TRIES = 3  # times that a job is begun whose process dies; memory may be short, or a driver at fault
BACK_OFF = 4.0  # times longer that each further try waits
FOLDERS = "folders"  # the desk's lane for small files of jobs, which are written in order
_MAX_LOGS = 256  # jobs whose events are kept in memory after their end

ErrorReply = Callable[[BaseException], m.Error]


class Jobs:
    """The jobs of a table in motion. All of it belongs to the loop's thread.

    Args:
        retry: seconds until a write that found the disk full is tried again, and until a job whose process died is.
        distrust: called with the sha256 of what a job has that found an array changed.
    """

    def __init__(
        self, table: JobTable, executor: Executor, desk: Desk, retry: float, distrust: Callable[[set[str]], None]
    ) -> None:
        self._table = table
        self._executor = executor
        self._desk = desk
        self._distrust = distrust
        self.live: dict[str, JobStatus] = {}  # jobs that run, and those that failed while the disk was full
        self._ended: dict[str, tuple[JobStatus, Outcome]] = {}  # what is still to be stored
        self._storing: set[str] = set()  # those of them that are being stored
        self._logs: dict[str, EventLog] = {}
        self._again: dict[str, float] = {}  # jobs whose process died, and when they are started again
        self._tried: dict[str, int] = {}  # how often they have been
        self._ending: set[str] = set()  # those that run and have been told to stop
        self._retry = retry
        self._retry_at = 0.0

    # ---- asking ----

    def status(self, job: str) -> JobStatus:
        """Where the job stands. Raises Ani3DError `job.unknown`."""
        return self.live.get(job) or self._table.status(job)

    def log(self, job: str) -> EventLog:
        """The job's events; of a job from before the engine's start there is one, its present state."""
        if job not in self._logs:
            status = self.status(job)
            self._logs[job] = EventLog()
            self._logs[job].add(status)
            self._thin_out()
        return self._logs[job]

    def _thin_out(self) -> None:
        """Forget the events of jobs that ended, those asked for least recently, when there are many."""
        for old in list(self._logs)[: -_MAX_LOGS // 2] if len(self._logs) > _MAX_LOGS else []:
            if old not in self.live and old not in self._ended:
                del self._logs[old]

    def check_idle(self, job: str) -> None:
        """Raise Ani3DError `job.active` for a job that waits or runs, `job.unknown` for none."""
        status = self.status(job)
        if status.state in ("queued", "running"):
            raise Ani3DError("job.active", f"Job {job} is {status.state}.", "Cancel it first.")

    def check_stored(self, job: str) -> None:
        """Raise Ani3DError `job.unfinished` for a job of which the table does not know yet how it stands.

        A failure is known before it is stored.
        """
        if job in self.live:
            raise no_files(job, self.live[job].state)

    # ---- changing ----

    def enter(self, job: str, document: dict[str, Any]) -> None:
        """Queue a job whose input is in its folder. Raises Ani3DError `disk.full`."""
        self._table.insert(job, document)
        self._drop(job)
        self._logs[job] = EventLog()
        self._logs[job].add(self._table.status(job))
        self._thin_out()

    def forget(self, job: str) -> None:
        """A job was deleted."""
        self._logs.pop(job, None)
        self._drop(job)

    def _drop(self, job: str) -> None:
        """What an earlier run of the job came to matters no longer."""
        self._ended.pop(job, None)
        self.live.pop(job, None)

    def cancel(self, job: str) -> JobStatus:
        """Stop a job: one that waits at once, one that runs soon; how it stands now."""
        status = self.status(job)
        if status.state == "queued":
            self.log(job)
            status = replace(status, state="cancelled", eta=0.0, paused=False)
            self._table.note(status)
            self._ended[job], self.live[job] = (status, Outcome("cancelled")), status
            self._logs[job].add(status)
        elif job in self._again:
            del self._again[job]
            self._end(job, Outcome("cancelled"))
        elif status.state == "running":
            self._ending.add(job)
            self._executor.cancel(job)
        return status

    def ended(self, job: str) -> Task:
        """Wait until the job has stopped, if it was told to."""
        while job in self._ending:
            yield Park(("ended", job))

    def adjust(self, job: str, priority: int | None, paused: bool | None) -> JobStatus:
        """Another priority for a job, or hold it back, or let it go on; how it stands now."""
        status = self.status(job)
        if paused is not None and job in self.live and not self._executor.freeze(job, paused):
            raise Ani3DError("job.active", "A job that runs cannot be paused on this system.", "Cancel it instead.")
        self._table.adjust(job, priority, paused)
        if job in self.live:
            kept = self._table.status(job)
            self.live[job] = replace(self.live[job], priority=kept.priority, paused=kept.paused)
            self.log(job).add(self.live[job])
            return self.live[job]
        return replace(self._table.status(job), eta=status.eta)

    # ---- workers ----

    def tick(self, explained: ErrorReply, changing: Set[str]) -> None:
        """Read the workers' messages, store what ended, start what waits.

        How an earlier run of jobs ended that are `changing` is not stored: it could come after their new input.
        """
        for job, news in self._executor.poll():
            if isinstance(news, ProgressReport):
                now = self.live[job]
                self.live[job] = replace(now, stage=news.stage, step=news.step, total=news.total, eta=news.eta)
                self.log(job).add(self.live[job], news)
            elif isinstance(news, Outcome) and self._may_try_again(job, news):
                log.warning("job %s is tried again: %s", job, (news.error or {}).get("message"), extra={"job": job})
                self._again[job] = time.monotonic() + self._retry * BACK_OFF ** (self._tried[job] - 1)
            elif isinstance(news, Outcome):
                self._end(job, news)
        if time.monotonic() >= self._retry_at:
            try:
                for job in self._ended.keys() - self._storing - changing:
                    self._desk.begin(self._store(job), partial(self._stored, explained))
                self._start_waiting(explained)
            except Exception as error:
                self._try_later(explained(error))

    def _try_later(self, why: m.Error) -> None:
        log.error("%s", why.message)
        self._retry_at = time.monotonic() + self._retry

    def close(self) -> None:
        """Store what ended, and queue again what was running; after the desk. Raises Ani3DError `disk.full`."""
        for job, ended in list(self._ended.items()):
            self._tell_folder(job, *ended)
            self._note(job, *ended)
        self._table.put_back()

    def _may_try_again(self, job: str, outcome: Outcome) -> bool:
        """Whether the job's process died unasked, and not for the last time."""
        if not outcome.error or outcome.error["code"] != "job.crashed" or job in self._ending:
            return False
        self._tried[job] = self._tried.get(job, 0) + 1
        return self._tried[job] < TRIES

    def _end(self, job: str, outcome: Outcome) -> None:
        """Keep how a job ended. A failure shows at once; success only when its files are in the table."""
        self._tried.pop(job, None)
        status = replace(self.live[job], state=outcome.state, eta=0.0, error=outcome.error, paused=False)
        self._ended[job] = (status, outcome)
        if outcome.error and outcome.error["code"] == "store.corrupt":
            self._distrust(self._table.content(job))
        if outcome.state != "done":
            self.live[job] = status
            self.log(job).add(status)
        self._ending.discard(job)
        self._desk.release(("ended", job))

    def stored(self, job: str) -> Task:
        """Wait until how the job ended is stored, if it ended. Raises Ani3DError `disk.full`."""
        while job in self._storing:
            yield Park(("stored", job))
        yield from self._store(job)

    def _store(self, job: str) -> Task:
        """The folder first, which is synced: whoever is told that the job is done finds it so without the table too."""
        if job not in self._ended:
            return
        ended = self._ended[job]
        self._storing.add(job)
        try:
            yield Work(partial(self._tell_folder, job, *ended), FOLDERS)
            if self._ended.get(job) is ended:
                self._note(job, *ended)
        finally:
            self._storing.discard(job)
            self._desk.release(("stored", job))

    def _stored(self, explained: ErrorReply, _value: None, error: BaseException | None) -> None:
        if error:
            self._try_later(explained(error))

    def _tell_folder(self, job: str, status: JobStatus, outcome: Outcome) -> None:
        told = {name: getattr(status, name) for name in ("state", "stage", "step", "total", "error")}
        job_folders.write_outcome(self._table.folder(job), {**told, "result": outcome.result}, outcome.files)

    def _note(self, job: str, status: JobStatus, outcome: Outcome) -> None:
        self._table.note(status, outcome.result, outcome.files)
        self._drop(job)
        if outcome.state == "done":
            self.log(job).add(status)
        extra = {"job": job, "state": outcome.state, **({"code": outcome.error["code"]} if outcome.error else {})}
        log.info("job %s: %s", job, outcome.state, extra=extra)

    def _start_waiting(self, explained: ErrorReply) -> None:
        for again, when in list(self._again.items()):
            if time.monotonic() >= when and self._executor.has_room and not self.live[again].paused:
                del self._again[again]
                self._start(again, explained)
        while self._executor.has_room and (job := self._table.next_queued()):
            self._table.start(job)
            self.live[job] = self._table.status(job)
            self.log(job).add(self.live[job])
            self._start(job, explained)

    def _start(self, job: str, explained: ErrorReply) -> None:
        try:
            self._executor.start(job, self._table.folder(job))
        except OSError as error:
            why = explained(error)
            self._end(job, failed(Ani3DError(why.code, why.message, why.hint)))
