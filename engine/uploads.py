"""Arrays that arrive in chunks: only those that a `submit` announced, checked as they come, resumed where they ended.

STORE/incoming/SHA256           the first bytes of an array
STORE/incoming/SHA256.local     all of them, written by a client of the same user on this machine, who hashed them;
                                before it is whole, SHA256.PID.local
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ani3d_formats.atomic import disk_full, publish
from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import file_sha256

from .blobs import Blobs
from .parent import is_alive
from .wire.messages import ArrayInfo, Missing
from .wire.upload import LOCAL

KEPT = 86_400.0  # seconds that the beginning of an array is kept
EXPECTED = 3600.0  # seconds that an announced array is waited for, and kept from deletion
TRUSTED = 30.0  # seconds that a stored array is not hashed again


@dataclass
class _Upload:
    size: int
    expected_until: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    hash: Any = None  # of the first `have` bytes; None until they are read
    have: int = 0
    done: bool = False


class Uploads:
    """What is on its way into `blobs`. Every method may be called from any thread."""

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self.folder = self._folder = folder
        self.blobs = blobs
        self._lock = threading.Lock()
        self._uploads: dict[str, _Upload] = {}
        self._whole: dict[str, tuple[float, int]] = {}  # until when an array of this date need not be hashed again
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if path.name.endswith(LOCAL) or time.time() - path.stat().st_mtime > KEPT:
                path.unlink(missing_ok=True)

    def missing(self, infos: Iterable[ArrayInfo]) -> list[Missing]:
        """What of these arrays is not stored, or not whole; it may be put from now on.

        Raises:
            Ani3DError: `disk.full` where there is no room for it.
        """
        self._sweep()
        sizes = {info.sha256: info.nbytes for info in infos}
        found, needed = [], 0
        for digest, size in sizes.items():
            upload = self._expect(digest, size)
            if not self._is_whole(digest, size):
                with upload.lock:
                    upload.done = False
                    self._resume(digest, upload)
                    if not upload.done:
                        found.append(Missing(digest, upload.have))
                        needed += size - upload.have
        if needed:
            usage = os.statvfs(self._folder) if hasattr(os, "statvfs") else None
            if usage and usage.f_bavail * usage.f_frsize < needed:
                raise disk_full(self._folder, needed)
        return found

    def _sweep(self) -> None:
        """Remove what clients that are gone had begun to lay here."""
        for path in self._folder.glob(f"*.*{LOCAL}"):
            pid = path.name.split(".")[1]
            if not (pid.isdigit() and is_alive(int(pid), False)):
                path.unlink(missing_ok=True)

    def _expect(self, digest: str, size: int) -> _Upload:
        now = time.monotonic()
        with self._lock:
            for old in [d for d, upload in self._uploads.items() if upload.expected_until < now]:
                del self._uploads[old]
            upload = self._uploads.setdefault(digest, _Upload(size, 0.0))
            upload.expected_until = now + EXPECTED
        return upload

    def _is_whole(self, digest: str, size: int) -> bool:
        path = self.blobs.path(digest)
        if not path.is_file() or path.stat().st_size != size:
            return False
        until, date = self._whole.get(digest, (0.0, 0))
        if until > time.monotonic() and path.stat().st_mtime_ns == date:
            return True
        whole = file_sha256(path) == digest
        if whole:
            self._note_whole(digest)
        return whole

    def _note_whole(self, digest: str) -> None:
        now = time.monotonic()
        with self._lock:
            for old in [d for d, (until, _) in self._whole.items() if until < now]:
                del self._whole[old]
            self._whole[digest] = now + TRUSTED, self.blobs.path(digest).stat().st_mtime_ns

    def _resume(self, digest: str, upload: _Upload) -> None:
        """Take in what an earlier engine, or an earlier try, has received."""
        path = self._folder / digest
        size = path.stat().st_size if path.is_file() else 0
        if upload.hash is not None and upload.have == size:
            return
        upload.hash, upload.have = hashlib.sha256(), 0
        if size > upload.size:
            path.unlink(missing_ok=True)
        elif size:
            with open(path, "rb") as file:
                while data := file.read(1 << 20):
                    upload.hash.update(data)
                    upload.have += len(data)
        if upload.have == upload.size:
            with suppress(Ani3DError):  # other bytes than they should be: they come again
                self._finish(digest, upload)

    def put(self, digest: str, offset: int, data: memoryview) -> int:
        """Store the bytes from `offset` on; how many there are now. Bytes that do not follow are not stored.

        Raises:
            Ani3DError: `put.unknown`, `put.corrupt`, `disk.full`.
        """
        upload = self._uploads.get(digest)
        if upload is None:
            raise Ani3DError(
                "put.unknown", f"No submission waits for an array {digest[:12]}.", "Submit the shot again."
            )
        with upload.lock:
            if not data.nbytes and offset == upload.size:
                self._take_up(digest, upload)
            if upload.done:
                return upload.size
            if upload.hash is None:
                self._resume(digest, upload)
            if data.nbytes and offset == upload.have < upload.size and data.nbytes <= upload.size - offset:
                self._append(digest, upload, data)
            return upload.have

    def _append(self, digest: str, upload: _Upload, data: memoryview) -> None:
        path = self._folder / digest
        try:
            with open(path, "ab", buffering=0) as file:
                if file.write(data) != data.nbytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            upload.hash.update(data)
            upload.have += data.nbytes
            if upload.have == upload.size:
                self._finish(digest, upload)
        except OSError as error:
            path.unlink(missing_ok=True)
            upload.hash = None
            upload.have = 0
            if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
                raise disk_full(path, upload.size) from error
            raise

    def _finish(self, digest: str, upload: _Upload) -> None:
        path, good = self._folder / digest, upload.hash.hexdigest() == digest
        if good:
            path.touch()
            self._publish(path, digest)
        path.unlink(missing_ok=True)
        upload.hash, upload.done = hashlib.sha256(), good
        if not good:
            upload.have = 0
            said = f"An array arrived with other bytes than its hash {digest[:12]} says."
            raise Ani3DError("put.corrupt", said, "Submit the shot again.")

    def _take_up(self, digest: str, upload: _Upload) -> None:
        """Take what a client laid here itself. Whoever can write into this folder could write any array; that it is
        whole is seen again by the worker, which hashes all that it reads."""
        laid = self._folder / f"{digest}{LOCAL}"
        if upload.done or self._is_whole(digest, upload.size):  # another client was first; what was hashed stays
            laid.unlink(missing_ok=True)
            upload.done = True
        elif _is_laid(laid, upload.size):
            laid.chmod(0o600)
            self._publish(laid, digest)
            (self._folder / digest).unlink(missing_ok=True)
            upload.hash, upload.have, upload.done = hashlib.sha256(), upload.size, True

    def _publish(self, path: Path, digest: str) -> None:
        place = self.blobs.path(digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        publish(path, place)
        self._note_whole(digest)

    def distrust(self, digests: Iterable[str]) -> None:
        """Hash these arrays again before they count as whole: a job found one of them changed."""
        with self._lock:
            for digest in digests:
                self._whole.pop(digest, None)

    def is_expected(self, digest: str) -> bool:
        """Whether a submission under way may count on the array."""
        upload = self._uploads.get(digest)
        return upload is not None and upload.expected_until > time.monotonic()


def _is_laid(path: Path, size: int) -> bool:
    """Whether a file of this size is here under no other name, by which its bytes could be written to later."""
    try:
        said = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(said.st_mode) and said.st_nlink == 1 and said.st_size == size
