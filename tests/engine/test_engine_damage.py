"""Damaged stores and workers that die or hang: nothing is lost, and nothing wrong is called done."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from engine_process import Engine, is_running, running_engine, wait_for, wait_state
from tables import submit

from ani3d_formats.errors import Ani3DError
from engine import worker
from engine.__main__ import main
from engine.executors import LocalProcesses
from engine.job_folders import set_aside, write_outcome
from engine.job_table import JobTable
from engine.wire import Client, JobStatus, codec
from engine.wire import messages as m

Shot = dict[str, np.ndarray]
LONG = {"steps": 1000, "seconds": 0.05}


def garbage(table: Path) -> None:
    table.write_bytes(b"this is no database, and long enough to look like one" * 100)


def cut(table: Path) -> None:
    os.truncate(table, table.stat().st_size // 2 + 100)


def zero_pages(table: Path) -> None:
    data = table.read_bytes()
    table.write_bytes(data[:4096] + bytes(len(data) - 4096))


def lose(table: Path) -> None:
    table.unlink()


@pytest.mark.parametrize("harm", [garbage, cut, zero_pages, lose])
def test_a_lost_or_garbled_table_is_made_again_from_the_folders(
    tmp_path: Path, shot: Shot, harm: Callable[[Path], None]
) -> None:
    store = tmp_path / "store"
    with running_engine(store) as engine, engine.client() as client:
        done, failed = client.submit(shot, {}), client.submit(shot, {"do": "known error"})
        wait_state(client, failed, "failed")  # which shows at once; success only when it is stored
        wait_state(client, done, "done")
        files = client.files(done)
    written = (store / "jobs" / done / "out" / "result" / "large.bin").stat().st_mtime_ns
    harm(store / "jobs.sqlite")
    with running_engine(store) as engine, engine.client() as client:
        assert {status.id: (status.state, status.name) for status in client.jobs()} == {
            done: ("done", "Änn"),
            failed: ("failed", "Änn"),
        }
        assert (client.status(failed).error or {})["code"] == "avatar.no_faces"
        assert client.files(done) == files
        assert client.submit(shot, {}) == done and client.status(done).state == "done"
        client.fetch(done, "large.bin", tmp_path / "large.bin")
    assert (store / "jobs" / done / "out" / "result" / "large.bin").stat().st_mtime_ns == written, "not computed again"
    assert len(list(store.glob("jobs.sqlite.*.broken"))) == (harm is not lose)


def test_what_was_waiting_when_the_table_was_lost_still_ends(tmp_path: Path, shot: Shot) -> None:
    store = tmp_path / "store"
    with running_engine(store) as engine, engine.client() as client:
        jobs = [client.submit(shot, {"n": n, **(LONG if n == 0 else {})}) for n in range(3)]
        wait_state(client, jobs[0], "running")
        engine.process.send_signal(signal.SIGKILL)
        engine.process.wait(5)
    lose(store / "jobs.sqlite")
    for end in ("-wal", "-shm"):
        (store / f"jobs.sqlite{end}").unlink(missing_ok=True)
    with running_engine(store) as engine, engine.client() as client:
        wait_state(client, jobs[0], "running")
        client.cancel(jobs[0])
        for job in jobs[1:]:
            wait_state(client, job, "done")


def test_repair_says_what_each_job_is_worth(tmp_path: Path, shot: Shot, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    with running_engine(store) as engine, engine.client() as client:
        good, bad = client.submit(shot, {"n": 1}), client.submit(shot, {"n": 2})
        for job in (good, bad):
            wait_state(client, job, "done")
    flip(store / "jobs" / bad / "out" / "result" / "large.bin")
    assert main(["repair", "--store", str(store)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert {f"{good} done Änn", f"{bad} damaged: submit it again Änn"} == set(said[:2]) and said[2].startswith("2 jobs")
    with running_engine(store) as engine:
        assert main(["repair", "--store", str(store)]) == 1
        assert capsys.readouterr().err.startswith("store.locked")


def flip(path: Path) -> None:
    """Change one bit in the middle of a file, not of others that are the same on the disk."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("what", ["a result", "an array"])
def test_one_changed_bit_is_healed_by_submitting_again(tmp_path: Path, shot: Shot, what: str) -> None:
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        job = client.submit(shot, {})
        wait_state(client, job, "done")
        result = engine.store / "jobs" / job / "out" / "result" / "large.bin"
        wanted = result.read_bytes()
        if what == "a result":
            flip(result)
        else:
            for blob in (engine.store / "blobs").glob("??/*"):
                if blob.stat().st_size:
                    flip(blob)
            result.unlink()
        assert client.submit(shot, {}) == job
        wait_state(client, job, "done")
        assert client.fetch(job, "large.bin", tmp_path / "large.bin").read_bytes() == wanted


