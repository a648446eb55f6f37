"""Reading what jobs wrote."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import file_sha256

from .wire import FileInfo
from .wire.messages import FETCH_WINDOW, MAX_CHUNK_BYTES

_WORTH = MAX_CHUNK_BYTES // 2  # bytes from which on a buffer is worth keeping


class Buffers:
    """Memory for chunks that is used again: the pages of a fresh one cost more than reading into them."""

    def __init__(self) -> None:
        self._kept: list[bytearray] = []

    def take(self, size: int) -> memoryview:
        """So many bytes that nobody reads or sends."""
        if size < _WORTH:
            return memoryview(bytearray(size))
        for buffer in self._kept:
            with suppress(BufferError):  # it is in use, and so keeps its length
                buffer.append(buffer.pop())
                return memoryview(buffer)[:size]
        if len(self._kept) == FETCH_WINDOW:
            return memoryview(bytearray(size))
        self._kept.append(bytearray(MAX_CHUNK_BYTES))
        return memoryview(self._kept[-1])[:size]


def read_at_once(path: Path, offset: int, into: memoryview) -> bool:
    """Fill a buffer from a file if memory holds that already, so that no disk is waited for; Linux tells that."""
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            return os.preadv(file, [into], offset, os.RWF_NOWAIT) == len(into)
        finally:
            os.close(file)
    except (OSError, AttributeError):  # not there, not in memory, or another system
        return False


def read_part(path: Path, offset: int, into: memoryview) -> None:
    """Fill a buffer from a result file, from `offset` on. Raises Ani3DError `file.corrupt` when bytes are missing."""
    count, reason = 0, ""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            count = file.readinto(into)
    except OSError as error:
        reason = f" ({error.strerror})"
    if count != len(into):
        said = f"{path} is missing or cut{reason}."
        raise Ani3DError("file.corrupt", said, "Delete the job and submit the shot again.")


def read_early(path: Path, offset: int, size: int) -> bytes:
    """Up to `size` bytes from `offset` on of the frames that a job can show already; none where it cannot."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError:
        return b""


def is_whole(folder: Path, files: Sequence[FileInfo]) -> bool:
    """Whether the result files are there and hold what the job wrote."""
    for info in files:
        path = folder / info.name
        try:
            if path.stat().st_size != info.size or file_sha256(path) != info.sha256:
                return False
        except OSError:
            return False
    return True
