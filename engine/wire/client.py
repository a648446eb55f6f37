"""A synchronous client: one request, one answer, or a `Ani3DError` within the timeout.

It never starts an engine, and tries again only where it says so. One client per thread; from Blender, never in the
main thread.
"""

from __future__ import annotations

import itertools
import os
import platform
import time
import types
import typing
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from ani3d_formats import early_frames
from ani3d_formats.errors import Ani3DError

from . import codec
from . import messages as m
from .connection import Connection
from .credentials import is_folder_of
from .download import Download, map_file, read_chunks
from .inputs import attach_inputs
from .upload import LOCAL, Upload, chunks, describe, lay

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5817"
_HASH_RATE = 50e6  # bytes a second granted to a submit on top of the timeout: the engine hashes what it has
_ROUNDS = 8  # times that the engine may say what it lacks
PASSING = ("engine.unreachable", "engine.timeout", "engine.refused")  # while an engine starts again
ENDED = ("done", "failed", "cancelled")
PAUSE = 0.2  # seconds between tries to reach it

Reply = TypeVar("Reply", bound=m.Message)


class Client:
    """A connection to one engine.

    Args:
        endpoint: "tcp://HOST:PORT", or the path of an engine's store or ready file.
        timeout: seconds to wait for any one answer.
        token: the engine's; found by itself for an engine of this user (`engine.wire.credentials`).

    Raises (every method):
        Ani3DError: `engine.unreachable`, `engine.refused`, `engine.timeout`, `protocol.*`, or what the engine answered.
    """

    def __init__(self, endpoint: str = DEFAULT_ENDPOINT, timeout: float = 5.0, token: str | None = None) -> None:
        self.timeout = timeout
        self._requests = itertools.count(1)
        self._connection = Connection(endpoint, token)

    @property
    def endpoint(self) -> str:
        """Where the engine is."""
        return self._connection.endpoint

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection; requests in flight are forgotten."""
        self._connection.close()

    # ---- requests ----

    def hello(self) -> m.Welcome:
        """Shake hands: who the engine is. Any request checks the version; this one does nothing else."""
        return self._ask(m.Hello(f"Python {platform.python_version()}"), m.Welcome)

    def ping(self) -> float:
        """Seconds that a message takes there and back."""
        start = time.monotonic()
        self._ask(m.Ping(), m.Pong)
        return time.monotonic() - start

    def prepare(self, preset: str) -> None:
        """Say that a job of this preset is coming: its process starts now, and loads what it needs."""
        self._ask(m.Prepare(preset), m.Done)

    def submit(
        self,
        shot: dict[str, np.ndarray],
        settings: dict[str, Any],
        priority: int = 0,
        on_progress: Callable[[int, int], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> str:
        """Hand in a shot's arrays and the settings; the job's id. The same ones again give the same job.

        Only arrays are sent that the engine lacks, and of one that was cut short the rest. Files of this machine that
        `reference` and `keypoint_map` name are read here and sent along.

        Args:
            priority: -100 to 100; of two jobs that wait the higher one runs first.
            on_progress: called with (bytes sent, bytes to send).
            should_cancel: asked between chunks.

        Raises:
            Ani3DError: also the library's codes (`shot.*`, `settings.*`) for input that is refused, `disk.full`,
                `cancelled`.
        """
        shot, settings = attach_inputs(shot, settings)
        arrays, held = describe(shot)
        patience = sum(data.nbytes for data in held.values()) / _HASH_RATE
        for _ in range(_ROUNDS):
            reply = self._ask(m.Submit(arrays, settings, priority), m.Accepted | m.Wanted, patience)
            if isinstance(reply, m.Accepted):
                return reply.job
            self._put(reply, held, on_progress, should_cancel)
        raise codec.malformed_error("the engine goes on asking for arrays that it was sent")

    def _put(
        self,
        wanted: m.Wanted,
        held: dict[str, memoryview],
        on_progress: Callable[[int, int], None] | None,
        should_cancel: Callable[[], bool] | None,
    ) -> None:
        """Hand over what is wanted: on this machine as files, else in chunks, a few under way at a time.

        Leaves off where the engine does not take one.
        """
        if any(missing.sha256 not in held for missing in wanted.arrays):
            raise codec.malformed_error("the engine asks for an array that it was not told of")
        upload = Upload(sum(len(held[w.sha256]) - w.have for w in wanted.arrays), on_progress, should_cancel)
        under_way: dict[int, m.Put] = {}
        following = chunks(self._laid(wanted, held, upload), held)
        while True:
            while len(under_way) < m.PUT_WINDOW and (put := next(following, None)) is not None:
                under_way[self._send(put)] = put
            if not under_way:
                return
            request = next(iter(under_way))
            if not upload.take(under_way.pop(request), self._receive(request, m.Stored)):
                return

    def _laid(self, wanted: m.Wanted, held: dict[str, memoryview], upload: Upload) -> list[m.Missing]:
        """Lay large arrays into the engine's folder, if that is one of this machine and user; what is left to send.

        The engine syncs one to the disk while the next is written.
        """
        left, asked = [], []
        folder = Path(wanted.folder)
        ours = bool(wanted.folder) and is_folder_of(folder, self._connection.access)
        for missing in wanted.arrays:
            size = len(held[missing.sha256])
            try:
                if not ours or missing.have or size < m.LAID:
                    raise FileNotFoundError
                lay(folder, missing.sha256, held[missing.sha256], upload)
            except OSError:
                left.append(missing)
            else:
                put = m.Put(missing.sha256, size, np.empty(0, np.uint8))
                asked.append((self._send(put), size, missing))
        for request, size, missing in asked:
            if self._receive(request, m.Stored, size / _HASH_RATE).have < size:
                (folder / f"{missing.sha256}{LOCAL}").unlink(missing_ok=True)
                upload.done -= size
                left.append(missing)  # it is to be sent after all
        return left

    def status(self, job: str) -> m.JobStatus:
        """Where the job stands."""
        return self._ask(m.Status(job), m.Job).status

    def jobs(self) -> list[m.JobStatus]:
        """All jobs of the engine's store, newest first."""
        page = self._ask(m.List(""), m.Jobs)
        found = page.jobs
        while page.more and page.jobs:
            page = self._ask(m.List(page.jobs[-1].id), m.Jobs)
            found += page.jobs
        return found

    def adjust(self, job: str, priority: int | None = None, paused: bool | None = None) -> m.JobStatus:
        """Give a job another priority (-100 to 100), hold it back or let it go on; how it stands now.

        One that runs stands still where it is, and keeps its memory.
        """
        return self._ask(m.Adjust(job, priority, paused), m.Job).status

    def events(self, job: str, since: int = 0, timeout: float = 0.2) -> tuple[list[m.Event], int]:
        """The job's events from number `since` on, and the number to ask for next.

        Waits up to `timeout` seconds (at most 10) for one to come; an empty list when none did.
        """
        wait = min(max(timeout, 0.0), m.MAX_WAIT)
        reply = self._ask(m.Watch(job, since, wait), m.Events, wait)
        return reply.events, reply.next_since

    def follow(self, job: str, patience: float = 60.0) -> Iterator[m.Event]:
        """The job's events from the first on, until it has ended.

        An engine that is gone or silent meanwhile is waited for, `patience` seconds at most: jobs outlive it. What a
        new one tells starts again with the job's present state.

        Raises:
            Ani3DError: also `engine.unreachable` or `engine.timeout` when it does not come back.
        """
        since, last = 0, time.monotonic()
        while True:
            try:
                events, since = self.events(job, since, timeout=2.0)
            except Ani3DError as error:
                if error.code not in PASSING or time.monotonic() - last > patience:
                    raise
                time.sleep(PAUSE)
                continue
            last = time.monotonic()
            yield from events
            if events and events[-1].state in ENDED:
                return

    def cancel(self, job: str) -> m.JobStatus:
        """Ask the job to stop, which takes up to 1 s; a finished job stays as it is."""
        return self._ask(m.Cancel(job), m.Job).status

    def files(self, job: str) -> list[m.FileInfo]:
        """The result files of a job that is done."""
        return self._ask(m.Files(job), m.Listing).files

    def early_frames(self, job: str, vertices: int) -> np.ndarray:
        """The frames (K,V,3) that a job of cloth alone has ready while it works, of so many vertices, places as in the
        shot; none where it has none to show."""
        ready = early_frames.ready_of(self._early(job, 0, early_frames.HEADER.size))
        data, wanted = b"", ready * vertices * 12
        while len(data) < wanted:
            size = min(m.MAX_CHUNK_BYTES, wanted - len(data))
            more = self._early(job, early_frames.HEADER.size + len(data), size)
            if not more:  # the job has ended meanwhile
                return np.zeros((0, vertices, 3), np.float32)
            data += more
        return np.frombuffer(data, "<f4").reshape(ready, vertices, 3)

    def _early(self, job: str, offset: int, size: int) -> bytes:
        return self._ask(m.Fetch(job, early_frames.NAME, offset, size), m.Frame).data.tobytes()

    def delete(self, job: str) -> None:
        """Forget a job that is not queued or running, and remove its files from the engine's store."""
        self._ask(m.Delete(job), m.Done)

    def shutdown(self) -> None:
        """Stop the engine and its workers; a running job starts again with the next engine."""
        self._ask(m.Shutdown(), m.Done)

    def fetch(
        self,
        job: str,
        name: str,
        destination: Path,
        on_progress: Callable[[int, int], None] | None = None,
        should_cancel: Callable[[], bool] | None = None,
    ) -> Path:
        """Bring the result file `name` to the path `destination`; that path.

        The file appears there whole or not at all: chunks go to a hidden file beside it, which is renamed once
        its sha256 is right. Folders on the way are made.

        Args:
            on_progress: called with (bytes so far, bytes in all).
            should_cancel: asked between chunks.

        Raises:
            Ani3DError: also `file.unknown`, `file.corrupt`, `disk.full`, `cancelled`.
        """
        listing = self._ask(m.Files(job), m.Listing)
        info = _named(listing, job, name)
        with Download(destination, info) as download:
            here = _here(listing, info)
            chunks = read_chunks(here, info) if here else self._fetched(job, info)
            for chunk in chunks:
                if should_cancel and should_cancel():
                    raise Ani3DError("cancelled", f"Fetching {name} was cancelled.", "Fetch it again when you like.")
                download.write(chunk)
                if on_progress:
                    on_progress(download.written, info.size)
        return destination

    def mapped(self, job: str, name: str) -> memoryview | None:
        """The bytes of a result file where the engine keeps it, not copied; None where it is on another machine.

        They are checked against their sha256, and stay readable although the job is deleted.

        Raises:
            Ani3DError: also `file.unknown`, `file.corrupt`.
        """
        listing = self._ask(m.Files(job), m.Listing)
        info = _named(listing, job, name)
        here = _here(listing, info)
        return map_file(here, info) if here else None

    def _fetched(self, job: str, info: m.FileInfo) -> Iterator[memoryview]:
        """A file's bytes in order as they come over the wire, a few chunks under way at a time."""
        asked: dict[int, m.Fetch] = {}  # by request
        early: dict[int, memoryview] = {}  # what came before its turn, by its offset
        offset = ahead = 0

        def ask(start: int, size: int) -> None:
            fetch = m.Fetch(job, info.name, start, size)
            asked[self._send(fetch)] = fetch

        while offset < info.size:
            while len(asked) + len(early) < m.FETCH_WINDOW and ahead < info.size:
                ask(ahead, min(m.MAX_CHUNK_BYTES, info.size - ahead))
                ahead += min(m.MAX_CHUNK_BYTES, info.size - ahead)
            while offset not in early:
                request, frame = self._receive_one(asked, m.Frame)
                fetch, data = asked.pop(request), frame.data.data
                if frame.offset != fetch.offset or not 0 < len(data) <= fetch.size:
                    said = f"{len(data)} bytes of offset {frame.offset} came for {fetch.size} of {fetch.offset}"
                    raise codec.malformed_error(said)
                early[fetch.offset] = data
                if len(data) < fetch.size:  # the engine has much under way to others
                    ask(fetch.offset + len(data), fetch.size - len(data))
            data = early.pop(offset)
            offset += len(data)
            yield data

    # ---- one request, one answer ----

    def _ask(self, message: m.Message, expected: type[Reply] | types.UnionType, patience: float = 0.0) -> Reply:
        return self._receive(self._send(message), expected, patience)

    def _send(self, message: m.Message) -> int:
        request = next(self._requests)
        self._connection.send(codec.encode(message, request))
        return request

    def _receive(self, request: int, expected: type[Reply] | types.UnionType, patience: float = 0.0) -> Reply:
        return self._receive_one((request,), expected, patience)[1]

    def _receive_one(
        self, requests: Container[int], expected: type[Reply] | types.UnionType, patience: float = 0.0
    ) -> tuple[int, Reply]:
        """The first answer to any of `requests`, and to which; answers to requests given up earlier are passed over."""
        deadline = time.monotonic() + self.timeout + patience
        while (frames := self._connection.receive(deadline - time.monotonic())) is not None:
            header = codec.read_header(frames)
            # Request 0 is the engine's answer to a message in which it found no id.
            if header.request and header.request not in requests:
                continue
            reply = codec.decode(header, frames[1:], m.REPLIES)
            if isinstance(reply, m.Error):
                raise Ani3DError(reply.code, reply.message, reply.hint)
            if not isinstance(reply, expected):
                raise codec.malformed_error(f"a '{reply.kind}' came where another answer was due")
            return header.request, typing.cast(Reply, reply)
        raise Ani3DError(
            "engine.timeout",
            f"What listens at {self.endpoint} gave no answer in {self.timeout + patience:g} s.",
            "See that it is an Ani3DHuman engine, and look at its log; it may be busy or stopped.",
        )


def _named(listing: m.Listing, job: str, name: str) -> m.FileInfo:
    info = next((f for f in listing.files if f.name == name), None)
    if info is None:
        raise Ani3DError("file.unknown", f"Job {job} has no file '{name}'.", "Ask for the list of its files.")
    return info


def _here(listing: m.Listing, info: m.FileInfo) -> Path | None:
    """Where the file lies if the engine is on this machine; what lies there is checked like what is sent."""
    path = Path(listing.folder, info.name)
    try:
        found = bool(listing.folder) and path.stat().st_size == info.size and os.access(path, os.R_OK)
    except OSError:
        return None
    return path if found else None
