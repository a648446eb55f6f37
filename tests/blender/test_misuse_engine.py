"""Misuse of the engine: killed at the worst moment, asked for what it does not know, started wrongly or twice.

It is the real engine with the stand-in job of tests/engine, whose settings say what the job does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import bpy
import pytest
import rigs
from test_round_trip import ENGINE
from unharmed import refused

pytestmark = pytest.mark.usefixtures("unharmed")
ROOT = Path(__file__).resolve().parents[2]
STAND_IN = ROOT / "tests" / "engine"
COMMAND = f"'{Path(ENGINE).with_name('python')}' '{STAND_IN / 'fake_engine.py'}'"


@pytest.fixture
def command(monkeypatch) -> str:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(STAND_IN), str(ROOT)]))
    return COMMAND


@pytest.fixture
def engine(session, command, tmp_path) -> Path:
    """A running engine, a bound character and its exported shot; the shot's file."""
    rigs.character(frames=3)
    bpy.ops.ani3d.bind_character()
    bpy.ops.ani3d.export_shot(filepath=str(tmp_path / "shot.npz"))
    bpy.ops.ani3d.start_engine(command=command, store=str(tmp_path / "store"))
    return tmp_path / "shot.npz"


def _submit(**settings) -> str:
    bpy.ops.ani3d.submit(settings=json.dumps(settings))
    return bpy.context.scene.ani3d.job_id


def _kill(session) -> None:
    session.link.process.kill()
    session.link.process.wait()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"do": "known error"}, "The avatar has no faces. Give it some."),
        ({"do": "disk full"}, "The disk is full"),
        ({"do": "crash"}, "SIGABRT"),
        ({"do": "unknown error"}, "who would have thought"),
    ],
)
def test_a_job_that_fails(engine, tmp_path, settings, sentence):
    _submit(**settings)
    with pytest.raises(RuntimeError) as caught:
        bpy.ops.ani3d.follow()
    text = str(caught.value)
    assert sentence in text and text.count("The job failed") == 1 and "Traceback" not in text
    assert "failed" in refused(bpy.ops.ani3d.fetch_result, directory=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    bpy.ops.ani3d.cancel_job()  # of an ended job: says how it ended


@pytest.mark.parametrize("operator", ["follow", "cancel_job", "fetch_result"])
def test_jobs_that_are_unknown(engine, operator):
    for job in ("unknown", "../../store", "7" * 64, "x" * 100_000, "🎭"):
        assert "job" in refused(getattr(bpy.ops.ani3d, operator), job=job)


def test_the_engine_is_killed_while_a_job_runs(engine, session, monkeypatch):
    _submit(steps=400, seconds=0.05)
    monkeypatch.setattr(session, "listener", lambda _moment: _kill(session))
    assert "engine has ended" in refused(bpy.ops.ani3d.follow)
    for operator in ("follow", "cancel_job", "fetch_result", "submit"):
        assert "engine" in refused(getattr(bpy.ops.ani3d, operator))
    bpy.ops.ani3d.stop_engine()
    assert "not running" in refused(bpy.ops.ani3d.follow)


def test_the_engine_is_killed_before_the_shot_is_sent(engine, session, part, monkeypatch):
    read = part("operators.job")._read_shot

    def killed(path):
        _kill(session)
        return read(path)

    monkeypatch.setattr(part("operators.job"), "_read_shot", killed)
    assert "engine" in refused(bpy.ops.ani3d.submit)
    assert not bpy.context.scene.ani3d.job_id


def test_the_engine_is_killed_while_files_are_fetched(engine, session, monkeypatch, tmp_path):
    _submit()
    bpy.ops.ani3d.follow()
    monkeypatch.setattr(session, "listener", lambda _moment: _kill(session))
    text = refused(bpy.ops.ani3d.fetch_result, directory=str(tmp_path / "out"))
    assert "engine" in text or "no frame cache" in text  # all may have come before
    assert session.transfer is None


def test_escape_while_files_are_fetched(engine, session, monkeypatch, tmp_path):
    _submit()
    bpy.ops.ani3d.follow()

    def press(_moment) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session, "listener", press)
        assert "cancelled" in refused(bpy.ops.ani3d.fetch_result, directory=str(tmp_path / "out"))
    assert session.transfer is None
    bpy.ops.ani3d.fetch_result(directory=str(tmp_path / "out"), import_into_scene=False)
    assert (tmp_path / "out" / "large.bin").stat().st_size == 5_500_000


