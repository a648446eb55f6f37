"""A shot on its way to the engine: what its arrays hold goes first, then the chunks that the engine lacks."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from ani3d_formats.errors import Ani3DError

from . import messages as m
from .codec import portable

LOCAL = ".local"  # ends the name of an array that a client on this machine laid into the engine's folder
_LARGE = 8 << 20  # bytes from which on several arrays are hashed at the same time
_PIECE = 4 << 20  # bytes written at a time


def describe(shot: Mapping[str, np.ndarray]) -> tuple[list[m.ArrayInfo], dict[str, memoryview]]:
    """Every array of a shot by name, dtype, shape and hash, sorted by name; and the bytes by their hash.

    Raises:
        Ani3DError: `protocol.malformed` for a dtype that does not travel, `protocol.limit` for an array too large.
    """
    arrays = {name: portable(shot[name], name) for name in sorted(shot)}
    for name, array in arrays.items():
        if array.nbytes > m.MAX_ARRAY_BYTES:
            said = f"The array '{name}' has {array.nbytes:,} bytes; {m.MAX_ARRAY_BYTES:,} is the most."
            raise Ani3DError("protocol.limit", said, "Send a smaller shot (docs/protocol.md, limits).")
    parts = [array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"") for array in arrays.values()]
    threads = os.cpu_count() or 1 if sum(map(len, parts)) > _LARGE else 1
    with ThreadPoolExecutor(min(threads, 8), initializer=_step_back) as pool:
        digests = list(pool.map(lambda data: hashlib.sha256(data).hexdigest(), parts))
    infos = [
        m.ArrayInfo(name, array.dtype.str, list(array.shape), digest)
        for (name, array), digest in zip(arrays.items(), digests, strict=True)
    ]
    return infos, dict(zip(digests, parts, strict=True))


def _step_back() -> None:
    """Let other threads of the machine go before this one, such as those of an engine that answers somebody else."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def chunks(wanted: list[m.Missing], held: Mapping[str, memoryview]) -> Iterator[m.Put]:
    """What is to be put, in order."""
    for missing in wanted:
        data = held[missing.sha256]
        for offset in range(missing.have, len(data), m.MAX_CHUNK_BYTES):
            piece = data[offset : offset + m.MAX_CHUNK_BYTES]
            yield m.Put(missing.sha256, offset, np.frombuffer(piece, np.uint8))


def lay(folder: Path, digest: str, data: memoryview, upload: Upload) -> None:
    """Write a whole array where an engine of this machine and user takes it up; it appears there whole.

    Raises:
        Ani3DError: `cancelled`.
        OSError: where it cannot be written here, so that the array has to be sent; `upload` is as it was.
    """
    partial, before = folder / f"{digest}.{os.getpid()}{LOCAL}", upload.done
    with open(partial, "xb", buffering=0) as file:
        try:
            for start in range(0, len(data), _PIECE):
                piece = data[start : start + _PIECE]
                while piece:
                    piece = piece[file.write(piece) :]
                upload.note(min(_PIECE, len(data) - start))
            os.replace(partial, folder / f"{digest}{LOCAL}")
        except OSError:
            upload.done = before
            raise
        finally:
            with suppress(OSError):
                partial.unlink()


class Upload:
    """Counts what the engine has of all that was wanted, for whoever shows it or stops it."""

    def __init__(
        self,
        total: int,
        on_progress: Callable[[int, int], None] | None,
        should_cancel: Callable[[], bool] | None,
    ) -> None:
        self.total, self.done = total, 0
        self._on_progress, self._should_cancel = on_progress, should_cancel

    def take(self, put: m.Put, stored: m.Stored) -> bool:
        """Note the answer to a chunk; False where the engine does not have it."""
        self.note(put.data.nbytes)
        return stored.have >= put.offset + put.data.nbytes

    def note(self, size: int) -> None:
        """Note that so many bytes are there. Raises Ani3DError `cancelled`."""
        if self._should_cancel and self._should_cancel():
            raise Ani3DError("cancelled", "Sending the shot was cancelled.", "Submit it again to go on from there.")
        self.done += size
        if self._on_progress:
            self._on_progress(self.done, self.total)
