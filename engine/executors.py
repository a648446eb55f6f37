"""Where jobs run. `LocalProcesses` runs each job in a process of this machine and reads its reports through a pipe."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from ani3d_formats.atomic import disk_full
from ani3d_formats.errors import Ani3DError
from ani3d_formats.explain import NEARLY_FULL
from ani3dhuman.storage.stage_quota import SharedStages

from . import pipe
from .pipe import Alive, Outcome
from .wire.messages import Message

log = logging.getLogger("engine")

CANCEL_PATIENCE = 1.5  # seconds a worker has to stop by itself once asked
SILENCE = 300.0  # seconds without a sign of life (`pipe.BEAT`): compiled kernels hold the interpreter for long


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    outcome: Outcome | None = None
    cancelled_at: float | None = None
    heard_at: float = field(default_factory=time.monotonic)
    silent: bool = False  # it is ended for that


class LocalProcesses:
    """Up to `slots` jobs at once, each in a process group of its own.

    Args:
        blobs: the store's folder of arrays.
        module: the job module, see `engine.job`.
        slots: how many jobs run at once.
        silence: seconds without a sign of life after which a worker is ended.
        stages: where all jobs keep their finished stages; None keeps them in each job's own folder.
    """

    def __init__(
        self,
        blobs: Path,
        module: str = "engine.job",
        slots: int = 1,
        silence: float = SILENCE,
        stages: SharedStages | None = None,
    ) -> None:
        self._silence = silence
        self._blobs = blobs
        self._stages = stages
        self._module = module
        self._slots = slots
        self._workers: dict[str, _Worker] = {}
        self._messages: queue.Queue[tuple[str, Message | None]] = queue.Queue()

    @property
    def has_room(self) -> bool:
        """True when another job can start."""
        return len(self._workers) < self._slots

    def start(self, job: str, folder: Path) -> None:
        """Run the job whose input lies in `folder`. Raises OSError when no process or log can be made."""
        command = [sys.executable, "-m", "engine.worker", str(folder), "--blobs", str(self._blobs)]
        if self._stages:
            command += ["--stages", str(self._stages.folder), "--stage-bytes", str(self._stages.room)]
        with open(folder / "worker.log", "ab") as log:
            # In a session of its own a Ctrl-C in the engine's terminal does not reach it: the engine decides.
            process = subprocess.Popen(
                [*command, "--job", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
            )
        worker = self._workers[job] = _Worker(process)
        threading.Thread(target=self._listen, args=(job, worker), daemon=True).start()

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

    def poll(self) -> list[tuple[str, Message]]:
        """`ProgressReport`s and `Outcome`s since the last call, in order, each with its job; never waits for one."""
        news: list[tuple[str, Message]] = []
        for worker in self._workers.values():
            if worker.cancelled_at and time.monotonic() - worker.cancelled_at > CANCEL_PATIENCE:
                _kill(worker.process)
            if time.monotonic() - worker.heard_at > self._silence and not worker.silent:
                worker.silent = True  # stopped, or hanging in a driver: what it holds is given back
                _kill(worker.process)
        while not self._messages.empty():
            job, message = self._messages.get()
            worker = self._workers[job]
            if message is None:
                del self._workers[job]
                news.append((job, self._end(worker)))
            elif isinstance(message, Outcome):
                worker.outcome = message
            else:
                news.append((job, message))
        return news

    def stop(self) -> None:
        """End all workers and what they started; returns when they are gone."""
        for worker in self._workers.values():
            _kill(worker.process)
        for worker in self._workers.values():
            worker.process.wait()
        self._workers.clear()

    def _listen(self, job: str, worker: _Worker) -> None:
        """Move messages from a worker's pipe into the queue until the pipe ends. Runs in a thread per worker."""
        assert worker.process.stdout is not None
        try:
            for message in pipe.read(worker.process.stdout):  # type: ignore[arg-type]
                worker.heard_at = time.monotonic()
                if not isinstance(message, Alive):
                    self._messages.put((job, message))
        except Ani3DError:  # the worker is ended as one that crashed
            log.exception("job %s: what its process sent cannot be read", job)
        self._messages.put((job, None))

    def _end(self, worker: _Worker) -> Outcome:
        """Reap a worker whose pipe has ended; what became of its job."""
        code = None
        if worker.outcome is None:  # else nothing it still does matters, and torch takes its time to leave
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = worker.process.wait(timeout=1)
        _kill(worker.process)
        worker.process.wait()
        for stream in (worker.process.stdin, worker.process.stdout):
            if stream:
                with contextlib.suppress(OSError):  # a "cancel" that it did not live to read
                    stream.close()
        if worker.outcome:
            return worker.outcome
        if worker.cancelled_at:
            return Outcome("cancelled")
        if _is_full(self._blobs):
            full = disk_full(self._blobs)
            return Outcome("failed", {"code": full.code, "message": full.message, "hint": full.hint})
        how = "stopped reporting" if code is None else f"ended with exit status {code}"
        if worker.silent:
            how = f"gave no sign of life for {self._silence:g} s"
        elif code and code < 0:
            how = f"ended with signal {-code} ({signal.Signals(-code).name})"
        hint = "The system may have run out of memory: close other programs or choose smaller settings."
        error = {"code": "job.crashed", "message": f"The job's process {how} and gave no reason.", "hint": hint}
        return Outcome("failed", error)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the worker's whole process group, so that no encoder it started is left behind."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it is gone; macOS says the latter
        os.killpg(process.pid, signal.SIGKILL)


def _is_full(folder: Path) -> bool:
    """Whether the disk has so little room that a process may die of it without a word."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder if folder.is_dir() else folder.parent).free < NEARLY_FULL
    return False
