"""Every message kind as a frozen dataclass: the one place where the protocol is defined.

A field is an int, float, bool, str, a plain dict, a list of records, an array, or a dict of arrays. Arrays
do not travel inside the body: each goes as a raw frame of its own, named by its place in the body
("shot/vertices", "events/0/preview"). `engine.wire.codec` does that from the type hints given here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, ClassVar

import numpy as np

from .dtypes import travels

PROTOCOL_VERSION = 6

MAX_HEADER_BYTES = 1 << 20
MAX_ARRAYS = 256
MAX_DIMENSIONS = 8
MAX_ARRAY_BYTES = 2 << 30  # of one array of a shot
MAX_SHOT_BYTES = 4 << 30  # of all its arrays
MAX_MESSAGE_BYTES = 16 << 20  # of the frames of one message
MAX_DEPTH = 16  # of lists and maps inside settings
MAX_NAME = 256  # characters of an array name or of a result file's name
MAX_CHUNK_BYTES = 4 << 20  # of one `put` or `fetch`
FETCH_WINDOW = 3  # chunks a client may have asked for and not yet received
LAID = 1 << 20  # bytes from which on an array is laid into the engine's folder on the same machine
PUT_WINDOW = 4  # chunks a client may have sent and not yet heard of
MAX_OPEN = 5000  # requests held for a client that does not read its answers
MAX_OPEN_BYTES = 64 << 20  # of them together
MAX_WAIT = 10.0  # seconds the engine holds a watch open
MAX_WATCHES = 256  # watches held at once; the oldest is answered when there are more
MAX_EVENTS = 256  # events in one reply
MAX_PREVIEW = 128  # pixels on a preview's longer side
MAX_LISTED = 500  # jobs in one list
MAX_PRIORITY = 100  # of a job; the least is the same below zero

JOB_STATES = ("queued", "running", "done", "failed", "cancelled")


class Message:
    """Base of all kinds; `kind` is its name in the header."""

    kind: ClassVar[str]


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise ValueError(text)


def is_sha256(text: str) -> bool:
    """Whether the text is 64 hex digits, which are also a safe name of a file."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


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
    priority: int = 0
    paused: bool = False

    def __post_init__(self) -> None:
        _require(self.state in JOB_STATES, f"'{self.state}' is no job state")


@dataclass(frozen=True)
class ArrayInfo:
    """An array of a shot by what it holds: `sha256` is that of its bytes, C order, little-endian."""

    name: str
    dtype: str
    shape: list[int]
    sha256: str

    def __post_init__(self) -> None:
        good = len(self.name) <= MAX_NAME and travels(self.dtype) and len(self.shape) <= MAX_DIMENSIONS
        good = good and all(0 <= n <= MAX_ARRAY_BYTES for n in self.shape) and self.nbytes <= MAX_ARRAY_BYTES
        _require(good and is_sha256(self.sha256), f"'{self.name[:40]}' is described as no array that travels")

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize  # Python's integers: nothing wraps around


@dataclass(frozen=True)
class Missing:
    """Bytes that the engine lacks: those of `sha256` from number `have` on."""

    sha256: str
    have: int

    def __post_init__(self) -> None:
        _require(is_sha256(self.sha256) and self.have >= 0, "bad record of a missing array")


@dataclass(frozen=True)
class Event:
    """One report of a job, numbered from 0.

    `preview` is (H,W,3) uint8 sRGB, row 0 on top, at most 128 px; `loss` is what a fit has reached, None elsewhere.
    """

    seq: int
    stage: str
    step: int
    total: int
    eta: float
    message: str
    preview: np.ndarray | None = field(compare=False)
    state: str
    loss: float | None = None

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
class Prepare(Message):
    """A job of this preset is about to be submitted."""

    kind = "prepare"
    preset: str

    def __post_init__(self) -> None:
        _require(len(self.preset) <= MAX_NAME, "the preset's name is too long")


@dataclass(frozen=True)
class Submit(Message):
    kind = "submit"
    arrays: list[ArrayInfo]
    settings: dict[str, Any]
    priority: int

    def __post_init__(self) -> None:
        names = {info.name for info in self.arrays}
        _require(len(names) == len(self.arrays) <= MAX_ARRAYS, "an array comes twice, or there are too many")
        _require(sum(info.nbytes for info in self.arrays) <= MAX_SHOT_BYTES, "the shot is larger than any may be")
        _require(abs(self.priority) <= MAX_PRIORITY, "the priority is out of range")


@dataclass(frozen=True)
class Put(Message):
    kind = "put"
    sha256: str
    offset: int
    data: np.ndarray

    def __post_init__(self) -> None:
        good = self.data.dtype == np.uint8 and self.data.ndim == 1 and self.data.nbytes <= MAX_CHUNK_BYTES
        _require(good and is_sha256(self.sha256) and self.offset >= 0, "bytes, digest or offset are none")


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
    after: str


@dataclass(frozen=True)
class Cancel(Message):
    kind = "cancel"
    job: str


@dataclass(frozen=True)
class Adjust(Message):
    kind = "adjust"
    job: str
    priority: int | None
    paused: bool | None

    def __post_init__(self) -> None:
        _require(abs(self.priority or 0) <= MAX_PRIORITY, "the priority is out of range")


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
    """Who answers: protocol version, the library's version, "cpu (WHY)" or "cuda: NAME", process id, priors it has.

    `health` holds numbers by name: what the engine uses, and what it has left (`engine.health`).
    """

    kind = "welcome"
    protocol: int
    engine_version: str
    device: str
    pid: int
    priors: list[str]
    health: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepted(Message):
    kind = "accepted"
    job: str
    state: str
    found: bool

    def __post_init__(self) -> None:
        _require(self.state in JOB_STATES, f"'{self.state}' is no job state")


@dataclass(frozen=True)
class Wanted(Message):
    """What a `submit` lacks, in the order in which it is to be put.

    `folder` is where a client on the same machine may lay whole arrays as SHA256.local; "" elsewhere.
    """

    kind = "wanted"
    arrays: list[Missing]
    folder: str


@dataclass(frozen=True)
class Stored(Message):
    """How many bytes of an array the engine has now."""

    kind = "stored"
    sha256: str
    have: int


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
    more: bool


@dataclass(frozen=True)
class Listing(Message):
    kind = "listing"
    files: list[FileInfo]
    folder: str


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


_ASKED = (Hello, Prepare, Submit, Put, Watch, Status, List, Cancel, Adjust, Files, Fetch, Delete, Ping, Shutdown)
_ANSWERED = (Welcome, Accepted, Wanted, Stored, Events, Job, Jobs, Listing, Frame, Pong, Done, Error)
REQUESTS: dict[str, type[Message]] = {cls.kind: cls for cls in _ASKED}
REPLIES: dict[str, type[Message]] = {cls.kind: cls for cls in _ANSWERED}