def test_a_result_without_a_cache(engine, tmp_path):
    _submit()
    bpy.ops.ani3d.follow()
    assert "no frame cache" in refused(bpy.ops.ani3d.fetch_result, directory=str(tmp_path / "out"))


@pytest.mark.parametrize("where", ["a file", "below a file", "read only", "too long"])
def test_folders_that_cannot_take_a_result(engine, tmp_path, where):
    _submit()
    bpy.ops.ani3d.follow()
    (tmp_path / "file").write_text("in the way")
    folder = {"a file": "file", "below a file": "file/out", "read only": "/proc/sys/out", "too long": "x" * 300}[where]
    assert refused(bpy.ops.ani3d.fetch_result, directory=str(tmp_path / folder))
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_running_job_is_fetched_submitted_again_and_cancelled_twice(engine, tmp_path):
    job = _submit(steps=400, seconds=0.05)
    assert refused(bpy.ops.ani3d.fetch_result, directory=str(tmp_path / "out"))
    assert _submit(steps=400, seconds=0.05) == job  # the same work is found, not done again
    bpy.ops.ani3d.cancel_job()
    bpy.ops.ani3d.cancel_job()
    with pytest.raises(RuntimeError, match="The job was cancelled"):
        bpy.ops.ani3d.follow()
    bpy.ops.ani3d.cancel_job()
    assert "cancelled" in refused(bpy.ops.ani3d.fetch_result, directory=str(tmp_path / "out"))


@pytest.mark.parametrize("settings", ['{"a": ' + "[" * 500 + "]" * 500 + "}", '{"a": "' + "x" * 2_000_000 + '"}'])
def test_settings_that_no_message_can_hold(engine, settings):
    assert refused(bpy.ops.ani3d.submit, settings=settings)


def test_a_shot_without_what_every_shot_has(engine, tmp_path):
    import numpy as np

    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    assert "has no array" in refused(bpy.ops.ani3d.submit, shot=str(tmp_path / "other.npz"))


def test_started_twice_and_stopped_twice(engine, session, command, tmp_path):
    first = session.link.process
    bpy.ops.ani3d.start_engine(command=command, store=str(tmp_path / "another store"))
    assert session.is_open() and session.link.process is not first
    first.wait(10)
    bpy.ops.ani3d.stop_engine()
    bpy.ops.ani3d.stop_engine()
    bpy.ops.ani3d.start_engine(command=command, store=str(tmp_path / "store"))
    assert session.is_open()


@pytest.mark.parametrize("where", ["a file", "below a file", "read only", "too long"])
def test_stores_that_cannot_be(session, command, tmp_path, where):
    (tmp_path / "file").write_text("in the way")
    store = {"a file": "file", "below a file": "file/x", "read only": "/proc/sys/x", "too long": "x" * 300}[where]
    assert refused(bpy.ops.ani3d.start_engine, command=command, store=str(tmp_path / store))
    assert not session.is_open()


def test_the_engine_of_a_store_in_use_is_used(session, part, command, tmp_path):
    other = part("connection").start(command, tmp_path / "s")
    try:
        bpy.ops.ani3d.start_engine(command=command, store=str(tmp_path / "s"))
        assert session.current().process is None  # it ends with whoever started it
        assert session.current().welcome.pid == other.welcome.pid
    finally:
        session.close().result()
        other.close().result()


@pytest.mark.parametrize(
    "wrong",
    ["/no/such/engine", "'unclosed", "   ", ".", "/etc/passwd", "true", "false", "echo hello", "🎭"]
)  # fmt: skip
def test_commands_that_are_no_engine(session, tmp_path, wrong):
    text = refused(bpy.ops.ani3d.start_engine, command=wrong, store=str(tmp_path / "store"))
    assert "engine" in text.lower()
    assert not session.is_open()


@pytest.mark.parametrize("endpoint", ["tcp://", "tcp://127.0.0.1", "ipc://", "http://a:1", "\n"])
def test_addresses_that_are_none(session, endpoint):
    assert refused(bpy.ops.ani3d.start_engine, endpoint=endpoint)
    assert not session.is_open()


def test_another_file_is_opened_while_a_job_is_followed(engine, session, tmp_path):
    job = _submit(steps=40, seconds=0.05)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "walk.blend"))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    assert "No job has been submitted" in refused(bpy.ops.ani3d.follow)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "walk.blend"))
    assert bpy.context.scene.ani3d.job_id == job
    bpy.ops.ani3d.cancel_job()
    with pytest.raises(RuntimeError, match="The job was cancelled"):
        bpy.ops.ani3d.follow()
