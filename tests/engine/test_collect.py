"""What a store forgets when it is asked to, and what it never does."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
from engine_process import running_engine, wait_state
from tables import submit

from engine.__main__ import main
from engine.job_quota import DAY, Quota, choose
from engine.job_table import JobTable
from engine.wire import JobStatus

Shot = dict[str, np.ndarray]


@pytest.fixture
def store(tmp_path: Path, shot: Shot, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, str]]:
    """A store with jobs submitted 40, 20, 10 and 0 days ago, of 2 MB each, and a waiting one from 90 days ago."""
    table = JobTable(tmp_path)
    now = time.time()
    jobs = {}
    for days in (90, 40, 20, 10, 0):
        monkeypatch.setattr("engine.job_table.time.time", lambda days=days: now - days * DAY)
        job = submit(table, {**shot, "meta": np.array(f"shot{days}"), "own": np.full(10, days)}, {})
        if days != 90:
            (table.folder(job) / "large.bin").write_bytes(bytes(2_000_000))
            table.note(JobStatus(job, "done", "", 0, 0, 0.0, None, f"shot{days}"), "out", [])
        jobs[job] = f"shot{days}"
    monkeypatch.undo()
    table.close()
    return tmp_path, jobs


def left(root: Path) -> set[str]:
    table = JobTable(root)
    names = {status.name for status in table.all_jobs()}
    assert {folder.name for folder in (root / "jobs").iterdir()} == {status.id for status in table.all_jobs()}
    table.close()
    return names


ALL = {"shot90", "shot40", "shot20", "shot10", "shot0"}


@pytest.mark.parametrize(
    ("quota", "gone"),
    [
        ([], set()),
        (["--keep-days", "15"], {"shot40", "shot20"}),
        (["--keep-gb", "0.005"], {"shot40", "shot20"}),
        (["--keep-gb", "0.005", "--keep-days", "5"], {"shot40", "shot20", "shot10"}),
        (["--keep-gb", "0"], {"shot40", "shot20", "shot10", "shot0"}),
    ],
)
def test_old_jobs_go_and_waiting_ones_stay(
    store: tuple[Path, dict[str, str]], quota: list[str], gone: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    root, jobs = store
    assert main(["gc", "--store", str(root), "--dry-run", *quota]) == 0
    said = capsys.readouterr().out.splitlines()
    assert {jobs[line.split()[0]] for line in said[:-1]} == gone and f"{len(gone)} jobs" in said[-1]
    assert left(root) == ALL, "a dry run deletes nothing"
    blobs = len(list((root / "blobs").glob("??/*")))
    assert main(["gc", "--store", str(root), *quota]) == 0
    assert left(root) == ALL - gone
    assert len(list((root / "blobs").glob("??/*"))) == blobs - 2 * len(gone), "what others share stays"


def test_the_quota_of_the_configuration_holds_too(
    store: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANI3D_ENGINE_STORE", str(store[0]))
    monkeypatch.setenv("ANI3D_ENGINE_KEEP_DAYS", "15")
    assert main(["gc", "--keep-days", "30"]) == 0 and left(store[0]) == ALL - {"shot40"}
    assert main(["gc"]) == 0 and left(store[0]) == ALL - {"shot40", "shot20"}


def test_what_jobs_share_counts_once_for_the_newest_that_stays(store: tuple[Path, dict[str, str]]) -> None:
    root, jobs = store
    by_name = {name: root / "jobs" / job for job, name in jobs.items()}
    for name in ("shot40", "shot20", "shot10"):
        os.link(by_name["shot0"] / "large.bin", by_name[name] / "more.bin")
    table = JobTable(root)

    def chosen(size: float) -> list[tuple[str, float]]:
        return [(job.name, round(job.size / 1e6, 1)) for job in choose(table, Quota(math.inf, size))]

    assert chosen(8.1e6) == [], "2 MB of each; what they share is the newest's"
    assert chosen(6.1e6) == [("shot40", 2.0)]
    assert chosen(1e6) == [("shot40", 2.0), ("shot20", 2.0), ("shot10", 2.0), ("shot0", 2.0)]
    table.close()


def test_the_engine_keeps_to_its_quota(tmp_path: Path, shot: Shot) -> None:
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        first, second = client.submit(shot, {"n": 1}), client.submit(shot, {"n": 2})
        wait_state(client, second, "done")
    (tmp_path / "store" / "jobs" / first / "own.bin").write_bytes(bytes(4_000_000))  # the rest they share
    with running_engine(tmp_path / "store", "--keep-gb", "0.008") as engine, engine.client() as client:
        assert [status.id for status in client.jobs()] == [second]
        assert os.listdir(engine.store / "jobs") == [second] and first != second
