"""The line to the engine: nobody there, another version, a command that is none, an engine that dies."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import pytest
import rigs
from test_bad_input import _error


@contextmanager
def _answering(reply) -> Iterator[str]:
    """A ROUTER on a free port that answers every message with the frames `reply(frames)`; gives its endpoint."""
    import zmq  # comes with the extension

    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            if router.poll(50):
                identity, *frames = router.recv_multipart()
                router.send_multipart([identity, *reply(frames)])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        stop.set()
        thread.join()
        context.destroy(linger=0)


def test_nothing_listens(addon):
    text = _error(bpy.ops.ani3d.start_engine, endpoint="tcp://127.0.0.1:9")
    assert "No engine at tcp://127.0.0.1:9" in text


def test_no_endpoint(addon):
    assert "nonsense" in _error(bpy.ops.ani3d.start_engine, endpoint="nonsense")


def test_engine_of_another_protocol_version(addon, part):
    import msgpack

    def reply(frames):
        header = msgpack.unpackb(frames[0])
        header.update(protocol=99, kind="welcome", arrays=[])
        return [msgpack.packb(header)]

    with _answering(reply) as endpoint:
        text = _error(bpy.ops.ani3d.start_engine, endpoint=endpoint)
    assert "99" in text
    assert f"this side {part('carried.wire').PROTOCOL_VERSION}" in text
    assert "version" in text or "protocol" in text
    assert not part("connection").is_open()


def test_something_else_that_answers_nonsense(addon):
    with _answering(lambda frames: [b"\x00garbage"]) as endpoint:
        text = _error(bpy.ops.ani3d.start_engine, endpoint=endpoint)
    assert "message" in text


def test_command_that_does_not_exist(addon, tmp_path):
    text = _error(bpy.ops.ani3d.start_engine, command="/no/such/engine", store=str(tmp_path))
    assert "could not be started with '/no/such/engine'" in text
    assert "preferences" in text


def test_engine_that_ends_while_starting(addon, tmp_path):
    script = tmp_path / "engine.py"
    script.write_text("print('the store is locked'); raise SystemExit(3)")
    text = _error(bpy.ops.ani3d.start_engine, command=f"{sys.executable} {script}", store=str(tmp_path / "store"))
    assert "ended while starting (exit code 3): the store is locked" in text
    assert "engine.log" in text


@pytest.mark.parametrize("operator", ["submit", "follow", "cancel_job", "fetch_result"])
def test_engine_not_running(addon, operator, tmp_path):
    rigs.character()
    bpy.context.scene.ani3d.job_id = "1"
    text = _error(getattr(bpy.ops.ani3d, operator))
    assert "The engine is not running. Start it with Start Engine first." in text


def test_a_window_that_loses_the_engine_says_why_and_can_follow_on(addon, part):
    jobs = part("jobs")
    jobs.watch("7")
    try:
        assert jobs._tick() is None  # the timer ends
        assert jobs.current is None
        assert "The engine is not running" in jobs.error
    finally:
        jobs.forget()


def test_settings_and_shots_that_cannot_be_read(addon, part, tmp_path, monkeypatch):
    monkeypatch.setattr(part("connection"), "current", lambda: None)
    assert "No shot has been exported" in _error(bpy.ops.ani3d.submit)
    missing = tmp_path / "shot.npz"
    assert f"There is no shot file at '{missing}'" in _error(bpy.ops.ani3d.submit, shot=str(missing))
    rigs.character()
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(missing))
    assert "The settings are not JSON" in _error(bpy.ops.ani3d.submit, shot=str(missing), settings="{")
    missing.write_bytes(missing.read_bytes()[:-200])
    assert f"'{missing}' is not a whole shot file" in _error(bpy.ops.ani3d.submit, shot=str(missing))
