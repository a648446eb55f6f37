"""Files and folders that appear whole or not at all, and one clear error for a full disk.

Everything that is published is first written beside its final place under a hidden name, synced to the disk, then
renamed; last the folder is synced, so that the name survives a power cut as the content does. A reader never sees half
a file, and a failure leaves what stood there before untouched.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import Ani3DError


def is_disk_full(error: BaseException) -> bool:
    """True for an OSError that says no room is left (disk or quota), wherever it was raised."""
    if not isinstance(error, OSError):
        return False
    # NumPy says how much it could write, without a number
    cut = error.errno is None and re.fullmatch(r"\d+ requested and \d+ written", str(error))
    return bool(cut) or error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def disk_full(path: Path, needed: int | None = None) -> Ani3DError:
    """The ``disk.full`` error for writing `path`, with `needed` bytes and the bytes free where known."""
    folder = path
    while not os.path.exists(folder) and folder != folder.parent:
        folder = folder.parent
    parts = [] if needed is None else [f"{needed:,} bytes are needed"]
    with suppress(OSError):  # the disk may be gone altogether; the path alone still says where
        parts.append(f"{shutil.disk_usage(folder).free:,} bytes are free")
    detail = f" ({', '.join(parts)})" if parts else ""
    return Ani3DError(
        "disk.full",
        f"The disk is full: there is no room for {path}{detail}.",
        "Free some space, or choose a folder on another disk, and try again; what was there before is unchanged.",
    )


def cannot_write(path: Path, error: OSError, needed: int | None = None) -> Ani3DError:
    """The error for a file that could not be written: ``disk.full``, or ``file.unwritable`` for any other cause."""
    if is_disk_full(error):
        return disk_full(path, needed)
    text = f"Cannot write '{path}': {error.strerror}."
    hints = {errno.ENAMETOOLONG: "Choose a shorter name.", errno.EISDIR: "Choose the name of a file."}
    return Ani3DError("file.unwritable", text, hints.get(error.errno or 0, "Choose a folder that you may write to."))


@contextmanager
def full_disk_reported(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turn "no space left" inside the block into `Ani3DError` ``disk.full``; other errors pass through."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise disk_full(path, needed) from error


def publish(partial: Path, path: Path) -> None:
    """Put the written file or folder `partial` in the place of `path`, a sibling, synced to the disk with its name.

    A folder cannot be renamed over a full one, so an old one steps aside meanwhile.
    """
    folder = partial.is_dir()
    for place in (partial, *(partial.rglob("*") if folder else ())):
        if place.is_dir():
            sync_folder(place)
        else:
            with open(place, "rb+") as written:
                os.fsync(written.fileno())
    previous = path.with_name(f".{path.name}.previous")
    aside = folder and path.exists()
    if folder:
        shutil.rmtree(previous, ignore_errors=True)
    if aside:
        os.rename(path, previous)
    try:
        os.replace(partial, path)
    except OSError:
        if aside:
            os.rename(previous, path)
        raise
    sync_folder(path.parent)
    if aside:
        shutil.rmtree(previous, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Sync the names in `folder`; on Windows, and on file systems that cannot, nothing happens."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)


@contextmanager
def atomic_path(path: Path, needed: int | None = None) -> Iterator[Path]:
    """A temporary sibling of `path` to write to; published as `path` when the block ends well, removed when not.

    The sibling keeps the suffix, because video writers choose their container by it. One writer at a
    time per path: the name is fixed, so that what a killed writer left is overwritten by the next. `needed` bytes
    are named when the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        with full_disk_reported(path, needed):
            yield partial
            publish(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, *parts: bytes | memoryview) -> None:
    """Write `parts`, one after the other, to `path` atomically. Raises `Ani3DError` ``disk.full``."""
    with atomic_path(path, sum(memoryview(part).nbytes for part in parts)) as partial, open(partial, "wb") as file:
        for part in parts:
            file.write(part)


class WrittenWhole(ABC):
    """A writer used in a `with` block, which publishes what it wrote only when the block ends well."""

    @abstractmethod
    def _write_whole(self) -> AbstractContextManager[None]:
        """The block from opening to publishing; it removes its traces when an error passes through."""

    def __enter__(self) -> Self:
        self._session = self._write_whole()
        self._session.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.__exit__(kind, error, trace)
