"""A session of protocol 6 as it went over the wire, byte for byte: whoever speaks it today can be spoken to tomorrow.

`session_6.json` holds the frames of each message in hex. It is written by hand once for a version of the protocol
(`python tests/engine/test_recorded_session.py`) and never changed afterwards: what changes bytes is another version.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ani3d_formats.errors import Ani3DError
from engine.wire import Event, FileInfo, JobStatus, codec
from engine.wire import messages as m

RECORD = Path(__file__).with_name(f"session_{m.PROTOCOL_VERSION}.json")
JOB, SHA, OTHER = "c661c41b3f8b7408e19e", "9f" * 32, "6a" * 32
PICTURE = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(4, 3, 3)
ERROR = {"code": "disk.full", "message": "Der Platz ist voll: Änn.", "hint": "Free some."}
RUNNING = JobStatus(JOB, "running", "refine", 3, 48, 1.9, None, "Änn", 10, False)
FAILED = JobStatus(JOB, "failed", "refine", 3, 48, 0.0, ERROR, "Änn", -5, False)
ARRAYS = [m.ArrayInfo("meta", "<U412", [], OTHER), m.ArrayInfo("vertices", "<f4", [8412, 3], SHA)]
SESSION: list[m.Message] = [
    m.Hello("Blender 5.0.1, add-on 0.1.0"),
    m.Welcome(6, "0.1.0", "cpu", 4711, ["compact"], {"free_gb": 12.5, "errors": 0}),
    m.Prepare("cloth"),
    m.Submit(ARRAYS, {"preset": "preview", "seed": 3, "strength": 0.5, "nested": [1, None, {"on": True}]}, 10),
    m.Wanted([m.Missing(SHA, 1 << 20)], "/store/incoming"),
    m.Put(SHA, 1 << 20, np.arange(40, dtype=np.uint8)),
    m.Stored(SHA, (1 << 20) + 40),
    m.Accepted(JOB, "queued", False),
    m.Watch(JOB, 12, 0.5),
    m.Events(
        [
            Event(12, "refine", 3, 48, 1.9, "loss 0.0123", PICTURE, "running", 0.0123),
            Event(13, "refine", 4, 48, float("inf"), "", None, "running", None),
        ],
        14,
    ),
    m.Status(JOB),
    m.Job(RUNNING),
    m.Adjust(JOB, None, True),
    m.Job(FAILED),
    m.List(""),
    m.Jobs([RUNNING, FAILED], True),
    m.Files(JOB),
    m.Listing([FileInfo("Änn.ani3d/manifest.json", 1874, OTHER)], "/store/jobs/out"),
    m.Fetch(JOB, "Änn.ani3d/manifest.json", 0, 1874),
    m.Frame(0, np.arange(7, dtype=np.uint8)),
    m.Cancel(JOB),
    m.Error("job.unknown", "There is no job 'abc'.", "Ask for the list of jobs."),
    m.Delete(JOB),
    m.Done(),
    m.Ping(),
    m.Pong(),
    m.Shutdown(),
]


def frames_of(number: int) -> list[str]:
    return [bytes(frame).hex() for frame in codec.encode(SESSION[number], number)]


def recorded() -> list[list[str]]:
    return json.loads(RECORD.read_text())


@pytest.mark.parametrize("number", range(len(SESSION)), ids=lambda number: SESSION[number].kind)
def test_bytes_are_those_of_the_record(number: int) -> None:
    assert frames_of(number) == recorded()[number]


@pytest.mark.parametrize("number", range(len(SESSION)), ids=lambda number: SESSION[number].kind)
def test_the_record_is_read_as_what_was_said(number: int) -> None:
    frames = [bytes.fromhex(frame) for frame in recorded()[number]]
    header = codec.read_header(frames)
    assert header.request == number
    message = codec.decode(header, frames[1:], m.REQUESTS | m.REPLIES)
    assert type(message) is type(SESSION[number]) and codec.encode(message, number) == frames


def test_every_kind_is_in_the_record() -> None:
    assert {message.kind for message in SESSION} == set(m.REQUESTS) | set(m.REPLIES)
    assert len(recorded()) == len(SESSION)


def test_a_record_with_one_byte_less_is_refused() -> None:
    for record in recorded():
        frames = [bytes.fromhex(frame) for frame in record]
        with pytest.raises(Ani3DError):
            cut = [frames[0][:-1], *frames[1:]] if len(frames) == 1 else [*frames[:-1], frames[-1][:-1]]
            codec.decode(codec.read_header(cut), cut[1:], m.REQUESTS | m.REPLIES)


if __name__ == "__main__":
    RECORD.write_text(json.dumps([frames_of(number) for number in range(len(SESSION))], indent=0) + "\n")
