"""The engine's loop: one ROUTER socket, one thread; requests in, answers out, workers' news in between.

Nothing a client sends can stop it: whatever goes wrong with a request becomes an `error` answer. What takes long -
hashing, reading, writing, syncing, deleting - is done at the desk, so that others do not wait.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ani3d_formats import early_frames
from ani3d_formats.atomic import disk_full, is_disk_full
from ani3d_formats.errors import Ani3DError
from ani3dhuman import __version__
from ani3dhuman.models.store import installed_priors

from . import job_folders
from .authentication import Gate
from .desk import Desk, Park, Task, Work
from .device_report import describe_device
from .executors import Executor
from .health import Health
from .intake import Intake
from .job_table import MAX_ERROR, JobTable
from .jobs import FOLDERS, Jobs
from .result_files import Buffers, is_whole, read_at_once, read_early, read_part
from .router import Front
from .uploads import Uploads
from .wire import PROTOCOL_VERSION, Welcome, codec
from .wire import messages as m

log = logging.getLogger("engine")

_TICK = 200  # milliseconds between looks at the workers' limits; their messages wake the loop
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
            for its second try, and longer for its third.
        gate: who may talk to the engine; by default whoever has its new token.
        allowed: folders on this machine that settings may name.

    Raises:
        Ani3DError: `engine.address`.
    """

    def __init__(
        self,
        table: JobTable,
        executor: Executor,
        job: str = "engine.job",
        host: str = "127.0.0.1",
        port: int = 0,
        retry: float = 1.0,
        gate: Gate | None = None,
        allowed: Sequence[Path] = (),
    ) -> None:
        self._table = table
        self._executor = executor
        self._uploads = Uploads(table.root / "incoming", table.blobs)
        self._intake = Intake(self._uploads, job, __version__, allowed)
        self._buffers = Buffers()
        self._watchers: list[_Watcher] = []
        self._changing: set[str] = set()  # jobs that a submission is about to queue, or that are being deleted
        self._stopping = False
        self._device = describe_device()
        self._health = Health(table.root)
        self._front = Front(gate or Gate(), host, port, self._answer)
        self.access = self._front.access
        # on this machine a client may read results where they lie; which machine another one is on is not known
        self._is_here = ipaddress.ip_address(self.access.endpoint[6:].rpartition(":")[0]).is_loopback
        self._desk = Desk(self._front.wake)
        self._jobs = Jobs(table, executor, self._desk, retry, self._uploads.distrust)
        executor.on_news = self._front.wake
        for again in table.recover():
            log.info("job %s was interrupted and is queued again", again, extra={"job": again, "state": "queued"})

    def run(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Serve until a client asks for shutdown or `should_stop` says so; then end all workers."""
        try:
            while not self._stopping and not should_stop():
                if self._front.poll(_TICK):
                    self._answer_waiting()
                self._desk.go_on()
                self._front.go_on()
                self._jobs.tick(error_reply, self._changing)
                self._answer_watchers()
        finally:
            self._executor.stop()
            self._desk.close()
            try:
                self._jobs.close()
            except Exception as error:  # a full disk; the next start queues again what is running
                log.error("%s", error_reply(error).message)
            self._front.close()

    # ---- requests ----

    def _answer_waiting(self) -> None:
        for _ in range(_BATCH):
            received = self._front.receive()
            if received is None:
                return
            self._front.take(*received)

    def _answer(self, client: bytes, frames: list[codec.Part]) -> None:
        """Answer a message now, or begin what will."""
        request = 0
        try:
            request = codec.peek(frames)[1]
            header = codec.read_header(frames)
            message = codec.decode(header, frames[1:], m.REQUESTS)
            if isinstance(message, m.Fetch):
                message = replace(message, size=self._front.share(client, message.size))
            reply = self._handle(client, request, message)
        except Exception as error:
            reply = error_reply(error)
        if isinstance(reply, m.Message):
            self._front.send(client, reply, request)
        elif reply is not None:
            size = message.size if isinstance(message, m.Fetch) else 0
            self._front.begin(client, size)
            self._desk.begin(reply, partial(self._finish, client, request, size))

    def _finish(self, client: bytes, request: int, size: int, reply: m.Message, error: BaseException | None) -> None:
        self._front.end(client, size)
        self._front.send(client, error_reply(error) if error else reply, request)

    def _handle(self, client: bytes, request: int, message: m.Message) -> m.Message | Task | None:
        """The answer to `message`, the task that makes it, or None when it comes later."""
        match message:
            case m.Hello():
                health = self._health.report(sum(job.state == "running" for job in self._jobs.live.values()))
                return Welcome(PROTOCOL_VERSION, __version__, self._device, os.getpid(), installed_priors(), health)
            case m.Ping():
                return m.Pong()
            case m.Prepare():
                self._executor.prepare(message.preset)
                return m.Done()
            case m.Submit():
                return self._submit(client, message)
            case m.Put():
                return self._put(client, message)
            case m.Watch():
                self._jobs.status(message.job)
                self._watchers.append(_Watcher(client, request, message, time.monotonic() + message.wait))
                if len(self._watchers) > m.MAX_WATCHES:  # the one held longest is told that nothing came
                    self._watchers[0] = replace(self._watchers[0], deadline=0.0)
                return None
            case m.Status():
                return m.Job(self._jobs.status(message.job))
            case m.List():
                listed, more = self._table.jobs(message.after)
                return m.Jobs([self._jobs.live.get(status.id, status) for status in listed], more)
            case m.Cancel():
                return m.Job(self._jobs.cancel(message.job))
            case m.Adjust():
                return m.Job(self._jobs.adjust(message.job, message.priority, message.paused))
            case m.Files():
                self._jobs.check_stored(message.job)
                files = self._table.files(message.job)
                return m.Listing(files, str(self._table.result(message.job)) if self._is_here else "")
            case m.Fetch():
                return self._fetch(client, message)
            case m.Delete():
                return self._delete(message.job)
            case m.Shutdown():
                self._stopping = True
                return m.Done()
        raise codec.malformed_error(f"nothing answers a '{message.kind}'")

    def _submit(self, client: bytes, message: m.Submit) -> Task:
        found = yield Work(partial(self._intake.look, message, self._is_here), client)
        if isinstance(found, m.Wanted):
            return found
        job = found.id
        while job in self._changing:
            yield Park(job)
        self._changing.add(job)
        try:
            yield from self._jobs.ended(job)
            with suppress(Exception):  # ended while the disk was full: submitted again as soon as it is not
                yield from self._jobs.stored(job)
            state = self._jobs.status(job).state if self._table.known(job) else ""
            if state == "done":
                files, folder = self._table.files(job), self._table.result(job)
                if (yield Work(partial(is_whole, folder, files))):
                    return m.Accepted(job, state, True)
            elif state in ("queued", "running"):
                return m.Accepted(job, state, True)
            document = {**found.document, "submitted": self._table.next_moment()}
            yield Work(partial(job_folders.write_input, self._table.folder(job), document), FOLDERS)
            self._jobs.enter(job, document)
        finally:
            self._changing.discard(job)
            self._desk.release(job)
        return m.Accepted(job, "queued", False)

    def _put(self, client: bytes, message: m.Put) -> Task:
        digest = message.sha256
        have = yield Work(partial(self._uploads.put, digest, message.offset, message.data.data), client)
        return m.Stored(digest, have)

    def _fetch(self, client: bytes, message: m.Fetch) -> Task:
        if message.name == early_frames.NAME:
            self._jobs.status(message.job)
            path = self._table.folder(message.job) / "out" / early_frames.NAME
            data = yield Work(partial(read_early, path, message.offset, message.size), client)
        else:
            self._jobs.check_stored(message.job)
            path = self._table.place(message.job, message.name, message.offset, message.size)
            data = self._buffers.take(message.size)
            if not read_at_once(path, message.offset, data):
                yield Work(partial(read_part, path, message.offset, data), client)
        return m.Frame(message.offset, np.frombuffer(data, np.uint8))

    def _delete(self, job: str) -> Task:
        while job in self._changing:
            yield Park(job)
        self._changing.add(job)
        try:
            with suppress(Exception):  # a full disk: deleting makes room
                yield from self._jobs.stored(job)
            self._jobs.check_idle(job)
            digests = self._table.content(job)
            yield Work(partial(shutil.rmtree, self._table.set_aside(job), ignore_errors=True))
            unused = {one for one in self._table.unused(digests, job) if not self._uploads.is_expected(one)}
            yield Work(partial(self._table.blobs.remove, unused))
            self._table.forget(job)
            self._jobs.forget(job)
        finally:
            self._changing.discard(job)
            self._desk.release(job)
        return m.Done()

    def _answer_watchers(self) -> None:
        held, self._watchers = self._watchers, []
        for watcher in held:
            try:
                events, following = self._jobs.log(watcher.watch.job).since(watcher.watch.since)
                reply: m.Message = m.Events(events, following)
                if not events and time.monotonic() < watcher.deadline and not self._stopping:
                    self._watchers.append(watcher)
                    continue
            except Ani3DError as error:  # the job was deleted meanwhile
                reply = error_reply(error)
            self._front.send(watcher.client, reply, watcher.request)


def error_reply(error: BaseException) -> m.Error:
    """The `error` message for an exception."""
    if isinstance(error, OSError) and is_disk_full(error):
        name = getattr(error, "filename", None)
        error = disk_full(Path(name) if name else Path.cwd())
    if isinstance(error, FileNotFoundError):  # the engine makes what it needs: others took it away
        log.warning("gone from the store", exc_info=error)
        text = f"{error.filename} is gone: something removed it from the engine's store while the engine ran."
        error = Ani3DError("store.gone", text, "Restart the engine, and submit the shot again.")
    if isinstance(error, Ani3DError):
        return m.Error(error.code, error.message[:MAX_ERROR], error.hint[:MAX_ERROR])
    log.error("an error of the engine itself", exc_info=error)
    text = f"The engine met an error of its own: {type(error).__name__}: {error}."[:MAX_ERROR]
    return m.Error("engine.internal", text, "Its log says where.")
