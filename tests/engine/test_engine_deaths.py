"""Sudden and orderly deaths: nothing lost, no process left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from engine_process import HERE, Engine, is_running, running_engine, wait_for, wait_state

from ani3d_formats.errors import Ani3DError
from engine.wire import Client

Shot = dict[str, np.ndarray]


def worker_of(engine: Engine, client: Client, job: str) -> int:
    """The process id of the job's worker, once it computes."""
    wait_for(lambda: client.status(job).step > 0)
    return int((engine.store / "jobs" / job / "out" / "worker.pid").read_text())


LONG = {"steps": 1000, "seconds": 0.05}


def test_a_killed_engine_comes_back_with_its_jobs(tmp_path: Path, shot: Shot) -> None:
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        done = client.submit(shot, {})
        wait_state(client, done, "done")
        running = client.submit(shot, {"do": "be deaf", **LONG})
        waiting = client.submit(shot, {"n": 1})
        worker = worker_of(engine, client, running)
        child = int((engine.store / "jobs" / running / "out" / "child.pid").read_text())
        engine.process.send_signal(signal.SIGKILL)
        engine.process.wait(5)
        wait_for(lambda: not is_running(worker) and not is_running(child))
        with pytest.raises(Ani3DError) as caught:
            client.status(done)
        assert caught.value.code == "engine.unreachable"
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        assert {status.id for status in client.jobs()} == {done, running, waiting}
        assert client.status(done).state == "done"
        client.fetch(done, "large.bin", tmp_path / "large.bin")
        assert client.events(done)[0][-1].state == "done"
        wait_state(client, running, "running")
        assert client.status(waiting).state == "queued"
        client.cancel(running)
        wait_state(client, waiting, "done")


def test_a_job_that_keeps_killing_the_engine_is_given_up(tmp_path: Path, shot: Shot) -> None:
    for attempt in range(3):
        with running_engine(tmp_path / "store") as engine, engine.client() as client:
            job = client.submit(shot, LONG) if attempt == 0 else client.jobs()[0].id
            worker_of(engine, client, job)
            engine.process.send_signal(signal.SIGKILL)
            engine.process.wait(5)
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        status = client.status(job)
        assert status.state == "failed" and status.error is not None
        assert status.error["code"] == "job.interrupted"


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "shutdown"])
def test_a_stopped_engine_leaves_no_process_and_no_ready_file(tmp_path: Path, shot: Shot, how: str) -> None:
    with running_engine(tmp_path / "store") as engine, engine.client() as client:
        job = client.submit(shot, {"do": "be deaf", **LONG})
        worker = worker_of(engine, client, job)
        child = int((engine.store / "jobs" / job / "out" / "child.pid").read_text())
        if how == "shutdown":
            client.shutdown()
        else:
            engine.process.send_signal(getattr(signal, how))
        assert engine.process.wait(5) == 0
        assert not is_running(worker)
        wait_for(lambda: not is_running(child))
        assert not engine.ready_file.exists()


def test_the_engine_leaves_with_its_parent(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    parent_code = (
        "import os, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, *sys.argv[1:], '--parent-pid', str(os.getpid())])\n"
        "time.sleep(600)"
    )
    engine = [str(HERE / "fake_engine.py"), "--port", "0", "--store", str(tmp_path / "s"), "--ready-file", str(ready)]
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    parent = subprocess.Popen([sys.executable, "-c", parent_code, *engine], env={**os.environ, "PYTHONPATH": path})
    try:
        wait_for(ready.exists)
        pid = json.loads(ready.read_text())["pid"]
        time.sleep(0.7)
        assert is_running(pid)
    finally:
        parent.kill()
    # It is not yet waited for, as in a Blender that crashed: the engine may not take the zombie for its parent.
    wait_for(lambda: not is_running(pid))
    parent.wait(5)
