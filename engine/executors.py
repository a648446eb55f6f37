"""Where jobs run. `LocalProcesses` runs them in processes of this machine that stay warm from one job to the next."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import queue
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ani3d_formats.atomic import disk_full
from ani3d_formats.errors import Ani3DError
from ani3d_formats.explain import NEARLY_FULL
from ani3dhuman.device import CARD_VARIABLE
from ani3dhuman.storage.stage_quota import SharedStages, sweep

from . import pipe
from .pipe import Alive, Outcome
from .processes import WorkerProcess, available_memory
from .wire.messages import Message

log = logging.getLogger("engine")

CANCEL_PATIENCE = 0.6  # seconds a worker has to stop by itself once asked
SILENCE = 300.0  # seconds without a sign of life (`pipe.BEAT`): compiled kernels hold the interpreter for long
_LOOK = 0.5  # seconds between looks at the workers' memory


class Executor(Protocol):
    """Where jobs run. All but `on_news`, which other threads call, belongs to the loop's thread and waits for
    nothing."""

    on_news: Callable[[], None]

    @property
    def has_room(self) -> bool:
        """True when another job can start."""

    def prepare(self, preset: str) -> None:
        """A job of this preset is coming."""

    def start(self, job: str, folder: Path) -> None:
        """Run the job whose input lies in `folder`. Raises OSError."""

    def cancel(self, job: str) -> None:
        """Have the job stop soon."""

    def freeze(self, job: str, frozen: bool) -> bool:
        """Stop the job where it stands, or let it go on; False where that cannot be."""

    def poll(self) -> list[tuple[str, Message]]:
        """`ProgressReport`s and `Outcome`s since the last call, in order, each with its job."""

    def stop(self) -> None:
        """End all jobs; returns when they are gone."""


@dataclass(frozen=True)
class Watch:
    """What a worker may do until it is ended: seconds of silence, seconds and bytes of memory of a job.

    `warm` is how many seconds a process waits for another job; `nice` how far it steps back behind other programs;
    `reserve` how many bytes have to be free before a second job starts beside the first.
    """

    silence: float = SILENCE
    seconds: float = math.inf
    memory: float = math.inf
    warm: float = 300.0
    nice: int = 10
    reserve: int = 4 << 30


@dataclass
class _Worker:
    process: WorkerProcess
    card: int = 0
    job: str = ""  # "" while it waits for one
    cancelled_at: float | None = None
    started_at: float = field(default_factory=time.monotonic)
    heard_at: float = field(default_factory=time.monotonic)
    idle_since: float = 0.0
    frozen_at: float | None = None
    ended_for: Ani3DError | None = None
    code: int | None = None  # how it ended by itself


class LocalProcesses:
    """Up to `slots` jobs at once, each in a process group of its own, which then waits for the next job.

    Args:
        blobs: the store's folder of arrays.
        module: the job module, see `engine.job`.
        slots: how many jobs run at once.
        watch: when a worker is ended.
        stages: where all jobs keep their finished stages; None keeps them in each job's own folder.
        cards: CUDA cards that the jobs share: each process has the one that the fewest others have.
    """

    def __init__(
        self,
        blobs: Path,
        module: str = "engine.job",
        slots: int = 1,
        watch: Watch | None = None,
        stages: SharedStages | None = None,
        cards: int = 1,
    ) -> None:
        self._watch = watch or Watch()
        self._blobs = blobs
        self._slots = slots
        self._stages = stages
        self._cards = max(cards, 1)
        self._command = [sys.executable, "-m", "engine.worker", "--blobs", str(blobs), "--job", module]
        self._command += ["--nice", str(self._watch.nice)]
        if stages:
            self._command += ["--stages", str(stages.folder), "--stage-bytes", str(stages.room)]
        self._busy: dict[str, _Worker] = {}
        self._idle: list[_Worker] = []
        self._leaving: list[_Worker] = []  # told to end; their processes may still be there
        self._messages: queue.Queue[tuple[_Worker, Message | None]] = queue.Queue()
        self._look_at = 0.0
        self.on_news: Callable[[], None] = lambda: None  # called, from other threads, when `poll` has something

    @property
    def has_room(self) -> bool:
        """True when another job can start: a slot is free, and beside another job memory too."""
        if not self._busy:
            return True
        free = available_memory()
        return len(self._busy) < self._slots and (free is None or free >= self._watch.reserve)

    def prepare(self, preset: str) -> None:
        """Have a process load what a job of this preset needs, where none waits for a job and another could run."""
        if self._idle or not self.has_room or self._watch.warm <= 0:
            return
        with contextlib.suppress(OSError):  # the job finds out why
            worker = self._spawn(Path(os.devnull))
            worker.idle_since = time.monotonic()
            self._idle.append(worker)
            worker.process.prepare(preset)

    def start(self, job: str, folder: Path) -> None:
        """Run the job whose input lies in `folder`. Raises OSError when no process or log can be made."""
        while self._idle:
            worker = self._idle.pop()
            with contextlib.suppress(OSError):  # it died while it waited
                worker.process.run(folder)
                break
        else:
            worker = self._spawn(folder / "worker.log")
            with contextlib.suppress(OSError):  # its end is on the way
                worker.process.run(folder)
        worker.job, worker.started_at, worker.heard_at = job, time.monotonic(), time.monotonic()
        self._busy[job] = worker

    def _spawn(self, log: Path) -> _Worker:
        taken = [worker.card for worker in (*self._busy.values(), *self._idle)]
        card = min(range(self._cards), key=taken.count)
        worker = _Worker(WorkerProcess(self._command, log, {CARD_VARIABLE: str(card)}), card)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def cancel(self, job: str) -> None:
        """Ask the job to stop; `poll` ends it after `CANCEL_PATIENCE` if it does not."""
        worker = self._busy.get(job)
        if worker is None or worker.cancelled_at is not None:
            return
        worker.cancelled_at = time.monotonic()
        worker.process.ask_to_cancel()
        if worker.frozen_at is not None:
            worker.process.freeze(False)

    def freeze(self, job: str, frozen: bool) -> bool:
        """Stop the job's process where it stands, or let it go on; False where the system cannot."""
        worker = self._busy.get(job)
        if worker is None or (worker.frozen_at is not None) == frozen:
            return True
        if not worker.process.freeze(frozen):
            return False
        if worker.frozen_at is not None:  # the time it stood still is not its own
            worker.started_at += time.monotonic() - worker.frozen_at
            worker.heard_at = time.monotonic()
        worker.frozen_at = time.monotonic() if frozen else None
        return True

    def poll(self) -> list[tuple[str, Message]]:
        """`ProgressReport`s and `Outcome`s since the last call, in order, each with its job; never waits for one."""
        self._look()
        news: list[tuple[str, Message]] = []
        while not self._messages.empty():
            worker, message = self._messages.get()
            job = worker.job
            if message is None:
                self._forget(worker)
                if job:
                    news.append((job, self._ended(worker)))
            elif not job:
                continue  # it was taken for dead
            elif isinstance(message, Outcome):
                del self._busy[job]
                news.append((job, message))
                self._keep(worker, message)
            else:
                news.append((job, message))
        return news

    def _keep(self, worker: _Worker, outcome: Outcome) -> None:
        """Keep a worker that has ended its job for the next one, or let it go."""
        worker.job, worker.cancelled_at = "", None
        worker.idle_since = time.monotonic()
        if outcome.warm and worker.ended_for is None and len(self._idle) < self._slots and self._watch.warm > 0:
            self._idle.append(worker)
        else:
            self._end(worker)

    def _look(self) -> None:
        """End workers that have been asked to stop, are silent, too large or too long, or have waited long enough."""
        now = time.monotonic()
        look = now >= self._look_at
        if look:
            self._look_at = now + _LOOK
        for worker in self._busy.values():
            if worker.cancelled_at and now - worker.cancelled_at > CANCEL_PATIENCE:
                worker.process.kill()
            elif worker.ended_for is None and worker.frozen_at is None:
                worker.ended_for = self._too_much(worker, now, look)
                if worker.ended_for:
                    worker.process.kill()
        for worker in [idle for idle in self._idle if now - idle.idle_since > self._watch.warm]:
            self._idle.remove(worker)
            self._end(worker)

    def _too_much(self, worker: _Worker, now: float, look: bool) -> Ani3DError | None:
        watch = self._watch
        if now - worker.heard_at > watch.silence:  # stopped, or hanging in a driver: what it holds is given back
            return crashed(f"gave no sign of life for {watch.silence:g} s")
        if now - worker.started_at > watch.seconds:
            said = f"The job ran for more than the {watch.seconds / 3600:g} hours that this engine gives one."
            return Ani3DError("job.overdue", said, "Submit it again: it goes on where it was; or see --job-hours.")
        if look and watch.memory < math.inf and (has := worker.process.memory()) > watch.memory:
            said = f"The job took {has / 1e9:.1f} GB of memory; this engine gives one {watch.memory / 1e9:g} GB."
            return Ani3DError("memory.full", said, "Choose smaller settings, or see --job-gb.")
        return None

    def stop(self) -> None:
        """End all workers and what they started; returns when they are gone."""
        workers = [*self._busy.values(), *self._idle, *self._leaving]
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.reap()
        self._busy.clear()
        self._idle.clear()
        self._leaving.clear()

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        self._leaving.append(worker)

    def _forget(self, worker: _Worker) -> None:
        """A worker's process is gone."""
        for workers in (self._idle, self._leaving):
            if worker in workers:
                workers.remove(worker)
        if self._busy.get(worker.job) is worker:
            del self._busy[worker.job]

    def _listen(self, worker: _Worker) -> None:
        """Move messages from a worker's pipe into the queue until the pipe ends. Runs in a thread per worker."""
        try:
            for message in pipe.read(worker.process.reports):  # type: ignore[arg-type]
                worker.heard_at = time.monotonic()
                if not isinstance(message, Alive):
                    self._messages.put((worker, message))
                    self.on_news()
        except Ani3DError:  # the worker is ended as one that crashed
            log.exception("job %s: what its process sent cannot be read", worker.job)
        except (OSError, ValueError):  # the engine stops, and has closed the pipe
            pass
        worker.code = worker.process.reap(patience=1)
        if self._stages:
            sweep(self._stages.folder, worker.process.pid)
        self._messages.put((worker, None))
        self.on_news()

    def _ended(self, worker: _Worker) -> Outcome:
        """What became of the job of a process that ended without saying so."""
        if worker.cancelled_at:
            return Outcome("cancelled")
        if worker.ended_for:
            return failed(worker.ended_for)
        if _is_full(self._blobs):
            return failed(disk_full(self._blobs))
        how = "stopped reporting" if worker.code is None else f"ended with exit status {worker.code}"
        if worker.code and worker.code < 0:
            how = f"ended with signal {-worker.code} ({signal.Signals(-worker.code).name})"
        return failed(crashed(how))


def crashed(how: str) -> Ani3DError:
    """The error of a job whose process ended as `how` says."""
    hint = "The system may have run out of memory: close other programs or choose smaller settings."
    return Ani3DError("job.crashed", f"The job's process {how} and gave no reason.", hint)


def failed(error: Ani3DError) -> Outcome:
    """The outcome of a job that ended with `error`."""
    return Outcome("failed", {"code": error.code, "message": error.message, "hint": error.hint})


def _is_full(folder: Path) -> bool:
    """Whether the disk has so little room that a process may die of it without a word."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder if folder.is_dir() else folder.parent).free < NEARLY_FULL
    return False


def slots_for(asked: str, cards: int) -> int:
    """How many jobs run at once: a number, or "auto" for one a card, without one as many as memory and cores allow."""
    if asked != "auto":
        return int(asked)
    if cards:
        return cards
    free = available_memory()
    return max(1, min((os.cpu_count() or 1) // 4, 1 if free is None else free // (6 << 30)))
