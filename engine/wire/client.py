"""A synchronous client: one request, one answer, or a `Ani3DError` within the timeout.

It never retries and never starts an engine. One client per thread; from Blender, never in the main thread.
"""

from __future__ import annotations

import itertools
import platform
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from ani3d_formats import early_frames
from ani3d_formats.errors import Ani3DError

from . import codec
from . import messages as m
from .connection import Connection
from .download import Download
from .inputs import attach_inputs

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5817"
_UPLOAD_RATE = 20e6  # bytes a second granted to a submit on top of the timeout: the engine hashes and stores

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

    def submit(self, shot: dict[str, np.ndarray], settings: dict[str, Any]) -> str:
        """Hand in a shot's arrays and the settings; the job's id. The same ones again give the same job.

        Files of this machine that `reference` and `keypoint_map` name are read here and sent along.

        Raises:
            Ani3DError: also the library's codes (`shot.*`, `settings.*`) for input that is refused, `disk.full`.
        """
        shot, settings = attach_inputs(shot, settings)
        size = sum(np.asarray(array).nbytes for array in shot.values())
        return self._ask(m.Submit(shot, settings), m.Accepted, size / _UPLOAD_RATE).job

    def status(self, job: str) -> m.JobStatus:
        """Where the job stands."""
        return self._ask(m.Status(job), m.Job).status

    def jobs(self) -> list[m.JobStatus]:
        """All jobs of the engine's store, newest first."""
        return self._ask(m.List(), m.Jobs).jobs

    def events(self, job: str, since: int = 0, timeout: float = 0.2) -> tuple[list[m.Event], int]:
        """The job's events from number `since` on, and the number to ask for next.

        Waits up to `timeout` seconds (at most 10) for one to come; an empty list when none did.
        """
        wait = min(max(timeout, 0.0), m.MAX_WAIT)
        reply = self._ask(m.Watch(job, since, wait), m.Events, wait)
        return reply.events, reply.next_since

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
            if len(more) < size:  # the job has ended meanwhile
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
        info = next((f for f in self.files(job) if f.name == name), None)
        if info is None:
            raise Ani3DError("file.unknown", f"Job {job} has no file '{name}'.", "Ask for the list of its files.")
        with Download(destination, info) as download:
            offsets = range(0, info.size, m.MAX_CHUNK_BYTES)
            asked: dict[int, int] = {}  # request id -> offset; its size is the credit in use
            following = iter(offsets)
            for offset in offsets:
                if should_cancel and should_cancel():
                    raise Ani3DError("cancelled", f"Fetching {name} was cancelled.", "Fetch it again when you like.")
                while len(asked) < m.FETCH_WINDOW and (ahead := next(following, None)) is not None:
                    asked[self._send(m.Fetch(job, name, ahead, min(m.MAX_CHUNK_BYTES, info.size - ahead)))] = ahead
                request = next(iter(asked))
                frame = self._receive(request, m.Frame)
                del asked[request]
                if frame.offset != offset:
                    raise codec.malformed_error(f"a frame of offset {frame.offset} came in the place of {offset}")
                download.write(frame.data.data)
                if on_progress:
                    on_progress(download.written, info.size)
        return destination

    # ---- one request, one answer ----

    def _ask(self, message: m.Message, expected: type[Reply], patience: float = 0.0) -> Reply:
        return self._receive(self._send(message), expected, patience)

    def _send(self, message: m.Message) -> int:
        request = next(self._requests)
        self._connection.send(codec.encode(message, request))
        return request

    def _receive(self, request: int, expected: type[Reply], patience: float = 0.0) -> Reply:
        """The answer to `request`; answers to requests given up earlier are passed over."""
        deadline = time.monotonic() + self.timeout + patience
        while (frames := self._connection.receive(deadline - time.monotonic())) is not None:
            header = codec.read_header(frames)
            # Request 0 is the engine's answer to a message in which it found no id.
            if header.request not in (request, 0):
                continue
            reply = codec.decode(header, frames[1:], m.REPLIES)
            if isinstance(reply, m.Error):
                raise Ani3DError(reply.code, reply.message, reply.hint)
            if not isinstance(reply, expected):
                raise codec.malformed_error(f"a '{reply.kind}' came where a '{expected.kind}' was due")
            return reply
        raise Ani3DError(
            "engine.timeout",
            f"What listens at {self.endpoint} gave no answer in {self.timeout + patience:g} s.",
            "See that it is an Ani3DHuman engine, and look at its log; it may be busy or stopped.",
        )
