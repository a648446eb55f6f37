"""Every message kind as a frozen dataclass: the one place where the protocol is defined.

A field is an int, float, bool, str, a plain dict, a list of records, an array, or a dict of arrays. Arrays
do not travel inside the body: each goes as a raw frame of its own, named by its place in the body
("shot/vertices", "events/0/preview"). `engine.wire.codec` does that from the type hints given here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar

import numpy as np

PROTOCOL_VERSION = 2

MAX_HEADER_BYTES = 1 << 20
MAX_ARRAYS = 256
MAX_DIMENSIONS = 8
MAX_ARRAY_BYTES = 2 << 30
MAX_MESSAGE_BYTES = 4 << 30
MAX_DEPTH = 16  # of lists and maps inside settings
MAX_NAME = 256  # characters of an array name or of a result file's name
MAX_CHUNK_BYTES = 1 << 20
FETCH_WINDOW = 4  # chunks a client may have asked for and not yet received
MAX_OPEN = 5000  # requests held for a client that does not read its answers
MAX_OPEN_BYTES = 64 << 20  # of them together
MAX_WAIT = 10.0  # seconds the engine holds a watch open
MAX_WATCHES = 256  # watches held at once; the oldest is answered when there are more
MAX_EVENTS = 256  # events in one reply
MAX_PREVIEW = 128  # pixels on a preview's longer side

JOB_STATES = ("queued", "running", "done", "failed", "cancelled")


class Message:
    """Base of all kinds; `kind` is its name in the header."""

    kind: ClassVar[str]


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise ValueError(text)


# ---- records inside messages ----


@dataclass(frozen=True)
class JobStatus:
    """Where a job stands. `eta` is seconds left in the stage (inf when unknown); `error` is set when failed.

    `error` is {"code", "message", "hint"}; `stage`, `step` and `total` are those of the last report.
    """

    id: str
    state: str
    stage: str
    step: int
    total: int
    eta: float
    error: dict[str, Any] | None
    name: str

    def __post_init__(self) -> None:
        _require(self.state in JOB_STATES, f"'{self.state}' is no job state")


@dataclass(frozen=True)
class Event:
    """One report of a job, numbered from 0. `preview` is (H,W,3) uint8 sRGB, row 0 on top, at most 128 px."""

    seq: int
    stage: str
    step: int
    total: int
    eta: float
    message: str
    preview: np.ndarray | None = field(compare=False)
    state: str

    def __post_init__(self) -> None:
        _require(self.state in JOB_STATES, f"'{self.state}' is no job state")
        if self.preview is not None:
            good = self.preview.ndim == 3 and self.preview.shape[2] == 3 and self.preview.dtype == np.uint8
            _require(good and max(self.preview.shape) <= MAX_PREVIEW, "a preview is (H,W,3) uint8, at most 128 px")


@dataclass(frozen=True)
class FileInfo:
    """A result file: `name` is a relative path with forward slashes, `size` in bytes, `sha256` in hex."""

    name: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        # A client joins names to a folder of its own, so a name may never lead out of it.
        path = PurePosixPath(self.name)
        safe = (
            self.name == str(path) and bool(path.parts) and not path.is_absolute() and not {"..", "."} & set(path.parts)
        )
        _require(safe and not set(self.name) & set("\\:\0"), f"'{self.name}' is no relative file name")
        _require(len(self.name) <= MAX_NAME and self.size >= 0 and len(self.sha256) == 64, "bad file record")


# ---- what the client sends ----


@dataclass(frozen=True)
class Hello(Message):
    kind = "hello"
    client: str


@dataclass(frozen=True)
class Submit(Message):
    kind = "submit"
    shot: dict[str, np.ndarray]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Watch(Message):
    kind = "watch"
    job: str
    since: int
    wait: float

    def __post_init__(self) -> None:
        _require(self.since >= 0 and 0 <= self.wait <= MAX_WAIT, "since or wait is out of range")


@dataclass(frozen=True)
class Status(Message):
    kind = "status"
    job: str


@dataclass(frozen=True)
class List(Message):
    kind = "list"


@dataclass(frozen=True)
class Cancel(Message):
    kind = "cancel"
    job: str


@dataclass(frozen=True)
class Files(Message):
    kind = "files"
    job: str


@dataclass(frozen=True)
class Fetch(Message):
    kind = "fetch"
    job: str
    name: str
    offset: int
    size: int

    def __post_init__(self) -> None:
        _require(self.offset >= 0 and 0 <= self.size <= MAX_CHUNK_BYTES, "offset or size is out of range")


@dataclass(frozen=True)
class Delete(Message):
    kind = "delete"
    job: str


@dataclass(frozen=True)
class Ping(Message):
    kind = "ping"


@dataclass(frozen=True)
class Shutdown(Message):
    kind = "shutdown"


# ---- what the engine answers ----


@dataclass(frozen=True)
class Welcome(Message):
    """Who answers: protocol version, the library's version, "cpu" or "cuda: NAME", process id, priors it has."""

    kind = "welcome"
    protocol: int
    engine_version: str
    device: str
    pid: int
    priors: list[str]


@dataclass(frozen=True)
class Accepted(Message):
    kind = "accepted"
    job: str
    state: str
    found: bool

    def __post_init__(self) -> None:
        _require(self.state in JOB_STATES, f"'{self.state}' is no job state")


@dataclass(frozen=True)
class Events(Message):
    kind = "event"
    events: list[Event]
    next_since: int


@dataclass(frozen=True)
class Job(Message):
    kind = "job"
    status: JobStatus


@dataclass(frozen=True)
class Jobs(Message):
    kind = "jobs"
    jobs: list[JobStatus]


@dataclass(frozen=True)
class Listing(Message):
    kind = "listing"
    files: list[FileInfo]


@dataclass(frozen=True)
class Frame(Message):
    kind = "frame"
    offset: int
    data: np.ndarray

    def __post_init__(self) -> None:
        _require(self.data.dtype == np.uint8 and self.data.ndim == 1, "data is a row of bytes")


@dataclass(frozen=True)
class Pong(Message):
    kind = "pong"


@dataclass(frozen=True)
class Done(Message):
    kind = "done"


@dataclass(frozen=True)
class Error(Message):
    kind = "error"
    code: str
    message: str
    hint: str


REQUESTS: dict[str, type[Message]] = {
    cls.kind: cls for cls in (Hello, Submit, Watch, Status, List, Cancel, Files, Fetch, Delete, Ping, Shutdown)
}
REPLIES: dict[str, type[Message]] = {
    cls.kind: cls for cls in (Welcome, Accepted, Events, Job, Jobs, Listing, Frame, Pong, Done, Error)
}
