"""Reading what jobs wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import file_sha256

from .wire import FileInfo


def read_part(path: Path, offset: int, size: int) -> bytes:
    """`size` bytes of a result file from `offset` on. Raises Ani3DError `file.corrupt` when bytes are missing."""
    reason = ""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            data = file.read(size)
    except OSError as error:
        data, reason = b"", f" ({error.strerror})"
    if len(data) != size:
        said = f"{path} is missing or cut{reason}."
        raise Ani3DError("file.corrupt", said, "Delete the job and submit the shot again.")
    return data


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
