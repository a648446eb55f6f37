"""Messages survive the way to frames and back, and nothing else gets through."""

from __future__ import annotations

import math

import msgpack
import numpy as np
import pytest

from ani3d_formats.errors import Ani3DError
from engine.wire import Event, JobStatus, codec
from engine.wire import messages as m

PREVIEW = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
STATUS = JobStatus("abc", "failed", "rigid", 3, 10, math.inf, {"code": "c", "message": "m", "hint": "h"}, "Änn")
SHA = "0" * 64
MESSAGES = [
    m.Hello("a test"),
    m.Watch("abc", 5, 0.5),
    m.Status("abc"),
    m.List(),
    m.Cancel("abc"),
    m.Files("abc"),
    m.Fetch("abc", "a/b.npy", 10, 20),
    m.Delete("abc"),
    m.Ping(),
    m.Shutdown(),
    m.Welcome(2, "0.1.0", "cpu", 42, ["compact"]),
    m.Accepted("abc", "queued", False),
    m.Job(STATUS),
    m.Jobs([STATUS, STATUS]),
    m.Listing([m.FileInfo("Ann.ani3d/position.npy", 5, SHA)]),
    m.Pong(),
    m.Done(),
    m.Error("disk.full", "It is full.", "Empty it."),
]


def travel(message: m.Message, request: int = 3) -> m.Message:
    frames = [bytes(part) for part in codec.encode(message, request)]
    header = codec.read_header(frames)
    assert header.request == request
    return codec.decode(header, frames[1:], m.REQUESTS | m.REPLIES)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.kind)
def test_messages_without_arrays_come_back_equal(message: m.Message) -> None:
    assert travel(message) == message


def test_every_kind_is_tried() -> None:
    with_arrays = {"submit", "event", "frame"}
    assert {message.kind for message in MESSAGES} | with_arrays == set(m.REQUESTS | m.REPLIES)


def test_a_shot_comes_back_bit_for_bit(shot: dict[str, np.ndarray]) -> None:
    settings = {"seed": 3, "fabric": "silk", "nested": [1.5, None, {"on": True}]}
    back = travel(m.Submit(shot, settings))
    assert isinstance(back, m.Submit)
    assert back.settings == settings
    assert set(back.shot) == set(shot)
    for name, array in shot.items():
        assert back.shot[name].shape == array.shape
        assert back.shot[name].dtype == array.dtype.newbyteorder("<")
        np.testing.assert_array_equal(back.shot[name], array)


def test_events_keep_their_own_preview() -> None:
    with_preview = Event(0, "rigid", 1, 2, 0.5, "so far", PREVIEW, "running")
    without = Event(1, "rigid", 2, 2, 0.0, "", None, "done")
    back = travel(m.Events([without, with_preview], 2))
    assert isinstance(back, m.Events)
    assert back.events[0] == without
    np.testing.assert_array_equal(back.events[1].preview, PREVIEW)


def test_arrays_are_views_of_the_frames() -> None:
    data = np.arange(1000, dtype=np.uint8)
    frames = [bytes(part) for part in codec.encode(m.Frame(0, data), 1)]
    frame = codec.decode(codec.read_header(frames), frames[1:], m.REPLIES)
    assert isinstance(frame, m.Frame)
    assert np.shares_memory(frame.data, np.frombuffer(frames[1], np.uint8))


@pytest.mark.parametrize("array", [np.array([{}]), np.zeros(2, "c8"), np.zeros(2, "M8[s]"), np.zeros(2, "V4")])
def test_other_dtypes_are_refused_before_they_are_sent(array: np.ndarray) -> None:
    with pytest.raises(Ani3DError) as caught:
        codec.encode(m.Submit({"odd": array}, {}), 1)
    assert caught.value.code == "protocol.malformed"
    assert "odd" in caught.value.message


def test_too_many_arrays_are_refused_before_they_are_sent() -> None:
    with pytest.raises(Ani3DError) as caught:
        codec.encode(m.Submit({str(i): np.zeros(1) for i in range(m.MAX_ARRAYS + 1)}, {}), 1)
    assert caught.value.code == "protocol.limit"


def submit_parts(**changes: object) -> list[bytes]:
    """A `submit` of one array whose header entries can be changed."""
    header = {
        "protocol": m.PROTOCOL_VERSION,
        "kind": "submit",
        "request": 9,
        "body": {"settings": {}},
        "arrays": [["shot/a", "<f4", [2, 3]]],
        **changes,
    }
    return [msgpack.packb(header), bytes(24)]


