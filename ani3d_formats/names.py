"""Names that become files: one component of a path, that every operating system takes."""

from __future__ import annotations

import re
from pathlib import Path

from .errors import Ani3DError

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE | re.DOTALL)
_LONGEST = 200  # bytes; file systems take 255, and temporary names beside it are longer


def is_component(name: str) -> bool:
    """Whether `name` is one component of a path, on any operating system: no folder, no drive, no way up."""
    return name not in ("", ".", "..") and not re.search(r"[/\\:\0]", name)


def is_file_name(name: str) -> bool:
    """Whether a file can have this name everywhere: one component, not hidden, nothing that Windows keeps to itself."""
    return (
        is_component(name)
        and not re.search(r'[<>"|?*\x00-\x1f\x7f\ud800-\udfff]', name)
        and name[0] not in ". "
        and name[-1] not in ". "
        and not _RESERVED.fullmatch(name)
        and len(name.encode()) <= _LONGEST
    )


def child(folder: Path, name: str) -> Path:
    """`folder`/`name`, never outside `folder`. Raises `Ani3DError` ``file.name`` where `name` is no file name."""
    if not is_file_name(name):
        raise Ani3DError("file.name", f"{name!r} cannot be the name of a file in {folder}.", "Use letters and digits.")
    return folder / name
