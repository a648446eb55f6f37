"""A file on its way from the engine: it appears whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from .errors import WireError, disk_full, is_disk_full
from .messages import FileInfo


class Download:
    """Writes chunks to a hidden file beside `destination`, and renames it at the end if the sha256 is right.

    Raises:
        WireError: `disk.full` before the first byte or at any later one, `file.unwritable`; `file.corrupt` at the end.
    """

    def __init__(self, destination: Path, info: FileInfo) -> None:
        self.destination = destination
        self.info = info
        self.written = 0
        self._hash = hashlib.sha256()

    def __enter__(self) -> Download:
        folder = self.destination.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(folder).free < self.info.size:
                raise disk_full(self.destination, self.info.size)
            handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
        except OSError as error:
            raise self._write_error(error) from error
        self._part, self._file = Path(name), os.fdopen(handle, "wb")
        return self

    def write(self, chunk: memoryview) -> None:
        """Append `chunk`."""
        try:
            self._file.write(chunk)
        except OSError as error:
            raise self._write_error(error) from error
        self._hash.update(chunk)
        self.written += chunk.nbytes

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()
            if error is None:
                self._check()
                os.replace(self._part, self.destination)
        except OSError as late:
            if error is None:
                raise self._write_error(late) from late
        finally:
            self._part.unlink(missing_ok=True)

    def _check(self) -> None:
        if self._hash.hexdigest() != self.info.sha256:
            raise WireError(
                "file.corrupt",
                f"{self.info.name} arrived with other bytes than the job wrote.",
                "Delete the job and submit the shot again.",
            )

    def _write_error(self, error: OSError) -> WireError:
        if is_disk_full(error):
            return disk_full(self.destination, self.info.size)
        text = f"Cannot write {self.destination}: {error.strerror}."
        return WireError("file.unwritable", text, "Choose a folder that you may write to.")