def nested(depth: int) -> list[object]:
    inner: list[object] = []
    for _ in range(depth - 1):
        inner = [inner]
    return inner


def test_settings_may_be_as_deep_as_the_limit_says() -> None:
    settings = {"a": nested(m.MAX_DEPTH - 1)}
    back = travel(m.Submit({}, settings))
    assert isinstance(back, m.Submit)
    assert back.settings == settings


BROKEN = {
    "no frames": ([], "malformed"),
    "no msgpack": ([b"\xc1\xff\x00 GET / HTTP/1.1"], "malformed"),
    "cut header": ([submit_parts()[0][:-7], bytes(24)], "malformed"),
    "no map": ([msgpack.packb([1, 2])], "malformed"),
    "deep header": ([b"\x91" * 5000 + b"\xc0"], "malformed"),
    "deep settings": (submit_parts(body={"settings": {"a": nested(m.MAX_DEPTH)}}), "malformed"),
    "large header": ([msgpack.packb({"a": "x" * m.MAX_HEADER_BYTES})], "limit"),
    "other version": (submit_parts(protocol=99), "version"),
    "no version": (submit_parts(protocol=None), "version"),
    "extra entry": (submit_parts(more=1), "malformed"),
    "unknown kind": (submit_parts(kind="obey"), "malformed"),
    "missing body": (submit_parts(body={}), "malformed"),
    "wrong type": (submit_parts(body={"settings": 5}), "malformed"),
    "bytes in settings": (submit_parts(body={"settings": {"a": b"x"}}), "malformed"),
    "missing frame": (submit_parts()[:1], "malformed"),
    "extra frame": ([*submit_parts(), b""], "malformed"),
    "cut frame": ([submit_parts()[0], bytes(23)], "malformed"),
    "object dtype": (submit_parts(arrays=[["shot/a", "|O", [3]]]), "malformed"),
    "structured dtype": (submit_parts(arrays=[["shot/a", "i4,f4", [3]]]), "malformed"),
    "negative size": (submit_parts(arrays=[["shot/a", "<f4", [-2, -3]]]), "malformed"),
    "size that wraps": (submit_parts(arrays=[["shot/a", "<f4", [1 << 31, 1 << 31, 1 << 2]]]), "malformed"),
    "too many dimensions": (submit_parts(arrays=[["shot/a", "<f4", [1] * 9]]), "malformed"),
    "entry of two": (submit_parts(arrays=[["shot/a", "<f4"]]), "malformed"),
    "array of nowhere": (submit_parts(arrays=[["loot/a", "<f4", [2, 3]]]), "malformed"),
    "array twice": ([submit_parts(arrays=[["shot/a", "<f4", [6]]] * 2)[0], bytes(24), bytes(24)], "malformed"),
    "no characters": ([submit_parts(arrays=[["shot/a", "<U6", []]])[0], b"\xff" * 24], "malformed"),
    "long array table": (submit_parts(arrays=[["shot/a", "<f4", [0]]] * (m.MAX_ARRAYS + 1)), "limit"),
    "previews of other kinds": (
        [
            msgpack.packb(
                {
                    "protocol": m.PROTOCOL_VERSION,
                    "kind": "event",
                    "request": 1,
                    "body": {
                        "events": [
                            {"seq": 0, "stage": "", "step": 0, "total": 0, "eta": 0, "message": "", "state": "done"}
                        ],
                        "next_since": 1,
                    },
                    "arrays": [["events/0/preview", "<f4", [2, 3]]],
                }
            ),
            bytes(24),
        ],
        "malformed",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_messages_give_one_clear_error(name: str) -> None:
    frames, expected = BROKEN[name]
    with pytest.raises(Ani3DError) as caught:
        codec.decode(codec.read_header(frames), frames[1:], m.REQUESTS | m.REPLIES)
    assert caught.value.code == f"protocol.{expected}"
    assert caught.value.hint


@pytest.mark.parametrize("name", ["../up", "/root", "a/../../b", "a\\b", "C:x", "", ".", "a//b"])
def test_a_file_name_never_leads_out_of_the_folder(name: str) -> None:
    with pytest.raises(Ani3DError) as caught:
        travel(m.Listing([_unchecked_file(name)]))
    assert caught.value.code == "protocol.malformed"


def _unchecked_file(name: str) -> m.FileInfo:
    info = m.FileInfo("fine", 1, SHA)
    object.__setattr__(info, "name", name)
    return info
