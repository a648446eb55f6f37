"""A shot on its way to the engine: what its arrays hold goes first, then the chunks that the engine lacks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ani3d_formats.errors import Ani3DError

from . import messages as m
from .codec import portable


def describe(shot: Mapping[str, np.ndarray]) -> tuple[list[m.ArrayInfo], dict[str, memoryview]]:
    """Every array of a shot by name, dtype, shape and hash, sorted by name; and the bytes by their hash.

    Raises:
        Ani3DError: `protocol.malformed` for a dtype that does not travel, `protocol.limit` for an array too large.
    """
    infos, held = [], {}
    for name in sorted(shot):
        array = portable(shot[name], name)
        if array.nbytes > m.MAX_ARRAY_BYTES:
            said = f"The array '{name}' has {array.nbytes:,} bytes; {m.MAX_ARRAY_BYTES:,} is the most."
            raise Ani3DError("protocol.limit", said, "Send a smaller shot (docs/protocol.md, limits).")
        data = array.reshape(-1).view(np.uint8).data if array.size else memoryview(b"")
        digest = hashlib.sha256(data).hexdigest()
        held[digest] = data
        infos.append(m.ArrayInfo(name, array.dtype.str, list(array.shape), digest))
    return infos, held


def chunks(wanted: list[m.Missing], held: Mapping[str, memoryview]) -> Iterator[m.Put]:
    """What is to be put, in order."""
    for missing in wanted:
        data = held[missing.sha256]
        for offset in range(missing.have, len(data), m.MAX_CHUNK_BYTES):
            piece = data[offset : offset + m.MAX_CHUNK_BYTES]
            yield m.Put(missing.sha256, offset, np.frombuffer(piece, np.uint8))


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
        if self._should_cancel and self._should_cancel():
            raise Ani3DError("cancelled", "Sending the shot was cancelled.", "Submit it again to go on from there.")
        self.done += put.data.nbytes
        if self._on_progress:
            self._on_progress(self.done, self.total)
        return stored.have >= put.offset + put.data.nbytes