def test_a_deletion_that_was_cut_short_is_ended(tmp_path: Path, shot: Shot) -> None:
    table = JobTable(tmp_path)
    job = submit(table, shot, {})
    other = submit(table, shot, {"n": 1})
    set_aside(table.folder(job))
    table.close()
    table = JobTable(tmp_path)
    assert [status.id for status in table.all_jobs()] == [other]
    assert [folder.name for folder in (tmp_path / "jobs").iterdir()] == [other]
    table.delete(other)
    table.close()
    assert list((tmp_path / "blobs").glob("??/*")) == []


def test_what_killed_submissions_left_is_removed(tmp_path: Path, shot: Shot) -> None:
    table = JobTable(tmp_path)
    submit(table, shot, {})
    table.close()
    kept = sorted((tmp_path / "blobs").glob("??/*"))
    for name in (".0000.partial", "0" * 64):
        (tmp_path / "blobs" / "00").mkdir(exist_ok=True)
        (tmp_path / "blobs" / "00" / name).write_bytes(bytes(100))
    JobTable(tmp_path).close()
    assert sorted((tmp_path / "blobs").glob("??/*")) == kept


def test_first_in_first_out_by_any_clock(tmp_path: Path, shot: Shot, monkeypatch: pytest.MonkeyPatch) -> None:
    table = JobTable(tmp_path)
    jobs = []
    for n, now in enumerate((1e9, 1e9 - 2 * 86400, 1e9 + 30 * 86400, 1e9 + 1)):
        monkeypatch.setattr("engine.job_table.time.time", lambda now=now: now)
        jobs.append(submit(table, shot, {"n": n}))
    assert [status.id for status in table.all_jobs()] == jobs[::-1]
    assert table.next_queued() == jobs[0]
    table.close()


def test_long_names_and_errors_break_no_list(tmp_path: Path, shot: Shot) -> None:
    table = JobTable(tmp_path)
    with pytest.raises(Ani3DError) as caught:
        submit(table, {**shot, "meta": np.array("x" * 1_100_000)}, {})
    assert caught.value.code == "job.limit" and table.all_jobs() == []
    job = submit(table, shot, {})
    error = {"code": "job.failed", "message": "y" * 600_000, "hint": ""}
    table.note(JobStatus(job, "failed", "", 0, 0, 0.0, error, "Ann"))
    assert len((table.status(job).error or {})["message"]) == 1000
    rows = [(f"{n:020}", "z" * 5000, "failed", json.dumps({**error, "message": "y" * 2000}), n) for n in range(1500)]
    with table._transaction():  # as a store of an older engine may hold them
        table._rows.executemany("INSERT INTO jobs (id, name, state, error, queued) VALUES (?, ?, ?, ?, ?)", rows)
    listed, more = table.jobs()
    assert more and 250 < len(listed) <= m.MAX_LISTED and listed[0].id == job and listed[1].id == f"{1499:020}"
    assert len(codec.encode(m.Jobs(listed, more), 1)[0]) < m.MAX_HEADER_BYTES
    assert [status.id for status in table.all_jobs()] == [job, *(f"{n:020}" for n in reversed(range(1500)))]
    table.close()


# ---- stops, crashes, hangs ----


@pytest.mark.parametrize("how", ["SIGTERM", "SIGHUP"])
def test_any_number_of_clean_stops_is_harmless(tmp_path: Path, shot: Shot, how: str) -> None:
    store, job = tmp_path / "store", ""
    for _ in range(5):
        with running_engine(store) as engine, engine.client() as client:
            job = job or client.submit(shot, LONG)
            wait_state(client, job, "running")
            engine.process.send_signal(getattr(signal, how))
            assert engine.process.wait(5) == 0
            assert not (store / "engine.json").exists()
    with running_engine(store) as engine, engine.client() as client:
        wait_state(client, job, "running")


@pytest.mark.parametrize("do", ["crash once", "stop once"])
def test_a_job_whose_process_dies_or_hangs_is_tried_again(tmp_path: Path, shot: Shot, do: str) -> None:
    with running_engine(tmp_path / "store", "--silence", "6") as engine, engine.client() as client:
        job = client.submit(shot, {"do": do})
        wait_for(lambda: (engine.store / "jobs" / job / "out" / "again").exists())
        first = int((engine.store / "jobs" / job / "out" / "worker.pid").read_text())
        wait_state(client, job, "done", "failed")
        assert client.status(job).state == "done"
        assert not is_running(first)


