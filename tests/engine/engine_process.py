"""An engine process, with the stand-in job or the real one, and ways to wait for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.wire import Client, JobStatus

HERE = Path(__file__).parent


class Engine:
    """A running engine process."""

    def __init__(
        self, store: Path, *arguments: str, before: tuple[str, ...] = (), real: bool = False, **environment: str
    ) -> None:
        self.ready_file = store.with_suffix(".ready")
        self.ready_file.unlink(missing_ok=True)
        program = ["-m", "engine"] if real else [str(HERE / "fake_engine.py")]
        command = [sys.executable, *program, *before]
        command += ["--port", "0", "--store", str(store), "--ready-file", str(self.ready_file), *arguments]
        path = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path, **environment})
        wait_for(self.ready_file.exists)
        self.ready = json.loads(self.ready_file.read_text())
        self.endpoint: str = self.ready["endpoint"]
        self.store = store

    def client(self, timeout: float = 5.0) -> Client:
        return Client(self.endpoint, timeout)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(10)


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until `condition` holds; fail when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"gave up after {seconds} s"
        time.sleep(0.02)


def wait_state(client: Client, job: str, *states: str) -> JobStatus:
    """The job's status once it is in one of `states`."""
    wait_for(lambda: client.status(job).state in states)
    return client.status(job)


def is_running(pid: int) -> bool:
    """True for a process that exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def running_engine(store: Path, *arguments: str, before: tuple[str, ...] = (), real: bool = False) -> Iterator[Engine]:
    engine = Engine(store, *arguments, before=before, real=real)
    try:
        yield engine
    finally:
        engine.end()
