"""Messages survive the way to frames and back, and nothing else gets through."""

from __future__ import annotations

import hashlib
import math

import msgpack
import numpy as np
import pytest

from ani3d_formats.errors import Ani3DError
from engine.wire import Event, JobStatus, codec
from engine.wire import messages as m
from engine.wire.upload import chunks, describe

PREVIEW = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
STATUS = JobStatus("abc", "failed", "rigid", 3, 10, math.inf, {"code": "c", "message": "m", "hint": "h"}, "Änn")
SHA = "0" * 64
MESSAGES = [
    m.Hello("a test"),
    m.Watch("abc", 5, 0.5),
    m.Status("abc"),
    m.Submit([m.ArrayInfo("meta", "<U3", [], SHA), m.ArrayInfo("vertices", "<f4", [5, 3], SHA)], {"seed": 3}, -5),
    m.Prepare("cloth"),
    m.Adjust("abc", None, True),
    m.List("abd"),
    m.Cancel("abc"),
    m.Files("abc"),
    m.Fetch("abc", "a/b.npy", 10, 20),
    m.Delete("abc"),
    m.Ping(),
    m.Shutdown(),
    m.Welcome(4, "0.1.0", "cpu", 42, ["compact"]),
    m.Accepted("abc", "queued", False),
    m.Job(STATUS),
    m.Wanted([m.Missing(SHA, 17)], "/store/incoming"),
    m.Stored(SHA, 18),
    m.Jobs([STATUS, STATUS], True),
    m.Listing([m.FileInfo("Ann.ani3d/position.npy", 5, SHA)], "/store/jobs/abc/out"),
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
    with_arrays = {"put", "event", "frame"}
    assert {message.kind for message in MESSAGES} | with_arrays == set(m.REQUESTS | m.REPLIES)


def test_what_is_put_together_again_is_the_shot(shot: dict[str, np.ndarray]) -> None:
    infos, held = describe({**shot, "large": np.arange(700_000, dtype=np.uint32)})
    assert [info.name for info in infos] == sorted([*shot, "large"])
    came: dict[str, bytes] = {info.sha256: b"" for info in infos}
    for put in chunks([m.Missing(digest, 0) for digest in came], held):
        back = travel(put)
        assert isinstance(back, m.Put) and back.offset == len(came[back.sha256])
        came[back.sha256] += back.data.tobytes()
    for info in infos:
        array = np.frombuffer(came[info.sha256], info.dtype).reshape(info.shape)
        np.testing.assert_array_equal(array, shot.get(info.name, np.arange(700_000)))
        assert hashlib.sha256(came[info.sha256]).hexdigest() == info.sha256


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
        describe({"odd": array})
    assert caught.value.code == "protocol.malformed"
    assert "odd" in caught.value.message


BAD_SUBMITS = {
    "too many": [m.ArrayInfo(str(n), "<f4", [1], SHA) for n in range(m.MAX_ARRAYS + 1)],
    "twice": [m.ArrayInfo("a", "<f4", [1], SHA)] * 2,
    "too large together": [m.ArrayInfo(str(n), "|u1", [m.MAX_ARRAY_BYTES], SHA) for n in range(3)],
}


@pytest.mark.parametrize("arrays", BAD_SUBMITS.values(), ids=list(BAD_SUBMITS))
def test_what_is_announced_is_bounded(arrays: list[m.ArrayInfo]) -> None:
    with pytest.raises(ValueError):
        m.Submit(arrays, {}, 0)


@pytest.mark.parametrize(
    ("dtype", "shape", "sha256"),
    [
        ("|O", [1], SHA),
        ("<f4", [1 << 31, 1 << 31, 1 << 2], SHA),
        ("<f4", [-1], SHA),
        ("<f4", [1] * 9, SHA),
        ("<f4", [1], "../../../etc/passwd"),
    ],
)
def test_what_is_no_array_is_not_announced(dtype: str, shape: list[int], sha256: str) -> None:
    with pytest.raises(ValueError):
        m.ArrayInfo("a", dtype, shape, sha256)


def put_parts(**changes: object) -> list[bytes]:
    """A `put` whose header entries can be changed."""
    header = {
        "protocol": m.PROTOCOL_VERSION,
        "kind": "put",
        "request": 9,
        "body": {"sha256": SHA, "offset": 0},
        "arrays": [["data", "|u1", [24]]],
        **changes,
    }
    return [msgpack.packb(header), bytes(24)]


def settings_of(value: object) -> list[bytes]:
    body = {"arrays": [], "settings": value, "priority": 0}
    return put_parts(kind="submit", body=body, arrays=[])[:1]


def nested(depth: int) -> list[object]:
    inner: list[object] = []
    for _ in range(depth - 1):
        inner = [inner]
    return inner


def test_settings_may_be_as_deep_as_the_limit_says() -> None:
    settings = {"a": nested(m.MAX_DEPTH - 1)}
    back = travel(m.Submit([], settings, 0))
    assert isinstance(back, m.Submit)
    assert back.settings == settings


BROKEN = {
    "no frames": ([], "malformed"),
    "no msgpack": ([b"\xc1\xff\x00 GET / HTTP/1.1"], "malformed"),
    "cut header": ([put_parts()[0][:-7], bytes(24)], "malformed"),
    "no map": ([msgpack.packb([1, 2])], "malformed"),
    "deep header": ([b"\x91" * 5000 + b"\xc0"], "malformed"),
    "deep settings": (settings_of({"a": nested(m.MAX_DEPTH)}), "malformed"),
    "large header": ([msgpack.packb({"a": "x" * m.MAX_HEADER_BYTES})], "limit"),
    "other version": (put_parts(protocol=99), "version"),
    "no version": (put_parts(protocol=None), "version"),
    "extra entry": (put_parts(more=1), "malformed"),
    "unknown kind": (put_parts(kind="obey"), "malformed"),
    "missing body": (put_parts(body={}), "malformed"),
    "wrong type": (settings_of(5), "malformed"),
    "bytes in settings": (settings_of({"a": b"x"}), "malformed"),
    "digest that is a path": (put_parts(body={"sha256": "../" * 22, "offset": 0}), "malformed"),
    "missing frame": (put_parts()[:1], "malformed"),
    "extra frame": ([*put_parts(), b""], "malformed"),
    "cut frame": ([put_parts()[0], bytes(23)], "malformed"),
    "object dtype": (put_parts(arrays=[["data", "|O", [3]]]), "malformed"),
    "structured dtype": (put_parts(arrays=[["data", "i4,f4", [3]]]), "malformed"),
    "negative size": (put_parts(arrays=[["data", "<f4", [-2, -3]]]), "malformed"),
    "size that wraps": (put_parts(arrays=[["data", "<f4", [1 << 31, 1 << 31, 1 << 2]]]), "malformed"),
    "too many dimensions": (put_parts(arrays=[["data", "<f4", [1] * 9]]), "malformed"),
    "entry of two": (put_parts(arrays=[["data", "<f4"]]), "malformed"),
    "array of nowhere": (put_parts(arrays=[["loot", "|u1", [24]]]), "malformed"),
    "no bytes": (put_parts(arrays=[["data", "<f4", [6]]]), "malformed"),
    "message larger than any": ([*put_parts()[:1], bytes(m.MAX_MESSAGE_BYTES + 1)], "limit"),
    "array twice": ([put_parts(arrays=[["data", "<f4", [6]]] * 2)[0], bytes(24), bytes(24)], "malformed"),
    "no characters": ([put_parts(arrays=[["data", "<U6", []]])[0], b"\xff" * 24], "malformed"),
    "long array table": (put_parts(arrays=[["data", "<f4", [0]]] * (m.MAX_ARRAYS + 1)), "limit"),
    "previews of other kinds": (
        [
            msgpack.packb(
                {
                    "protocol": m.PROTOCOL_VERSION,
                    "kind": "event",
                    "request": 1,
                    "body": {
                        "events": [
                            {
                                "seq": 0,
                                "stage": "",
                                "step": 0,
                                "total": 0,
                                "eta": 0,
                                "message": "",
                                "state": "done",
                                "loss": None,
                            }
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
        travel(m.Listing([_unchecked_file(name)], ""))
    assert caught.value.code == "protocol.malformed"


def _unchecked_file(name: str) -> m.FileInfo:
    info = m.FileInfo("fine", 1, SHA)
    object.__setattr__(info, "name", name)
    return info
