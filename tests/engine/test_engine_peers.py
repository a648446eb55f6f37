"""Bad peers and bad addresses: one clear error each, and the engine goes on."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zmq
from engine_process import Engine

from ani3d_formats.errors import Ani3DError
from engine.__main__ import main
from engine.wire import Client, codec
from engine.wire import messages as m

Shot = dict[str, np.ndarray]


@pytest.fixture
def raw() -> Iterator[zmq.Socket]:
    """A socket that can say anything."""
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    yield dealer
    dealer.close()
    context.term()


def connect(dealer: zmq.Socket, engine: Engine) -> None:
    """Connect as docs/protocol.md says."""
    dealer.plain_username = b"ani3dhuman"
    dealer.plain_password = engine.ready["token"].encode()
    dealer.connect(engine.endpoint)


def error_code(dealer: zmq.Socket) -> tuple[str, int]:
    """Code and request id of the `error` that arrives."""
    assert dealer.poll(3000), "no answer"
    frames = dealer.recv_multipart()
    header = codec.read_header(frames)
    reply = codec.decode(header, frames[1:], m.REPLIES)
    assert isinstance(reply, m.Error)
    return reply.code, header.request


# ---- messages that are none ----


def test_truncated_and_garbage_messages_are_answered(engine: Engine, raw: zmq.Socket) -> None:
    connect(raw, engine)
    whole = [bytes(part) for part in codec.encode(m.Put("0" * 64, 0, np.zeros(9, np.uint8)), 77)]
    raw.send_multipart(whole[:-1])
    assert error_code(raw) == ("protocol.malformed", 77)
    raw.send_multipart([whole[0], whole[1][:-1]])
    assert error_code(raw) == ("protocol.malformed", 77)
    raw.send_multipart(whole)
    assert error_code(raw) == ("put.unknown", 77)
    raw.send_multipart([whole[0][: len(whole[0]) // 2]])
    assert error_code(raw) == ("protocol.malformed", 0)
    for garbage in (b"", b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000), msgpack.packb("hello")):
        raw.send_multipart([garbage])
        assert error_code(raw) == ("protocol.malformed", 0)
    table = [["data", "<f4", [0]]] * (m.MAX_ARRAYS + 1)
    header = {"protocol": m.PROTOCOL_VERSION, "kind": "submit", "request": 78, "body": {}}
    raw.send_multipart([msgpack.packb({**header, "arrays": table})])
    assert error_code(raw) == ("protocol.limit", 78)
    raw.send_multipart(codec.encode(m.Pong(), 79))
    assert error_code(raw) == ("protocol.malformed", 79)
    with engine.client() as client:
        assert client.hello().pid == engine.process.pid


def test_bytes_that_are_no_zeromq_do_not_disturb(engine: Engine) -> None:
    host, port = engine.endpoint.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port))) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n" + os.urandom(1000))
        with engine.client() as client:
            client.hello()


def test_the_engine_refuses_another_version(engine: Engine, raw: zmq.Socket) -> None:
    connect(raw, engine)
    raw.send_multipart(codec.encode(m.Hello("of tomorrow"), 5, protocol=m.PROTOCOL_VERSION + 1))
    assert error_code(raw) == ("protocol.version", 5)
    header = {"protocol": 99, "kind": "hello", "request": 6, "manner": "unknown today"}
    raw.send_multipart([msgpack.packb(header)])
    assert error_code(raw) == ("protocol.version", 6)


def one_answer(protocol: int, context: zmq.Context) -> tuple[str, threading.Thread]:
    """An engine of protocol version `protocol` that answers one request."""
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")

    def answer() -> None:
        client, header = router.recv_multipart()
        request = msgpack.unpackb(header)["request"]
        router.send_multipart([client, *codec.encode(m.Error("x", "y", "z"), request, protocol)])
        router.close(linger=500)

    thread = threading.Thread(target=answer)
    thread.start()
    return f"tcp://127.0.0.1:{port}", thread


def test_the_client_refuses_another_version() -> None:
    context = zmq.Context()
    endpoint, thread = one_answer(m.PROTOCOL_VERSION + 1, context)
    with Client(endpoint) as client, pytest.raises(Ani3DError) as caught:
        client.hello()
    thread.join(5)
    context.term()
    assert caught.value.code == "protocol.version"
    assert str(m.PROTOCOL_VERSION + 1) in caught.value.message and "release" in caught.value.hint


# ---- no engine ----


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_no_engine_is_told_before_the_timeout() -> None:
    with Client(f"tcp://127.0.0.1:{free_port()}") as client, pytest.raises(Ani3DError) as caught:
        client.hello()
    assert caught.value.code == "engine.unreachable" and "ani3dhuman-engine" in caught.value.hint


def test_something_else_that_listens_is_not_waited_for_long() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        endpoint = f"tcp://127.0.0.1:{deaf.getsockname()[1]}"
        with Client(endpoint, timeout=0.5) as client, pytest.raises(Ani3DError) as caught:
            client.hello()
    assert caught.value.code == "engine.timeout"


@pytest.mark.parametrize("endpoint", ["127.0.0.1:5817", "tcp://127.0.0.1", "tcp://127.0.0.1:99999", "ipc:///tmp/x"])
def test_a_bad_endpoint_is_named(endpoint: str) -> None:
    with Client(endpoint) as client, pytest.raises(Ani3DError) as caught:
        client.hello()
    assert caught.value.code == "engine.unreachable" and endpoint in caught.value.message


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::1", "example.org"])
def test_the_engine_does_not_listen_beyond_loopback(
    host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--host", host, "--port", "0", "--store", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("engine.address") and host in said and "SSH" in said


def test_a_taken_port_and_a_taken_store_are_named(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = engine.endpoint.rpartition(":")[2]
    assert main(["--port", port, "--store", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("engine.address")
    assert main(["--port", "0", "--store", str(engine.store)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("store.locked") and engine.endpoint in said


def test_a_file_cannot_be_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "store").touch()
    assert main(["--port", "0", "--store", str(tmp_path / "store")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("store.unusable") and str(tmp_path / "store") in said


def test_an_engine_that_cannot_start_says_why_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise RuntimeError("who would have thought")

    monkeypatch.setattr("engine.__main__.Server", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert main(["--port", "0", "--store", str(tmp_path / "store")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("engine.internal: ") and "RuntimeError: who would have thought" in said
    assert "Traceback" not in said and len(said.strip().splitlines()) == 1
    (log,) = tmp_path.glob("*.log")
    assert str(log) in said and "in broken" in log.read_text()
