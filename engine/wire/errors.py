"""The one error of the wire, and every code the engine or its client can give.

A job may also fail with a code of the library (`shot.*`, `settings.*` ...): those pass through untouched.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from pathlib import Path

ERROR_CODES = {
    "engine.unreachable": "nothing listens at the endpoint",
    "engine.timeout": "the engine did not answer in time",
    "engine.address": "the engine cannot listen at the address it was given",
    "engine.internal": "the engine met an error of its own; it goes on serving",
    "protocol.version": "the two ends speak different versions of the protocol",
    "protocol.malformed": "a message is truncated, or is not what its kind says",
    "protocol.limit": "a message is larger than the limits allow",
    "job.unknown": "no job has this id",
    "job.active": "the job is queued or running, so it cannot be deleted",
    "job.unfinished": "the job has no result files, as it is not done",
    "job.failed": "the job raised an error that the library did not foresee",
    "job.crashed": "the job's process died without saying why",
    "job.interrupted": "the engine was stopped in the middle of the job too many times",
    "file.unknown": "the job has no result file of this name",
    "file.corrupt": "a result file no longer holds the bytes that the job wrote",
    "file.unwritable": "a fetched file cannot be written where the caller wants it",
    "store.locked": "another engine is using the store",
    "store.unusable": "the folder given as the store cannot be one",
    "store.corrupt": "the store's files do not hold what was put in",
    "disk.full": "there is no room left to write a file",
    "cancelled": "the caller asked to stop",
}


class WireError(Exception):
    """A problem the user can act on, with the same three parts as the library's error.

    Args:
        code: stable name, a key of `ERROR_CODES` or a code of the library.
        message: what was wrong and where, one sentence.
        hint: what to do about it, one sentence.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.code = code
        self.message = message
        self.hint = hint


def is_disk_full(error: BaseException) -> bool:
    """True for an OSError that says no room is left (disk or quota), wherever it was raised."""
    quota = getattr(errno, "EDQUOT", None)
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, quota)


def disk_full(path: Path, needed: int | None = None) -> WireError:
    """The `disk.full` error for writing `path`, with `needed` bytes and the bytes free where known."""
    folder = path
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    parts = []
    if needed is not None:
        parts.append(f"{needed:,} bytes are needed")
    with contextlib.suppress(OSError):  # the disk may be gone altogether; the path alone still says where
        parts.append(f"{shutil.disk_usage(folder).free:,} bytes are free")
    detail = f" ({', '.join(parts)})" if parts else ""
    return WireError(
        "disk.full",
        f"No room left on the disk to write {path}{detail}.",
        "Free some space, or choose a folder on another disk, and try again.",
    )
