"""A file on its way from the engine: it appears whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ani3d_formats.atomic import WrittenWhole, atomic_path, cannot_write, disk_full
from ani3d_formats.errors import Ani3DError

from .messages import FileInfo


class Download(WrittenWhole):
    """Writes chunks to a hidden file beside `destination`, and publishes it at the end if the sha256 is right.

    Raises:
        Ani3DError: `disk.full` before the first byte or at any later one, `file.unwritable`; `file.corrupt` at the end.
    """

    def __init__(self, destination: Path, info: FileInfo) -> None:
        self.destination = destination
        self.info = info
        self.written = 0
        self._hash = hashlib.sha256()

    def write(self, chunk: memoryview) -> None:
        """Append `chunk`."""
        self._file.write(chunk)
        self._hash.update(chunk)
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
                    raise Ani3DError(
                        "file.corrupt",
                        f"{self.info.name} arrived with other bytes than the job wrote.",
                        "Delete the job and submit the shot again.",
                    )
        except OSError as error:
            raise cannot_write(self.destination, error, self.info.size) from error
