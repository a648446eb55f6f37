"""One process does job after job, until something goes wrong or its limits are met."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_process import HERE, Engine, is_running, running_engine, wait_for, wait_state
from tables import submit

from ani3dhuman.storage.stage_quota import SharedStages
from engine import worker
from engine.device_report import describe_device, usable_cards
from engine.executors import LocalProcesses, Watch, slots_for
from engine.job_table import JobTable
from engine.pipe import Outcome
from engine.wire import Client

Shot = dict[str, np.ndarray]


def children_of(pid: int) -> list[int]:
    """Workers that a process has started."""
    found = subprocess.run(["pgrep", "-P", str(pid), "-f", "engine.worker"], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def pid_of(engine: Engine, job: str) -> int:
    return int((engine.store / "jobs" / job / "out" / "worker.pid").read_text())


def finished(engine: Engine, client: Client, shot: Shot, **settings: object) -> int:
    """The process that did a job."""
    job = client.submit(shot, settings)
    wait_state(client, job, "done", "failed")
    return pid_of(engine, job)


def test_the_next_job_has_the_same_process_and_its_own_log(engine: Engine, client: Client, shot: Shot) -> None:
    first, second = (finished(engine, client, shot, warm=n) for n in range(2))
    assert first == second
    for job in (client.submit(shot, {"warm": n}) for n in range(2)):
        assert (engine.store / "jobs" / job / "worker.log").read_text() == "printed by the job\n"
    assert os.getpriority(os.PRIO_PROCESS, second) > os.getpriority(os.PRIO_PROCESS, engine.process.pid)
    # a job that ends for a known reason leaves nothing behind, one that nobody foresaw may
    assert finished(engine, client, shot, do="known error", warm=1) == first
    assert finished(engine, client, shot, do="unknown error", warm=1) == first
    wait_for(lambda: not is_running(first))
    assert finished(engine, client, shot, warm=2) != first


@pytest.mark.parametrize(("preset", "loaded"), [("cloth", "cloth"), ("unknown", "")])
def test_a_process_is_prepared_for_the_job_that_comes(tmp_path: Path, shot: Shot, preset: str, loaded: str) -> None:
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        assert children_of(engine.process.pid) == []
        client.prepare(preset)
        (process,) = children_of(engine.process.pid)
        client.prepare(preset)
        assert finished(engine, client, shot) == process
        job = client.submit(shot, {})
        assert (engine.store / "jobs" / job / "out" / "prepared").read_text() == loaded
        assert (engine.store / "jobs" / job / "worker.log").read_text() == "printed by the job\n"
        client.prepare(preset)  # it waits for another
        running = client.submit(shot, {"steps": 1000, "seconds": 0.02})
        wait_for(lambda: client.status(running).step > 0)
        client.prepare(preset)  # no other may run beside it
        assert children_of(engine.process.pid) == [process]


def test_what_was_prepared_in_vain_goes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with processes(tmp_path, monkeypatch, Watch(warm=0.3)) as executor:
        executor.prepare("cloth")
        (process,) = children_of(os.getpid())

        def gone() -> bool:
            executor.poll()
            return not is_running(process)

        wait_for(gone)
        assert executor.has_room


def test_cloth_is_prepared_without_torch() -> None:
    said = (
        "import sys; from engine.job import prepare; prepare('cloth'); "
        "print('ani3dhuman.cloth.solver' in sys.modules, 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, text=True).stdout == "True False\n"


def test_a_cancelled_job_does_not_cancel_the_next(engine: Engine, client: Client, shot: Shot) -> None:
    job = client.submit(shot, {"steps": 1000, "seconds": 0.02, "warm": "cancel"})
    wait_for(lambda: client.status(job).step > 0)
    client.cancel(job)
    client.cancel(job)
    wait_state(client, job, "cancelled")
    after = client.submit(shot, {"warm": "after"})
    assert wait_state(client, after, "done", "failed", "cancelled").state == "done"
    assert pid_of(engine, after) == pid_of(engine, job)


@contextmanager
def processes(folder: Path, monkeypatch: pytest.MonkeyPatch, watch: Watch) -> Iterator[LocalProcesses]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
    stages = SharedStages(folder / "stages", 1 << 30)
    executor = LocalProcesses(folder / "blobs", "fake_job", watch=watch, stages=stages)
    try:
        yield executor
    finally:
        executor.stop()


def outcome_of(executor: LocalProcesses) -> Outcome:
    found: list[Outcome] = []
    deadline = time.monotonic() + 20
    while not found and time.monotonic() < deadline:
        found = [news for _, news in executor.poll() if isinstance(news, Outcome)]
        time.sleep(0.01)
    return found[0]


@pytest.mark.parametrize(
    ("watch", "code", "words"),
    [
        (Watch(seconds=0.2), "job.overdue", "--job-hours"),
        pytest.param(
            Watch(memory=1000.0),
            "memory.full",
            "--job-gb",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="asks Linux"),
        ),
    ],
)
def test_a_job_that_takes_too_much_is_ended(
    tmp_path: Path, shot: Shot, monkeypatch: pytest.MonkeyPatch, watch: Watch, code: str, words: str
) -> None:
    table = JobTable(tmp_path)
    job = submit(table, shot, {"steps": 1000, "seconds": 0.05})
    table.close()
    with processes(tmp_path, monkeypatch, watch) as executor:
        executor.start(job, tmp_path / "jobs" / job)
        error = outcome_of(executor).error or {}
        assert error["code"] == code and words in error["hint"]
        assert executor.has_room


def test_a_process_waits_for_another_job_no_longer_than_told(
    tmp_path: Path, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = JobTable(tmp_path)
    job = submit(table, shot, {})
    table.close()
    with processes(tmp_path, monkeypatch, Watch(warm=0.3)) as executor:
        executor.start(job, tmp_path / "jobs" / job)
        assert outcome_of(executor).warm
        pid = int((tmp_path / "jobs" / job / "out" / "worker.pid").read_text())
        assert is_running(pid)

        def gone() -> bool:
            executor.poll()
            return not is_running(pid)

        wait_for(gone)


def test_what_a_killed_process_was_writing_goes_with_it(
    tmp_path: Path, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = JobTable(tmp_path)
    job = submit(table, shot, {"steps": 1000, "seconds": 0.05})
    table.close()
    with processes(tmp_path, monkeypatch, Watch()) as executor:
        executor.start(job, tmp_path / "jobs" / job)
        place = tmp_path / "jobs" / job / "out" / "worker.pid"
        wait_for(lambda: place.exists() and place.read_text())
        pid = int(place.read_text())
        of_it, of_another = (tmp_path / "stages" / f".cloth-ab.{number}.partial" for number in (pid, pid + 1))
        for folder in (of_it, of_another):
            folder.mkdir(parents=True)
            (folder / "vertices.npy").touch()
        os.kill(pid, signal.SIGKILL)
        assert (outcome_of(executor).error or {})["code"] == "job.crashed"
        assert not of_it.exists() and of_another.exists()


def test_a_process_with_traces_of_its_job_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def error(code: str) -> Outcome:
        return Outcome("failed", {"code": code, "message": "", "hint": ""})

    monkeypatch.setattr(worker.os, "waitpid", lambda *_: (_ for _ in ()).throw(ChildProcessError))
    assert worker.stays_warm(Outcome("done")) and worker.stays_warm(error("avatar.no_faces"))
    assert not worker.stays_warm(error("job.failed")) and not worker.stays_warm(error("memory.full"))
    monkeypatch.setattr(worker.os, "waitpid", lambda *_: (0, 0))
    assert not worker.stays_warm(Outcome("done")), "a program that it started runs on"
    monkeypatch.undo()
    monkeypatch.setattr(worker, "resident", lambda pid: worker.WARM_BYTES + 1)
    assert not worker.stays_warm(Outcome("done"))


def test_slots_are_for_cards_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.executors.os.cpu_count", lambda: 64)
    monkeypatch.setattr("engine.executors.available_memory", lambda: 40 << 30)
    assert [slots_for(asked, cards) for asked, cards in (("3", 0), ("auto", 2), ("auto", 0))] == [3, 2, 6]


def test_each_card_has_a_process_of_its_own(tmp_path: Path, shot: Shot, monkeypatch: pytest.MonkeyPatch) -> None:
    table = JobTable(tmp_path)
    jobs = [submit(table, shot, {"steps": 1000, "seconds": 0.05, "seed": seed}) for seed in range(3)]
    table.close()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
    executor = LocalProcesses(tmp_path / "blobs", "fake_job", slots=3, watch=Watch(reserve=0), cards=2)

    def card(job: str) -> str:
        place = tmp_path / "jobs" / job / "card"
        wait_for(lambda: place.exists() and place.read_text())
        return place.read_text()

    try:
        for job in jobs:
            executor.start(job, tmp_path / "jobs" / job)
        assert [card(job) for job in jobs] == ["0", "1", "0"]
        executor.cancel(jobs[1])
        assert outcome_of(executor).state == "cancelled"
        executor.start(jobs[1], tmp_path / "jobs" / jobs[1])
        assert card(jobs[1]) == "1"
    finally:
        executor.stop()


def test_cards_are_told_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    class Driver:
        """Answers as CUDA's driver does on a machine with two cards."""

        cuInit = staticmethod(lambda flags: 0)  # noqa: N815 - its name in the driver

        @staticmethod
        def cuDeviceGetCount(count: Any) -> int:  # noqa: N802
            count._obj.value = 2
            return 0

        @staticmethod
        def cuDeviceGet(device: Any, number: int) -> int:  # noqa: N802
            device._obj.value = number
            return 0

        @staticmethod
        def cuDeviceGetName(name: Any, size: int, device: Any) -> int:  # noqa: N802
            name.value = f"card {device.value}".encode()
            return 0

    monkeypatch.setattr("engine.device_report.ctypes.CDLL", lambda name: Driver)
    monkeypatch.setattr("engine.device_report.no_cuda_in_torch", lambda: "")
    assert describe_device() == "cuda: card 0, card 1" and usable_cards() == 2
    monkeypatch.setattr(Driver, "cuInit", staticmethod(lambda flags: 100))
    assert describe_device().startswith("cpu (") and usable_cards() == 0
