"""Arrays stored once under the sha256 of their bytes, and the hashes of result files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import file_sha256
from ani3d_formats.manifest import MANIFEST, parse

from .wire import FileInfo
from .wire.codec import portable


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


class Blobs:
    """Arrays by content: what two shots share (a texture, a body) is stored once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @staticmethod
    def describe(
        arrays: dict[str, np.ndarray], settings: dict[str, Any], version: str, held: Sequence[Any] = ()
    ) -> tuple[str, list[list[Any]], dict[str, memoryview]]:
        """The id of the job with these arrays and settings, its array table, and the bytes by sha256.

        Table entries are [name, dtype, shape, sha256], sorted by name; the id is 20 hex digits of the sha256 over
        the table, the settings, the library's version and `held`, as JSON with sorted keys.
        """
        table, blobs = [], {}
        for name in sorted(arrays):
            array = portable(arrays[name], name)
            data = array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
            digest = hashlib.sha256(data).hexdigest()
            blobs[digest] = data
            table.append([name, array.dtype.str, list(array.shape), digest])
        document = json.dumps([table, settings, version, list(held)], sort_keys=True)
        return hashlib.sha256(document.encode()).hexdigest()[:20], table, blobs

    def put(self, blobs: dict[str, memoryview]) -> None:
        """Store what is not there yet, or is there but damaged. Raises Ani3DError `disk.full`."""
        for digest, data in blobs.items():
            path = self._path(digest)
            if not path.is_file() or path.stat().st_size != data.nbytes or file_sha256(path) != digest:
                write_bytes(path, data)

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
            path = self._path(digest)
            data = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
            if hashlib.sha256(data.data).hexdigest() != digest:
                raise Ani3DError(
                    "store.corrupt",
                    f"The stored array '{name}' ({path}) is missing or changed.",
                    "Submit the shot again, and check the disk.",
                )
            arrays[name] = data.view(dtype).reshape(shape) if data.size else np.empty(shape, dtype)
        return arrays

    def remove(self, digests: Iterable[str]) -> None:
        """Forget the bytes of these digests."""
        for digest in digests:
            self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        return self.root / digest[:2] / digest
