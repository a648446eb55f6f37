"""Files that appear whole or not at all, and one clear error for a full disk.

Everything the library publishes is first written beside its final place under a hidden name, then
renamed. A reader never sees half a file, and a failure leaves what stood there before untouched.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import Ani3DError

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def full_disk_reported(path: Path) -> Iterator[None]:
    """Turn "no space left" inside the block into `Ani3DError` ``disk.full``; other errors pass through."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise Ani3DError(
            "disk.full",
            f"The disk ran full while writing {path}.",
            "Free some space or choose another output folder, then run again; nothing published was changed.",
        ) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` to write to; renamed to `path` when the block ends well, removed when not.

    The sibling keeps the suffix, because video writers choose their container by it. One writer at a
    time per path: the name is fixed, so that what a killed writer left is overwritten by the next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        with full_disk_reported(path):
            yield partial
            os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically. Raises `Ani3DError` ``disk.full``."""
    with atomic_path(path) as partial, open(partial, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


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