def test_a_job_that_waits_for_its_second_try_can_be_cancelled(tmp_path: Path, shot: Shot) -> None:
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        job = client.submit(shot, {"do": "crash once"})
        wait_for(lambda: (engine.store / "jobs" / job / "out" / "again").exists())
        first = int((engine.store / "jobs" / job / "out" / "worker.pid").read_text())
        wait_for(lambda: not is_running(first))
        client.cancel(job)
        wait_state(client, job, "cancelled")
        assert client.submit(shot, {"do": "crash once"}) == job
        wait_state(client, job, "done")


def test_a_frozen_worker_of_a_dead_engine_does_not_write_beside_the_next(tmp_path: Path, shot: Shot) -> None:
    store = tmp_path / "store"
    with running_engine(store) as engine, engine.client() as client:
        job = client.submit(shot, LONG)
        frozen = worker_of(engine, client, job)
        os.kill(frozen, signal.SIGSTOP)
        engine.process.send_signal(signal.SIGKILL)
        engine.process.wait(5)
    with running_engine(store) as engine, engine.client() as client:
        wait_for(lambda: worker_of(engine, client, job) != frozen)
        wait_for(lambda: not is_running(frozen))


def worker_of(engine: Engine, client: Client, job: str) -> int:
    wait_for(lambda: client.status(job).step > 0)
    return int((engine.store / "jobs" / job / "out" / "worker.pid").read_text())


# ---- a full disk that also holds the log ----


def full_disk(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_worker_that_cannot_log_still_says_why_it_failed(
    tmp_path: Path, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = JobTable(tmp_path)
    job = submit(table, shot, {"do": "disk full"})
    table.close()
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(sys, "stderr", type("Full", (), {"write": full_disk, "flush": full_disk})())
    folder, blobs = tmp_path / "jobs" / job, tmp_path / "blobs"
    outcome = worker.run(folder, blobs, "fake_job", lambda report: None, threading.Event())  # type: ignore[arg-type]
    assert outcome.state == "failed" and (outcome.error or {})["code"] == "disk.full"


def test_a_worker_that_dies_on_a_full_disk_is_said_to_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "job").mkdir()
    usage = type("Usage", (), {"free": 4096})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr("engine.executors.sys.executable", "/bin/false")
    executor = LocalProcesses(tmp_path / "blobs", "no_such_module")
    executor.start("job", tmp_path / "job")
    news: list = []
    deadline = time.monotonic() + 20
    while not news and time.monotonic() < deadline:
        news = executor.poll()
        time.sleep(0.02)
    ((job, outcome),) = news
    assert job == "job" and outcome.error["code"] == "disk.full" and str(tmp_path) in outcome.error["message"]


def test_whoever_sees_done_finds_it_in_the_folder_too(tmp_path: Path, shot: Shot) -> None:
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        job = client.submit(shot, {})
        wait_state(client, job, "done")
        said = json.loads((engine.store / "jobs" / job / "outcome.json").read_text())
        assert said["state"] == "done" and said["result"] == "out/result"
        assert [file["name"] for file in said["files"]] == [file.name for file in client.files(job)]


def test_a_job_that_ended_as_the_engine_died_is_not_computed_again(tmp_path: Path, shot: Shot) -> None:
    table = JobTable(tmp_path)
    ended, cut_short = submit(table, shot, {}), submit(table, shot, {"n": 1})
    for job in (ended, cut_short):
        table.start(job)
    told = {"state": "done", "stage": "", "step": 0, "total": 0, "error": None, "result": "out"}
    write_outcome(table.folder(ended), told, [])
    table.close()
    table = JobTable(tmp_path)
    assert table.status(ended).state == "done" and table.recover() == [cut_short]
    table.close()


def test_a_store_that_is_removed_while_the_engine_runs_is_told(tmp_path: Path, shot: Shot) -> None:
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        job = client.submit(shot, {})
        wait_state(client, job, "done")
        shutil.rmtree(engine.store)
        for submitted in (shot, {**shot, "more": np.arange(3)}):
            with pytest.raises(Ani3DError) as caught:
                client.submit(submitted, {})
            assert caught.value.code == "store.gone" and "Restart" in caught.value.hint
        with pytest.raises(Ani3DError) as caught:
            client.fetch(job, "large.bin", tmp_path / "large.bin")
        assert caught.value.code == "file.corrupt"
        client.ping()
        engine.end()
        assert engine.process.returncode == 0
