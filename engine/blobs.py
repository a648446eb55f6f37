"""Arrays stored once under the sha256 of their bytes, and the hashes of result files."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import file_sha256
from ani3d_formats.manifest import MANIFEST, parse

from .wire import FileInfo
from .wire.messages import ArrayInfo

SHARED = 4096  # bytes from which on result files with the same content are one file on the disk


def list_files(folder: Path) -> list[FileInfo]:
    """Every file under `folder` with size and sha256, by name; hidden files and folders are left out.

    The hashes of a frame cache's files are those in its manifest, which was written with them.
    """
    known = {
        manifest.parent / entry.file: entry.sha256
        for manifest in folder.glob(f"*.ani3d/{MANIFEST}")
        for entry in parse(manifest.read_text(encoding="utf-8"), manifest.parent).entries
    }
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            digest = known.get(path) or file_sha256(path)
            found.append(FileInfo(relative.as_posix(), path.stat().st_size, digest))
    return found


def table_of(infos: Iterable[ArrayInfo]) -> list[list[Any]]:
    """The arrays of a job as its input has them: [name, dtype, shape, sha256], sorted by name."""
    return sorted([info.name, info.dtype, info.shape, info.sha256] for info in infos)


def identity(table: list[list[Any]], settings: Mapping[str, Any], version: str, held: Sequence[Any] = ()) -> str:
    """The id of the job with these arrays and settings: 20 hex digits of the sha256 over the table, the settings, the
    library's version and `held`, as JSON with sorted keys."""
    document = json.dumps([table, settings, version, list(held)], sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()[:20]


class Blobs:
    """Arrays by content: what two shots share (a texture, a body) is stored once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(self, digests: set[str]) -> None:
        """Forget all others, and what killed writers left."""
        for path in self.root.glob("??/*"):
            if path.name not in digests:
                path.unlink(missing_ok=True)

    def get(self, table: list[list[Any]]) -> dict[str, np.ndarray]:
        """The arrays of a table, writable like those of a shot file.

        Raises:
            Ani3DError: `store.corrupt` when bytes are missing or changed.
        """
        arrays = {}
        for name, dtype, shape, digest in table:
            path = self.path(digest)
            data = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
            if hashlib.sha256(data.data).hexdigest() != digest:
                raise Ani3DError(
                    "store.corrupt",
                    f"The stored array '{name}' ({path}) is missing or changed.",
                    "Submit the shot again, and check the disk.",
                )
            arrays[name] = data.view(dtype).reshape(shape) if data.size else np.empty(shape, dtype)
        return arrays

    def mapped(self, table: list[list[Any]]) -> dict[str, np.ndarray]:
        """The arrays of a table as they lie on the disk, read-only and not checked; they cost no memory."""
        arrays: dict[str, np.ndarray] = {}
        for name, dtype, shape, digest in table:
            if 0 in shape:
                arrays[name] = np.empty(shape, dtype)
            else:
                flat = np.memmap(self.path(digest), np.uint8, "r")
                arrays[name] = flat.view(np.ndarray).view(dtype).reshape(shape)
        return arrays

    def share(self, folder: Path, files: Iterable[FileInfo]) -> None:
        """Make result files that hold what another job's hold one file on the disk (hard links), where that can be.

        Files of results are never written to, only replaced. One that is damaged here gives way to a whole new one.
        """
        for info in files:
            path, place = folder / info.name, self.path(info.sha256)
            if info.size < SHARED:
                continue
            with suppress(OSError):  # a file system without links, a full disk, or a job that is being deleted
                place.parent.mkdir(parents=True, exist_ok=True)
                if not place.exists():
                    os.link(path, place)
                elif not path.samefile(place):
                    if filecmp.cmp(path, place, shallow=False):
                        _link_over(place, path)
                    elif file_sha256(path) == info.sha256:
                        _link_over(path, place)

    def remove(self, digests: Iterable[str]) -> None:
        """Forget the bytes of these digests."""
        for digest in digests:
            self.path(digest).unlink(missing_ok=True)

    def path(self, digest: str) -> Path:
        """Where the bytes of this digest are, or will be."""
        return self.root / digest[:2] / digest


def _link_over(source: Path, target: Path) -> None:
    """Put a link to `source` in the place of `target`, in one step."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    os.link(source, partial)
    try:
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
