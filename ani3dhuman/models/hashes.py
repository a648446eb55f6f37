"""What the files of a model hold, as hashes; those of large files are remembered, so that they are read once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Ani3DError

from .store import default_root, sha256_of

LOADED = (".safetensors", ".gguf", ".json", ".model", ".txt")  # endings of the files that priors load
REMEMBERED = "hashes.json"  # in the folder of all models
LARGE = 1 << 24  # bytes from which on a file's hash is remembered
SETTLED = 2.0  # seconds since a file was written after which its time of change can tell it from a later one


def content_hashes(folder: Path, advance: Callable[[int], None] = lambda done: None) -> dict[str, str]:
    """Hex SHA-256 of every file in a model's folder that can be loaded, by its path there.

    A large file is read once: as long as size, time of change and inode stay, the remembered hash holds.

    Args:
        folder: of the model.
        advance: is told the bytes of each piece that is read; it may raise, to stop.
    """
    book = default_root() / REMEMBERED
    known = _read(book)
    hashes, before = {}, dict(known)
    for path in sorted(path for path in folder.rglob("*") if path.suffix in LOADED and path.is_file()):
        facts = path.stat()
        place = str(path.resolve())
        mark = f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ino}"
        entry = known.get(place, "")
        found = entry.rpartition(" ")[2] if entry.startswith(f"{mark} ") else sha256_of(path, advance)
        hashes[path.relative_to(folder).as_posix()] = found
        if facts.st_size >= LARGE and time.time() - facts.st_mtime > SETTLED:
            known[place] = f"{mark} {found}"
    if known != before:
        with suppress(OSError, Ani3DError):  # a folder that cannot be written costs reading the files again
            write_bytes(book, json.dumps(known, indent=1).encode())
    return hashes


def _read(book: Path) -> dict[str, str]:
    """The remembered hashes; a book that cannot be read counts as empty."""
    try:
        return {str(place): str(entry) for place, entry in json.loads(book.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError):
        return {}
