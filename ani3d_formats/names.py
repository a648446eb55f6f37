"""Names that become files: one component of a path, that every operating system takes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from .errors import Ani3DError

_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE | re.DOTALL)
_SHORT = 60  # bytes of a name made by `safe_name`, before what tells it from others
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


def safe_name(name: str, taken: Iterable[str] = ()) -> str:
    """A name that a file can have everywhere and that tells which `name` it stands for; the same for the same input.

    Letters, marks and digits of every script stay, other characters become underscores, and what is long is cut. It
    differs from each of `taken` on systems that take upper and lower case, or an accent and its letter, for the same.
    """
    kept = "".join(c if c in "_-. " or unicodedata.category(c)[0] in "LMN" else "_" for c in _composed(name))
    short = kept.encode(errors="replace")[:_SHORT].decode(errors="ignore")
    stem = re.sub(r"^[. ]|[. ]$", "_", short)
    stem = stem if is_file_name(stem) else f"_{stem}"
    others = {_as_compared(other) for other in taken}
    names = (stem if number == 1 else f"{stem}_{number}" for number in count(1))
    return next(name for name in names if _as_compared(name) not in others)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _as_compared(name: str) -> str:
    """What file systems that are least exact compare."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def child(folder: Path, name: str) -> Path:
    """`folder`/`name`, never outside `folder`. Raises `Ani3DError` ``file.name`` where `name` is no file name."""
    if not is_file_name(name):
        raise Ani3DError("file.name", f"{name!r} cannot be the name of a file in {folder}.", "Use letters and digits.")
    return folder / name
