"""Sudden and orderly ends of server, worker and client at random moments: every accepted job ends, and ends equal."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ani3d_formats.errors import Ani3DError

from .harness import ROOT, SETTINGS, Engine, ended, fresh, hashes, running, strays, tiny_shot, workers

SPAN = 3.0  # seconds after the submission in which something happens
CLIENT = (
    "import sys; from benchmarks.engine.harness import tiny_shot, SETTINGS\n"
    "from engine.wire import Client\n"
    "client = Client(sys.argv[1], 20); print('ready', flush=True); sys.stdin.readline()\n"
    "job = client.submit(tiny_shot(), SETTINGS); [None for _ in client.follow(job)]\n"
    "[client.fetch(job, info.name, __import__('pathlib').Path(sys.argv[2], info.name)) for info in client.files(job)]\n"
)


def reference(folder: Path, settings: dict[str, Any] = SETTINGS) -> dict[str, str]:
    """The hashes of an undisturbed run."""
    with fresh(folder) as place, running(place / "store") as engine, engine.client() as client:
        job = client.submit(tiny_shot(), settings)
        assert ended(client, job) == "done"
        return hashes(client, job)


def _end_server(engine: Engine, how: int) -> Engine:
    engine.end(how)
    deadline = time.monotonic() + 5
    while workers(engine.store) and time.monotonic() < deadline:
        time.sleep(0.01)
    orphans = workers(engine.store)
    if orphans:
        raise AssertionError(f"orphans {orphans}")
    return Engine(engine.store)


def _hit(pids: list[int], how: int) -> int:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, how)
    return len(pids)


def disturbed(folder: Path, wanted: dict[str, str], what: str, dice: random.Random) -> dict[str, Any]:
    """One job that something happens to; what came of it."""
    when, start = dice.uniform(0, SPAN), time.monotonic()
    record: dict[str, Any] = {"what": what, "at_s": round(when, 2)}
    with fresh(folder) as place:
        engine = Engine(place / "store", "--silence", "8")
        try:
            if what == "client":
                record["end"] = _without_client(engine, place, when)
            with engine.client() as first:
                job = first.submit(tiny_shot(), SETTINGS)
            if what != "client":
                time.sleep(when)
            if what in ("server", "both"):
                if what == "both":
                    _hit(workers(engine.store), signal.SIGKILL)
                engine = _end_server(engine, signal.SIGKILL)
            elif what == "stop":
                engine = _end_server(engine, signal.SIGTERM)
            elif what in ("worker", "freeze"):
                how = signal.SIGKILL if what == "worker" else signal.SIGSTOP
                record["hit"] = _hit(workers(engine.store), how)
            from engine.wire import Client

            with Client(str(engine.store), 20.0) as client:
                record["end"] = ended(client, job)
                record["equal"] = record["end"] == "done" and hashes(client, job) == wanted
        except (AssertionError, Ani3DError) as error:
            record["end"], record["equal"] = f"{type(error).__name__}: {error}", False
        finally:
            with suppress(subprocess.TimeoutExpired):
                engine.end()
            engine.process.kill()
        time.sleep(0.05)
        record["strays"] = strays(place / "store")
        record["orphans"] = len(workers(place / "store"))
    record["seconds"] = round(time.monotonic() - start, 1)
    return record


def _without_client(engine: Engine, place: Path, when: float) -> str:
    """Kill a client that submits, follows and fetches."""
    command = [sys.executable, "-c", CLIENT, str(engine.store), str(place / "fetched")]
    client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert client.stdin is not None and client.stdout is not None
    client.stdout.readline()
    client.stdin.write(b"go\n")
    client.stdin.flush()
    time.sleep(when / 2)
    client.kill()
    client.wait()
    return "killed"


def is_lost(record: dict[str, Any]) -> bool:
    """Whether a trial did not end as an undisturbed run does."""
    return not record["equal"] or bool(record["orphans"]) or bool(record.get("strays"))


def trial(folder: Path, wanted: dict[str, str], choices: tuple[str, ...]) -> Callable[[random.Random], dict[str, Any]]:
    return lambda dice: disturbed(folder, wanted, dice.choice(choices), dice)
