"""Jobs, and views and windows of each, as tasks of a Ray cluster: `ani3dhuman-engine --executor ray`.

For a farm of machines that share no disk. What a job needs goes through Ray's object store, and so do its result files.
A task that is lost with its machine is run again by Ray on another one; its inputs are in the store, its job stays the
same. Every machine of the cluster needs this package in the same version.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import queue
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.explain import explain
from ani3d_formats.progress import Report
from ani3dhuman.spread import TRIES, RaySpread, spread_by

from .blobs import Blobs, list_files
from .executors import crashed, failed
from .inputs import write_inputs
from .pipe import Outcome, ProgressReport
from .wire.messages import Message
from .worker import REPORT_INTERVAL, shrink

log = logging.getLogger("engine")

_LOOK = 0.2  # seconds between looks at what tasks have said

Said = tuple[str, int, int, float, str, np.ndarray | None, float | None]


@dataclass(frozen=True)
class Needs:
    """What Ray sets aside for a job, and the cores for each part of it; the parts of one with cards are done in it."""

    cpus: float = 1.0
    gpus: float = 0.0


class Ear:
    """Where tasks tell of their progress; an actor beside the engine."""

    def __init__(self) -> None:
        self._said: list[tuple[str, Said]] = []

    def tell(self, job: str, said: Said) -> None:
        self._said.append((job, said))

    def hear(self) -> list[tuple[str, Said]]:
        said, self._said = self._said, []
        return said


def do_job(
    job: str, settings: dict[str, Any], shot: dict[str, np.ndarray], module: str, ear: Any, needs: Needs
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A job on whatever machine this runs: how it ended, and the bytes of its result files by name."""
    last: dict[str, float] = {}

    def listen(report: Report) -> None:
        now = time.monotonic()
        if report.step < report.total and now - last.get(report.stage, -1.0) < REPORT_INTERVAL:
            return
        last[report.stage] = now
        preview = None if report.preview is None else shrink(report.preview)
        told = report.stage, int(report.step), int(report.total), float(report.eta), report.message, preview
        ear.tell.remote(job, (*told, report.loss))

    with tempfile.TemporaryDirectory(prefix="ani3d-task-") as place:
        folder = Path(place)
        try:
            arrays = {name: array.copy() for name, array in shot.items()}  # those of Ray's store are read-only
            chosen = write_inputs(arrays, settings, folder / "inputs")
            (folder / "out").mkdir()
            # A task that waits for its parts keeps its cards, so that parts which want cards may wait for ever.
            with contextlib.nullcontext() if needs.gpus else spread_by(RaySpread(cpus=needs.cpus)):
                run = importlib.import_module(module).run
                result = run(arrays, chosen, folder / "out", listen, lambda: False, None)
            files = {info.name: np.fromfile(result / info.name, np.uint8) for info in list_files(result)}
            return {"state": "done", "result": Path(result).relative_to(folder).as_posix()}, files
        except Cancelled:
            return {"state": "cancelled"}, {}
        except Exception as error:
            known = explain(error, folder, "job.failed", "The log of Ray's worker says where.")
            return {"state": "failed", "error": [known.code, known.message, known.hint]}, {}


