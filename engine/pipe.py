"""What a worker tells the engine: for each job any number of `ProgressReport`s and `Alive`s, then one `Outcome`.

Both are messages in the encoding of `engine.wire.codec`; the frames of one message travel as one msgpack list.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import msgpack
import numpy as np

from .wire import FileInfo, codec
from .wire.messages import Message


@dataclass(frozen=True)
class ProgressReport(Message):
    """One moment of one stage. `eta` is in seconds; `preview` is (H,W,3) uint8 sRGB or None; `loss` what is fitted."""

    kind = "report"
    stage: str
    step: int
    total: int
    eta: float
    message: str
    preview: np.ndarray | None
    loss: float | None = None


@dataclass(frozen=True)
class Alive(Message):
    """The worker's process runs; sent every `BEAT` seconds."""

    kind = "alive"


@dataclass(frozen=True)
class Outcome(Message):
    """How a job ended. `result` is the folder of `files`, relative to the job's folder; `error` as in JobStatus.

    `warm` says that the process waits for another job.
    """

    kind = "outcome"
    state: str
    error: dict[str, Any] | None = None
    result: str | None = None
    files: list[FileInfo] = field(default_factory=list)
    warm: bool = False


_KINDS: dict[str, type[Message]] = {cls.kind: cls for cls in (ProgressReport, Alive, Outcome)}


BEAT = 2.0
_one_at_a_time = threading.Lock()


def write(pipe: BinaryIO, message: ProgressReport | Alive | Outcome) -> None:
    """Write one message; the pipe is unbuffered, so a large one may take several writes."""
    data = memoryview(msgpack.packb(codec.encode(message, 0)))
    with _one_at_a_time:
        while data:
            data = data[pipe.write(data) :]


def beat(pipe: BinaryIO) -> None:
    """Say every `BEAT` seconds that this process runs, until the pipe is closed. For a thread of its own."""
    with suppress(OSError, ValueError):
        while True:
            write(pipe, Alive())
            time.sleep(BEAT)


def read(pipe: BinaryIO) -> Iterator[Message]:
    """The messages of a pipe until its end. Raises Ani3DError `protocol.*` for anything else."""
    unpacker = msgpack.Unpacker()
    while data := pipe.read1(1 << 16):  # type: ignore[attr-defined]
        unpacker.feed(data)
        try:
            received = list(unpacker)
        except (ValueError, msgpack.UnpackException) as error:
            raise codec.malformed_error(f"a report cannot be read ({type(error).__name__})") from None
        for frames in received:
            if not isinstance(frames, list) or not all(isinstance(frame, bytes) for frame in frames):
                raise codec.malformed_error("a report is no list of frames")
            yield codec.decode(codec.read_header(frames), frames[1:], _KINDS)
