"""Requests that come while others are being answered: of the same job, and while much is under way to others."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from engine_process import HERE, wait_for, wait_state

from engine import router, server
from engine.executors import LocalProcesses
from engine.job_table import JobTable
from engine.server import Server
from engine.wire import Client, codec
from engine.wire import messages as m

Shot = dict[str, np.ndarray]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An engine in this process."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1])]))
    table = JobTable(tmp_path / "store")
    serving = Server(table, LocalProcesses(table.root / "blobs", "fake_job", slots=2), "fake_job")
    stop = threading.Event()
    thread = threading.Thread(target=serving.run, args=(stop.is_set,))
    thread.start()
    yield serving
    stop.set()
    thread.join(10)
    table.close()


def test_a_job_that_is_submitted_while_it_is_deleted_runs_again(
    here: Server, shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, begun = server.shutil.rmtree, threading.Event()

    def remove_slowly(*arguments: object, **named: object) -> None:
        begun.set()
        time.sleep(0.5)
        remove(*arguments, **named)  # type: ignore[arg-type]

    with (
        Client(here.access.endpoint, token=here.access.token) as client,
        Client(here.access.endpoint, token=here.access.token) as other,
    ):
        job = client.submit(shot, {})
        wait_state(client, job, "done")
        monkeypatch.setattr("engine.server.shutil.rmtree", remove_slowly)
        deleting = threading.Thread(target=client.delete, args=(job,))
        deleting.start()
        assert begun.wait(5)
        assert other.submit(shot, {}) == job
        deleting.join(5)
        wait_state(other, job, "done")
        assert {info.name for info in other.files(job)} >= {"large.bin"}


@pytest.mark.parametrize("do", ["finish", "be deaf"])
def test_a_job_that_is_submitted_while_it_stops_runs_again(here: Server, shot: Shot, do: str) -> None:
    settings = {"do": do, "steps": 1000, "seconds": 0.05}
    with Client(here.access.endpoint, token=here.access.token) as client:
        job = client.submit(shot, settings)
        wait_for(lambda: client.status(job).step > 0)
        client.cancel(job)
        assert client.submit(shot, settings) == job
        assert client.status(job).state in ("queued", "running")
        wait_for(lambda: client.status(job).step > 10)
        client.cancel(job)
        wait_state(client, job, "cancelled")


def test_fetches_are_answered_in_short_while_others_have_much_under_way(
    here: Server, shot: Shot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.wire.client._here", lambda listing, info: None)  # as from another machine
    with Client(here.access.endpoint, token=here.access.token) as client, zmq.Context() as context:
        job = client.submit(shot, {})
        wait_state(client, job, "done")
        whole = client.fetch(job, "large.bin", tmp_path / "whole.bin").read_bytes()
        dealer = context.socket(zmq.DEALER)
        dealer.linger = 0
        dealer.plain_username, dealer.plain_password = b"ani3dhuman", here.access.token.encode()
        dealer.connect(here.access.endpoint)
        told = []
        for budget in (router.BUDGET, 0):
            monkeypatch.setattr(router, "BUDGET", budget)
            dealer.send_multipart(codec.encode(m.Fetch(job, "large.bin", 0, m.MAX_CHUNK_BYTES), 1))
            assert dealer.poll(5000)
            told.append(sum(map(len, dealer.recv_multipart()[1:])))
        assert told == [m.MAX_CHUNK_BYTES, router.SHARE]
        assert client.fetch(job, "large.bin", tmp_path / "short.bin").read_bytes() == whole
        dealer.close()