class RayTasks:
    """Runs jobs on a Ray cluster; used by the engine in the place of `LocalProcesses`.

    Args:
        blobs: the store's folder of arrays.
        module: the job module, see `engine.job`.
        slots: how many jobs are handed to the cluster at once.
        address: of the cluster; "" starts one of this machine alone.
        needs: cores and graphics cards that Ray sets aside for a job.

    Raises:
        Ani3DError: `engine.ray` where Ray is not installed or the cluster cannot be reached.
    """

    def __init__(self, blobs: Path, module: str, slots: int, address: str = "", needs: Needs | None = None) -> None:
        try:
            import ray

            ray.init(
                address=address or None, logging_level=logging.WARNING, log_to_driver=False, configure_logging=False
            )
        except (ImportError, ConnectionError, ValueError, RuntimeError) as error:
            said = f"The cluster cannot be used ({type(error).__name__}: {error})."[:400]
            hint = "Install the extra ani3dhuman[farm], and give the address of a cluster that runs (--ray-address)."
            raise Ani3DError("engine.ray", said, hint) from error
        self._ray = ray
        self._blobs, self._module, self._slots = Blobs(blobs), module, slots
        self._needs = needs or Needs()
        chosen = {"num_cpus": self._needs.cpus, "num_gpus": self._needs.gpus}
        self._task = ray.remote(do_job).options(**chosen, max_retries=TRIES, num_returns=2)
        self._ear = ray.remote(Ear).options(num_cpus=0).remote()
        self._tasks: dict[str, Any] = {}
        self._cancelled: set[str] = set()
        self._news: queue.SimpleQueue[tuple[str, Message]] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self.on_news: Callable[[], None] = lambda: None
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        """Take what tasks say from the ear; on a thread of its own."""
        while not self._stopped.wait(_LOOK):
            if not self._tasks:
                continue
            with contextlib.suppress(Exception):  # the cluster is busy; the next look finds it
                for job, told in self._ray.get(self._ear.hear.remote(), timeout=5):
                    self._news.put((job, ProgressReport(*told)))
                    self.on_news()

    @property
    def has_room(self) -> bool:
        """True when another job can be handed over."""
        return len(self._tasks) < self._slots

    def prepare(self, preset: str) -> None:
        """Nothing: Ray starts its processes where it has room."""

    def start(self, job: str, folder: Path) -> None:
        """Hand over the job whose input lies in `folder`."""
        self._tasks[job] = None
        threading.Thread(target=self._do, args=(job, folder), daemon=True).start()

    def _do(self, job: str, folder: Path) -> None:
        """Hand over, wait, bring the results; on a thread of its own."""
        try:
            document = json.loads((folder / "input.json").read_text())
            shot = self._blobs.get(document["arrays"])
            ended, files = self._task.remote(job, document["settings"], shot, self._module, self._ear, self._needs)
            self._tasks[job] = ended
            outcome = self._brought(folder, self._ray.get(ended), files)
        except Ani3DError as error:
            outcome = failed(error)
        except OSError as error:
            outcome = failed(explain(error, folder, "job.failed", ""))
        except Exception as error:  # Ray's own: the task was cancelled, or lost too often
            outcome = failed(crashed(f"was lost ({type(error).__name__})"))
        if job in self._cancelled:
            self._cancelled.discard(job)
            outcome = Outcome("cancelled")
        self._news.put((job, outcome))
        self.on_news()

    def _brought(self, folder: Path, told: dict[str, Any], files: Any) -> Outcome:
        """Write the result files of a job that is done."""
        if told["state"] == "failed":
            return failed(Ani3DError(*told["error"]))
        if told["state"] == "cancelled":
            return Outcome("cancelled")
        result = folder / told["result"]
        for name, data in self._ray.get(files).items():
            write_bytes(result / name, data.data)
        listed = list_files(result)
        self._blobs.share(result, listed)
        return Outcome("done", None, told["result"], listed)

    def cancel(self, job: str) -> None:
        """End the job's task."""
        if job in self._tasks:
            self._cancelled.add(job)
            with contextlib.suppress(Exception):
                self._ray.cancel(self._tasks[job], force=True)

    def freeze(self, job: str, frozen: bool) -> bool:
        """A task that runs cannot be stopped where it stands."""
        return job not in self._tasks

    def poll(self) -> list[tuple[str, Message]]:
        """`ProgressReport`s and `Outcome`s since the last call, each with its job."""
        news: list[tuple[str, Message]] = []
        while not self._news.empty():
            job, message = self._news.get()
            if job not in self._tasks:  # a report that came after its job's end
                continue
            if isinstance(message, Outcome):
                del self._tasks[job]
            news.append((job, message))
        return news

    def stop(self) -> None:
        """End all tasks, and leave the cluster."""
        self._stopped.set()
        for job in list(self._tasks):
            self.cancel(job)
        self._ray.shutdown()
