"""An engine with the real pipeline on a tiny shot, and what every trial on it needs."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError
from benchmarks.cloth.speed import skirt
from engine.wire import Client

ROOT = Path(__file__).parents[2]
Shot = dict[str, np.ndarray]
SETTINGS: dict[str, Any] = {"preset": "cloth"}
DRAFT: dict[str, Any] = {  # all stages, each of them small
    "preset": "draft", "render_scale": 0.15, "gaussians": 1500,
    "refine_steps": 12, "refine_height": 96, "sampling_steps": 2,
}  # fmt: skip
UNEQUAL = ("report.json",)  # tells times
START = 30.0  # seconds that an engine may take to listen, on a busy machine


def tiny_shot(frames: int = 12) -> Shot:
    """A shot whose cloth takes about a second."""
    return skirt(200, frames).to_arrays()


class Engine:
    """An engine process on a store; `module` may stand in for `engine` (it gets the same arguments)."""

    def __init__(self, store: Path, *arguments: str, module: str = "engine") -> None:
        self.store = store
        ready = store.with_name(f"{store.name}.ready")
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", module, "--port", "0", "--store", str(store), "--ready-file", str(ready)]
        self.log = store.with_name(f"{store.name}.printed")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*command, *arguments], stdout=log, stderr=log, cwd=ROOT)
        deadline = time.monotonic() + START
        while not ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                last = self.log.read_text(errors="replace").splitlines()[-1:]
                raise Ani3DError("engine.start", f"The engine does not start: {last}", "")
            time.sleep(0.01)
        self.ready = json.loads(ready.read_text())

    def client(self, timeout: float = 20.0) -> Client:
        return Client(self.ready["endpoint"], timeout, self.ready["token"])

    def end(self, how: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(30)

    @property
    def memory(self) -> float:
        """Resident megabytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None


@contextmanager
def running(store: Path, *arguments: str, module: str = "engine") -> Iterator[Engine]:
    engine = Engine(store, *arguments, module=module)
    try:
        yield engine
    finally:
        with suppress(subprocess.TimeoutExpired):
            engine.end()
        engine.process.kill()


@contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """An empty folder, which is gone afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def workers(store: Path) -> list[int]:
    """Process ids of the workers of a store."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = place.read_bytes().split(b"\0")
            if b"engine.worker" in words and str(store / "blobs").encode() in words:
                found.append(int(place.parent.name))
    return found


def hashes(client: Client, job: str) -> dict[str, str]:
    """The result files whose bytes follow from the input alone."""
    return {info.name: info.sha256 for info in client.files(job) if Path(info.name).name not in UNEQUAL}


def ended(client: Client, job: str, patience: float = 90.0) -> str:
    """How the job ended, as the shipped client sees it through restarts: "done", or state and code."""
    for _ in client.follow(job, patience):
        pass
    status = client.status(job)
    return "done" if status.state == "done" else f"{status.state} {(status.error or {}).get('code')}"


def strays(store: Path) -> list[str]:
    """Half-written files and parts that nobody needs any more."""
    found = [path for path in store.rglob("*") if ".partial" in path.name or ".previous" in path.name]
    found += list((store / "incoming").glob("*")) + list((store / "jobs").glob(".*"))
    return [str(path.relative_to(store)) for path in found]


class Trials:
    """Numbered trials of one kind, kept in a file, so that a run that was stopped goes on with the next."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path / f"{kind}.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self.done: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.kind = kind

    def run(self, count: int, trial: Callable[[random.Random], dict[str, Any]]) -> list[dict[str, Any]]:
        """Do what is missing of `count` trials; the first `count` records."""
        for number in range(len(self.done), count):
            record = trial(random.Random(f"{self.kind}{number}"))
            self.done.append(record)
            with open(self._path, "a") as file:
                file.write(json.dumps(record) + "\n")
            print(f"{self.kind} {number + 1}/{count}: {record}", flush=True)
        return self.done[:count]
