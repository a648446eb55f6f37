"""Frames of a clip that nobody holds all at once: computed or read from a file one at a time, and used like an array.

A file begins with `MAGIC`, has the frames one after the other, then an index as JSON and the index's length in 8 bytes.
A frame that is packed is cut to the box outside of which it has one value, as pictures of a character have, and
deflated; nothing of it is lost.
"""

from __future__ import annotations

import json
import tempfile
import threading
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

SUFFIX = ".frames"
MAGIC = b"ani3dfr1"
LEVEL = 1  # of deflating: higher ones take several times as long and save a tenth


class Frames(ABC):
    """T arrays of one shape and type: `frames[t]` is one of them, `frames[a:b]` several, `np.asarray` all."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @abstractmethod
    def frame(self, number: int) -> np.ndarray:
        """One frame, 0..T-1."""

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.frame(t) for t in range(len(self)))

    def __getitem__(self, which: Any) -> np.ndarray:
        first, *rest = which if isinstance(which, tuple) else (which,)
        if isinstance(first, int | np.integer):
            whole = self.frame(range(len(self))[first])
            return whole[tuple(rest)] if rest else whole
        chosen = np.arange(len(self))[first]
        parts = [self.frame(int(t))[tuple(rest)] for t in chosen]
        return np.stack(parts) if parts else np.empty((0, *self.shape[1:]), self.dtype)[(slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.stack(list(self)).astype(dtype or self.dtype, copy=False)


class Computed(Frames):
    """Frames that a function makes, each time anew."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, make: Callable[[int], np.ndarray]) -> None:
        self.shape, self.dtype, self._make = shape, np.dtype(dtype), make

    def frame(self, number: int) -> np.ndarray:
        return self._make(number)


class FrameFile(Frames):
    """Frames in a file: of its own, that is gone with it, until it is saved; or one that was saved.

    Args:
        shape: (T, ...) of all frames.
        dtype: of a frame.
        packed: whether frames are cut and deflated.
        folder: of the file; None takes the system's for temporary files.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, packed: bool = True, folder: Path | None = None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder, prefix="frames-")  # noqa: SIM115 - closed with it
        self._file.write(MAGIC)
        self.shape, self.dtype, self.packed = tuple(shape), np.dtype(dtype), packed
        self._entries: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> FrameFile:
        """The frames of a saved file. Raises OSError, ValueError or KeyError where it is none."""
        found = cls.__new__(cls)
        found._file, found._lock = Path(path).open("rb"), threading.Lock()  # noqa: SIM115 - closed with it
        if found._file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{path} holds no frames")
        found._file.seek(-8, 2)
        length = int.from_bytes(found._file.read(8), "little")
        found._file.seek(-8 - length, 2)
        index = json.loads(found._file.read(length))
        found.shape, found.dtype, found.packed = tuple(index["shape"]), np.dtype(index["dtype"]), index["packed"]
        found._entries = index["frames"]
        if len(found._entries) != len(found):
            raise ValueError(f"{path} has {len(found._entries)} of {len(found)} frames")
        return found

    @property
    def written(self) -> int:
        """Frames that are there."""
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(entry["bytes"] for entry in self._entries)

    def append(self, values: np.ndarray) -> None:
        """Add the next frame."""
        values = np.asarray(values, self.dtype)
        assert values.shape == self.shape[1:] and self.written < len(self)
        entry: dict[str, Any] = {}
        if self.packed:
            outside, box = _box(values)
            values = values[box]
            entry |= {"outside": outside.tobytes().hex(), "box": [[part.start, part.stop] for part in box]}
        data: Any = np.ascontiguousarray(values).data.cast("B") if values.size else b""
        if self.packed:
            data = zlib.compress(data, LEVEL)
        with self._lock:
            start = self._file.seek(0, 2)
            self._file.write(data)
            self._entries.append({"start": start, "bytes": len(data), **entry})

    def frame(self, number: int) -> np.ndarray:
        entry = self._entries[number]
        with self._lock:
            self._file.seek(entry["start"])
            data = self._file.read(entry["bytes"])
        shape = self.shape[1:]
        if not self.packed:
            return np.frombuffer(data, self.dtype).reshape(shape)
        box = tuple(slice(*ends) for ends in entry["box"])
        values = np.empty(shape, self.dtype)
        values[...] = np.frombuffer(bytes.fromhex(entry["outside"]), self.dtype).reshape(shape[2:])
        inside = [part.stop - part.start for part in box]
        values[box] = np.frombuffer(zlib.decompress(data), self.dtype).reshape(*inside, *shape[2:])
        return values

    def save(self, path: Path) -> None:
        """Write all frames to a file that `open` reads."""
        index = {"shape": self.shape, "dtype": self.dtype.str, "packed": self.packed, "frames": self._entries}
        end = json.dumps(index).encode()
        with Path(path).open("wb") as out, self._lock:
            self._file.seek(0)
            last = self._entries[-1] if self._entries else {"start": len(MAGIC), "bytes": 0}
            _copy(self._file, out, last["start"] + last["bytes"])
            out.write(end + len(end).to_bytes(8, "little"))


class Made(Frames):
    """One of the parts of frames that are made in their order, up to the one that is asked for, and then kept."""

    def __init__(self, source: _Source, part: int) -> None:
        self.shape, self.dtype = source.files[part].shape, source.files[part].dtype
        self._source, self._part = source, part

    def frame(self, number: int) -> np.ndarray:
        return self._source.kept(number)[self._part].frame(number)


class _Source:
    def __init__(self, coming: Iterator[Sequence[np.ndarray]], files: Sequence[FrameFile]) -> None:
        self.files, self._coming, self._lock = files, coming, threading.Lock()

    def kept(self, number: int) -> Sequence[FrameFile]:
        """The files, with at least the frames up to `number`."""
        with self._lock:
            while self.files[0].written <= number:
                for file, values in zip(self.files, next(self._coming), strict=True):
                    file.append(values)
        return self.files


def made_when_asked(coming: Iterator[Sequence[np.ndarray]], files: Sequence[FrameFile]) -> list[Made]:
    """Frames of several parts, one for each of the empty `files`; `coming` gives all parts of each frame in turn."""
    source = _Source(coming, files)
    return [Made(source, part) for part in range(len(files))]


def _copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    while length > 0:
        piece = source.read(min(length, 1 << 20))
        if not piece:
            raise OSError("a file of frames is shorter than its index says")
        target.write(piece)
        length -= len(piece)


def _box(values: np.ndarray) -> tuple[np.ndarray, tuple[slice, slice]]:
    """The value in the corner of a frame (H,W,...), and the rows and columns in which it has others."""
    outside = np.array(values[0, 0])
    other = values != outside
    if values.ndim > 2:
        other = other.reshape(*values.shape[:2], -1).any(-1)
    rows, columns = np.flatnonzero(other.any(1)), np.flatnonzero(other.any(0))
    if not len(rows):
        return outside, (slice(0, 0), slice(0, 0))
    return outside, (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))


def on_disk(frames: Frames, folder: Path | None = None) -> FrameFile:
    """A file with all of `frames`, those of a `FrameFile` as they are."""
    if isinstance(frames, FrameFile):
        return frames
    file = FrameFile(frames.shape, frames.dtype, folder=folder)
    for values in frames:
        file.append(values)
    return file
