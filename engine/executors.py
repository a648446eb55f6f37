"""Where jobs run. `LocalProcesses` gives each job a process of this machine and hears of it through pipes."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgpack
import numpy as np

from ani3d_formats.progress import Report

from .wire import FileInfo

CANCEL_PATIENCE = 1.5  # seconds a worker has to stop by itself once asked


@dataclass(frozen=True)
class Outcome:
    """How a job ended. `result` is the folder of `files`, relative to the job's folder; `error` as in JobStatus."""

    state: str
    error: dict[str, Any] | None = None
    result: str | None = None
    files: list[FileInfo] = field(default_factory=list)


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    outcome: Outcome | None = None
    cancelled_at: float | None = None


class LocalProcesses:
    """Up to `slots` jobs at once, each in a process group of its own.

    Args:
        blobs: the store's folder of arrays.
        module: the job module, see `engine.job`.
        slots: how many jobs run at once.
    """

    def __init__(self, blobs: Path, module: str = "engine.job", slots: int = 1) -> None:
        self._blobs = blobs
        self._module = module
        self._slots = slots
        self._workers: dict[str, _Worker] = {}
        self._records: queue.Queue[tuple[str, dict[str, Any] | None]] = queue.Queue()

    @property
    def has_room(self) -> bool:
        """True when another job can start."""
        return len(self._workers) < self._slots

    def start(self, job: str, folder: Path) -> None:
        """Run the job whose input lies in `folder`. Raises OSError when no process or log can be made."""
        command = [sys.executable, "-m", "engine.worker", str(folder), "--blobs", str(self._blobs)]
        with open(folder / "worker.log", "ab") as log:
            # In a session of its own a Ctrl-C in the engine's terminal does not reach it: the engine decides.
            process = subprocess.Popen(
                [*command, "--job", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._workers[job] = _Worker(process)
        threading.Thread(target=self._listen, args=(job, process.stdout), daemon=True).start()

    def cancel(self, job: str) -> None:
        """Ask the job to stop; `poll` ends it after `CANCEL_PATIENCE` if it does not."""
        worker = self._workers.get(job)
        if worker is None or worker.cancelled_at is not None:
            return
        worker.cancelled_at = time.monotonic()
        assert worker.process.stdin is not None
        with contextlib.suppress(OSError):  # it has just ended; its outcome is on the way
            worker.process.stdin.write(b"cancel\n")
            worker.process.stdin.flush()

    def poll(self) -> list[tuple[str, Report | Outcome]]:
        """What has happened since the last call, in order; never waits for a job."""
        news: list[tuple[str, Report | Outcome]] = []
        for worker in self._workers.values():
            if worker.cancelled_at and time.monotonic() - worker.cancelled_at > CANCEL_PATIENCE:
                _kill(worker.process)
        while not self._records.empty():
            job, record = self._records.get()
            worker = self._workers[job]
            if record is None:
                del self._workers[job]
                news.append((job, _end(worker)))
            elif "report" in record:
                news.append((job, _report(record["report"])))
            else:
                worker.outcome = _outcome(record["outcome"])
        return news

    def stop(self) -> None:
        """End all workers and what they started; returns when they are gone."""
        for worker in self._workers.values():
            _kill(worker.process)
        for worker in self._workers.values():
            worker.process.wait()
        self._workers.clear()

    def _listen(self, job: str, pipe: BinaryIO) -> None:
        """Move records from a worker's pipe into the queue until the pipe ends. Runs in a thread per worker."""
        unpacker = msgpack.Unpacker()
        while data := pipe.read1(1 << 16):  # type: ignore[attr-defined]
            unpacker.feed(data)
            for record in unpacker:
                self._records.put((job, record))
        self._records.put((job, None))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the worker's whole process group, so that no encoder it started is left behind."""
    if sys.platform == "win32":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it is gone; macOS says the latter
        os.killpg(process.pid, signal.SIGKILL)


def _end(worker: _Worker) -> Outcome:
    """Reap a worker whose pipe has ended; what became of its job."""
    code = None
    if worker.outcome is None:  # else nothing it still does matters, and torch takes its time to leave
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = worker.process.wait(timeout=1)
    _kill(worker.process)
    worker.process.wait()
    for pipe in (worker.process.stdin, worker.process.stdout):
        if pipe:
            pipe.close()
    if worker.outcome:
        return worker.outcome
    if worker.cancelled_at:
        return Outcome("cancelled")
    how = f"signal {-code} ({signal.Signals(-code).name})" if code and code < 0 else f"exit status {code}"
    hint = "The system may have run out of memory: close other programs or choose smaller settings."
    error = {"code": "job.crashed", "message": f"The job's process ended with {how} and gave no reason.", "hint": hint}
    return Outcome("failed", error)


def _report(entry: dict[str, Any]) -> Report:
    preview = None
    if "preview" in entry:
        shape, data = entry["preview"]
        preview = np.frombuffer(data, np.uint8).reshape(shape)
    return Report(entry["stage"], entry["step"], entry["total"], entry["eta"], 0.0, entry["message"], preview)


def _outcome(entry: dict[str, Any]) -> Outcome:
    files = [FileInfo(*row) for row in entry.get("files", [])]
    return Outcome(entry["state"], entry.get("error"), entry.get("result"), files)
