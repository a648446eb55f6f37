"""A file on its way from the engine: it appears whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import mmap
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ani3d_formats.atomic import WrittenWhole, atomic_path, cannot_write, disk_full
from ani3d_formats.errors import Ani3DError

from .messages import FileInfo

_PIECE = 1 << 20  # bytes read at a time


def corrupt(info: FileInfo) -> Ani3DError:
    """The error for bytes that are not those of the job."""
    return Ani3DError(
        "file.corrupt",
        f"{info.name} arrived with other bytes than the job wrote.",
        "Delete the job and submit the shot again.",
    )


def read_chunks(path: Path, info: FileInfo) -> Iterator[memoryview]:
    """The bytes of a file on this machine. Raises Ani3DError `file.corrupt` where they cannot be read."""
    try:
        with open(path, "rb") as file:
            while data := file.read(_PIECE):
                yield memoryview(data)
    except OSError as error:
        raise corrupt(info) from error


def map_file(path: Path, info: FileInfo) -> memoryview:
    """The bytes of a file on this machine where they lie. Raises Ani3DError `file.corrupt`."""
    try:
        with open(path, "rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if info.size else b"")
    except (OSError, ValueError) as error:
        raise corrupt(info) from error
    if hashlib.sha256(data).hexdigest() != info.sha256:
        raise corrupt(info)
    return data


class Hasher:
    """SHA-256 of chunks, counted on a thread of its own while the next ones come."""

    UNDER_WAY = 4  # chunks at most
    LARGE = 1 << 16  # bytes from which on a chunk is worth the thread

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1, "hash")
        self._waiting: deque[Future[None]] = deque()

    def update(self, chunk: memoryview) -> None:
        """Count a chunk, which is not to be changed from now on."""
        if not self._waiting and chunk.nbytes < self.LARGE:
            self._digest.update(chunk)
            return
        if len(self._waiting) == self.UNDER_WAY:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._digest.update, chunk))

    def hexdigest(self) -> str:
        """The SHA-256 of all chunks; the last call."""
        self._pool.shutdown()
        return self._digest.hexdigest()


class Download(WrittenWhole):
    """Writes chunks to a hidden file beside `destination`, and publishes it at the end if the sha256 is right.

    Raises:
        Ani3DError: `disk.full` before the first byte or at any later one, `file.unwritable`; `file.corrupt` at the end.
    """

    def __init__(self, destination: Path, info: FileInfo) -> None:
        self.destination = destination
        self.info = info
        self.written = 0
        self._hash = Hasher()

    def write(self, chunk: memoryview) -> None:
        """Append `chunk`."""
        self._hash.update(chunk)
        self._file.write(chunk)
        self.written += chunk.nbytes

    @contextmanager
    def _write_whole(self) -> Iterator[None]:
        try:
            with atomic_path(self.destination, self.info.size) as partial:
                if shutil.disk_usage(partial.parent).free < self.info.size:
                    raise disk_full(self.destination, self.info.size)
                with open(partial, "wb") as self._file:
                    yield
                if self._hash.hexdigest() != self.info.sha256:
                    raise corrupt(self.info)
        except OSError as error:
            raise cannot_write(self.destination, error, self.info.size) from error
