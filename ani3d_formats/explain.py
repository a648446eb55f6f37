"""Any exception as the error to show: what was wrong and where, for what the libraries beneath raise."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .atomic import disk_full, is_disk_full
from .errors import Ani3DError

MAX_TEXT = 500  # characters of a message that is not ours
NEARLY_FULL = 1 << 20  # bytes; torch loses the errno of a full disk, so the free space has to tell


def explain(error: BaseException, folder: Path, code: str, hint: str) -> Ani3DError:
    """The error to show for an exception that ended work in `folder`.

    Args:
        error: an `Ani3DError` is shown as it is, unless the disk was full.
        folder: where the work writes; it may be missing.
        code, hint: of the error for what nobody foresaw.
    """
    chain = list(_chain(error))
    told = next((e for e in chain if isinstance(e, Ani3DError) and e.code == "disk.full"), None)
    if told is not None:  # which names the file, as what the system raised does not
        return told
    full = next((e for e in chain if is_disk_full(e)), None)
    if isinstance(full, OSError):
        return disk_full(Path(os.fsdecode(full.filename)) if isinstance(full.filename, str | bytes) else folder)
    if isinstance(error, Ani3DError):
        return error
    if any(isinstance(e, MemoryError) for e in chain):
        return Ani3DError(
            "memory.full", "The computer ran out of memory.", "Close other programs, or choose smaller settings."
        )
    refused = next((e for e in chain if isinstance(e, OSError) and e.filename is not None and e.strerror), None)
    if isinstance(refused, OSError):
        paths = [str(name) for name in (refused.filename, refused.filename2) if name is not None]
        return Ani3DError(
            "file.unusable",
            f"The file or folder {' or '.join(paths)} cannot be used: {refused.strerror}.",
            "Choose another one, or see to it that you may read and write there.",
        )
    with suppress(OSError):
        if shutil.disk_usage(_existing(folder)).free < NEARLY_FULL:
            return disk_full(folder)
    text = " ".join(str(error).split())[:MAX_TEXT]
    return Ani3DError(code, f"This failed unexpectedly: {type(error).__name__}{f': {text}' if text else ''}.", hint)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _existing(folder: Path) -> Path:
    """`folder`, or the nearest folder above it that is there."""
    return next((place for place in (folder, *folder.parents) if os.path.isdir(place)), Path.cwd())
