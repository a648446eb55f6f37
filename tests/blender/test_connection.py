"""The line to the engine: nobody there, another version, a command that is none, an engine that dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import Mock

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


def test_engine_of_another_protocol_version(session, part):
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
    assert not session.is_open()


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


def test_a_window_that_loses_the_engine_says_why_and_can_follow_on(session):
    session.watch("7")
    assert session.tick() is None  # the timer ends
    assert session.job is None
    assert "The engine is not running" in session.error


@pytest.fixture
def greeting(part):
    """The endpoint of an engine that greets, and no more."""
    import msgpack

    wire = part("carried.wire")
    welcome = wire.Welcome(wire.PROTOCOL_VERSION, "0.1.0", "cpu", 1, [])
    encode = part("carried.wire.codec").encode
    with _answering(lambda frames: encode(welcome, msgpack.unpackb(frames[0])["request"])) as endpoint:
        yield endpoint


def test_calls_go_on_beside_a_transfer_and_closing_waits_for_neither(session, part, greeting):
    started, release = threading.Event(), threading.Event()
    session.wait(session.start(lambda: part("connection").attach(greeting)))
    link = session.current()

    def fetch(_client) -> bool:
        started.set()
        while not link.closed.wait(0.05) and not release.is_set():
            pass
        return link.closed.is_set()

    transfer = link.transfer(fetch)
    assert started.wait(10)
    assert session.wait(link.call(lambda client: client.hello().device)) == "cpu"
    call = link.call(lambda _client: release.wait(20))
    closed = session.close()
    assert not session.is_open() and not call.done()
    assert transfer.result(10)  # told to stop
    release.set()
    assert closed.result(10) is None


def test_an_engine_that_has_the_store_already_is_used(session, part, tmp_path, greeting):
    ready = {"endpoint": greeting, "pid": os.getpid(), "protocol": 2}
    (tmp_path / "engine.json").write_text(json.dumps(ready))
    bpy.ops.ani3d.start_engine(command="/no/such/engine", store=str(tmp_path))
    assert session.current().process is None
    assert session.wait(session.current().transfer(lambda client: client.hello().device)) == "cpu"


def test_an_engine_that_will_not_end_is_killed_without_waiting_for_it(session, part, monkeypatch, greeting):
    connection = part("connection")
    monkeypatch.setattr(connection, "STOP_SECONDS", 0.5)
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    process.stdout.readline()
    session.link = connection.attach(greeting)
    session.link.process = process
    closed = session.close()
    assert process.poll() is None
    closed.result(10)
    assert process.poll() is not None


def test_closing_while_the_engine_starts_leaves_none_behind(session, part, greeting):
    release, links = threading.Event(), []

    def open_link():
        assert release.wait(10)
        links.append(part("connection").attach(greeting))
        return links[0]

    start = session.start(open_link)
    session.close()
    release.set()
    with pytest.raises(part("carried.formats.errors").Ani3DError, match="stopped before it was ready"):
        session.wait(start)
    assert links[0].closed.is_set() and not session.is_open()


def test_answers_for_a_job_that_is_followed_no_longer_are_dropped(session, part, monkeypatch):
    answers = {name: Future() for name in ("7", "8")}
    link = SimpleNamespace(
        call=lambda question: answers[question.keywords["job"]], check=lambda: None, alive=lambda: True
    )
    monkeypatch.setattr(session, "link", link)
    moment = part("jobs").Moment
    for job in ("7", "8"):
        session.watch(job)
        assert session.tick() is not None
    answers["7"].set_result((moment("7", "running", "refine", 3, 9, 1.0), 4))
    session.tick()
    assert session.job == moment("8", "queued", "", 0, 0, float("inf"))
    answers["8"].set_result((moment("8", "done", "", 9, 9, 0.0), 2))
    assert session.tick() is None
    assert session.moment_of("8").state == "done"
    assert session.moment_of("7") is None


def test_settings_and_shots_that_cannot_be_read(session, part, tmp_path, monkeypatch):
    on_thread = part("connection").on_thread
    link = SimpleNamespace(transfer=lambda function: on_thread(lambda: function(Mock())))
    monkeypatch.setattr(session, "current", lambda: link)
    assert "There is no shot file" in _error(bpy.ops.ani3d.submit)
    missing = tmp_path / "shot.npz"
    assert f"There is no shot file at '{missing}'" in _error(bpy.ops.ani3d.submit, shot=str(missing))
    rigs.character()
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(missing))
    assert "The settings are not JSON" in _error(bpy.ops.ani3d.submit, shot=str(missing), settings="{")
    missing.write_bytes(missing.read_bytes()[:-200])
    assert f"'{missing}' is not a whole shot file" in _error(bpy.ops.ani3d.submit, shot=str(missing))


def test_the_engine_is_found_where_installers_put_it(part, tmp_path, monkeypatch):
    """A Blender from a menu has a PATH without the folders of the user's shell."""
    connection = part("connection")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert connection.split_command("ani3dhuman-engine --workers 2") == ["ani3dhuman-engine", "--workers", "2"]
    assert not connection.is_installed("ani3dhuman-engine --workers 2")
    program = tmp_path / ".local" / "bin" / "ani3dhuman-engine"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    assert connection.is_installed("ani3dhuman-engine --workers 2")
    assert connection.split_command("ani3dhuman-engine --workers 2") == [str(program), "--workers", "2"]
    assert connection.split_command("/other/ani3dhuman-engine") == ["/other/ani3dhuman-engine"]
