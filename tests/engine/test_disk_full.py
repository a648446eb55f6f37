"""Full disks: one clear error, nothing half written, and the engine goes on."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from engine_process import HERE, running_engine, wait_for, wait_state
from tables import submit

from ani3d_formats.atomic import disk_full
from ani3d_formats.errors import Ani3DError
from ani3d_formats.explain import explain
from engine.executors import LocalProcesses
from engine.job_table import RESERVE, JobTable
from engine.server import Server
from engine.wire import Client, JobStatus

Shot = dict[str, np.ndarray]


def test_a_submission_that_does_not_fit_leaves_nothing(tmp_path: Path, shot: Shot) -> None:
    # Two arrays fit.
    with running_engine(tmp_path / "store", before=("--disk-full-after", "2")) as engine, engine.client() as client:
        for _ in range(2):
            with pytest.raises(Ani3DError) as caught:
                client.submit(shot, {})
            assert caught.value.code == "disk.full"
            assert str(engine.store) in caught.value.message and "bytes are needed" in caught.value.message
        assert client.jobs() == []
        assert list(engine.store.rglob(".*.partial*")) == []
        client.hello()


def full_disk(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("where", ["open", "write", "fsync", "replace"])
def test_a_fetch_onto_a_full_disk_leaves_nothing(
    client: Client, shot: Shot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    job = client.submit(shot, {})
    wait_state(client, job, "done")
    if where == "open":
        monkeypatch.setattr("engine.wire.download.open", full_disk, raising=False)
    elif where == "write":  # the kernel's own full disk: every write to this device fails
        full = open("/dev/full", "wb")  # noqa: SIM115 - the download closes it
        monkeypatch.setattr("engine.wire.client._here", lambda listing, info: None)
        monkeypatch.setattr("engine.wire.download.open", lambda path, mode: full, raising=False)
    else:
        monkeypatch.setattr(f"ani3d_formats.atomic.os.{where}", full_disk)
    with pytest.raises(Ani3DError) as caught:
        client.fetch(job, "large.bin", tmp_path / "large.bin")
    monkeypatch.undo()
    assert caught.value.code == "disk.full"
    assert "large.bin" in caught.value.message and "5,500,000" in caught.value.message
    assert list(tmp_path.iterdir()) == []
    client.fetch(job, "large.bin", tmp_path / "large.bin")


def test_a_fetch_to_where_one_may_not_write_says_so(client: Client, shot: Shot, tmp_path: Path) -> None:
    job = client.submit(shot, {})
    wait_state(client, job, "done")
    (tmp_path / "file").touch()
    with pytest.raises(Ani3DError) as caught:
        client.fetch(job, "empty.txt", tmp_path / "file" / "empty.txt")
    assert caught.value.code == "file.unwritable"


def test_a_fetch_is_not_begun_without_room(
    client: Client, shot: Shot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.submit(shot, {})
    wait_state(client, job, "done")
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("engine.wire.download.shutil.disk_usage", lambda path: usage)
    with pytest.raises(Ani3DError) as caught:
        client.fetch(job, "large.bin", tmp_path / "large.bin")
    assert caught.value.code == "disk.full" and "1,000 bytes are free" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_an_outcome_that_cannot_be_stored_is_stored_later(
    tmp_path: Path, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = JobTable(tmp_path / "store")
    note, refusals = store.note, [2, 2]

    def note_later(status: JobStatus, *rest: object) -> None:
        which = 0 if status.state == "done" else 1
        refusals[which] -= 1
        if refusals[which] >= 0:
            raise disk_full(tmp_path)
        note(status, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "note", note_later)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
    server = Server(store, LocalProcesses(store.root / "blobs", "fake_job", slots=2), "fake_job", retry=0.3)
    thread = threading.Thread(target=server.run)
    thread.start()
    with Client(server.access.endpoint, token=server.access.token) as client:
        bad = client.submit(shot, {"do": "known error"})
        good = client.submit(shot, {})
        assert wait_state(client, bad, "failed").error is not None
        assert refusals[1] >= 0, "a failure shows before it is stored"
        wait_state(client, good, "done")
        assert refusals[0] < 0 and client.files(good), "success shows once the files are known"
        wait_for(lambda: refusals[1] < 0)
        client.shutdown()
    thread.join(5)
    assert {status.state for status in store.all_jobs()} == {"failed", "done"}
    store.close()


def test_a_job_is_deleted_from_a_full_disk_in_the_place_of_the_reserve(
    tmp_path: Path, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = JobTable(tmp_path / "store")
    job = submit(table, shot, {})
    reserve = table.root / "reserve"
    assert reserve.stat().st_size == RESERVE
    drop = table._drop

    def full_while_reserved(job: str) -> None:
        if reserve.exists():
            raise disk_full(tmp_path)
        drop(job)

    monkeypatch.setattr(table, "_drop", full_while_reserved)
    table.delete(job)
    assert not table.known(job) and not table.folder(job).exists()
    assert reserve.exists(), "it is kept again once there is room"
    table.close()


def explained(error: Exception, folder: Path) -> Ani3DError:
    return explain(error, folder, "job.failed", "See the log.")


def test_a_full_disk_is_told_from_other_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert explained(RuntimeError("odd"), tmp_path).code == "job.failed"
    try:
        try:
            full_disk()
        except OSError as cause:
            raise RuntimeError("cannot encode the video") from cause
    except RuntimeError as error:
        assert explained(error, tmp_path).code == "disk.full"
    monkeypatch.setattr("ani3d_formats.explain.shutil.disk_usage", lambda path: type("Usage", (), {"free": 4096}))
    said = explained(OSError("1000 requested and 123 written"), tmp_path)  # as numpy puts it, without a number
    assert said.code == "disk.full" and str(tmp_path) in said.message
