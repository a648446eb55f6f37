"""Jobs in a process of their own, one after the other: `python -m engine.worker --blobs BLOBS`.

The worker and the engine talk through two pipes. Down the standard input come lines: `{"run": FOLDER}` gives a job,
`{"prepare": PRESET}` says which comes next, "cancel" asks it to stop, and the end of the pipe means that the engine is
gone, however it died, so the worker ends at once with its children. Up the standard output go the messages of
`engine.pipe`. What a job prints goes to its log instead. No file is involved, so even a full disk can be reported.

The process stays for the next job, since imports and compiled kernels take longer than many jobs; it does not where
something went wrong that may have left traces.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from ani3d_formats.errors import Cancelled
from ani3d_formats.explain import MAX_TEXT, explain
from ani3d_formats.progress import Report
from ani3dhuman.storage.stage_quota import ROOM, SharedStages

from . import pipe
from .blobs import Blobs, list_files
from .inputs import write_inputs
from .pipe import Outcome, ProgressReport
from .processes import resident
from .wire.messages import MAX_PREVIEW

REPORT_INTERVAL = 0.1  # seconds between reports of one stage; its first and last step always go out
PREVIEW_INTERVAL = 0.5
WARM_BYTES = 3 << 30  # of memory that a process may have and stay for the next job


class Reporter:
    """Sends progress up the pipe: at most 10 reports and 2 small pictures a second within a stage."""

    def __init__(self, reports: BinaryIO) -> None:
        self._reports = reports
        self._stage = ""
        self._last = self._last_preview = 0.0

    def __call__(self, report: Report) -> None:
        now = time.monotonic()
        edge = report.stage != self._stage or report.step >= report.total
        if not edge and now - self._last < REPORT_INTERVAL:
            return
        preview = report.preview if edge or now - self._last_preview >= PREVIEW_INTERVAL else None
        self._stage, self._last = report.stage, now
        if preview is not None:
            self._last_preview = now
            preview = shrink(preview)
        step, total, eta = int(report.step), int(report.total), float(report.eta)
        message = report.message[:MAX_TEXT]
        pipe.write(self._reports, ProgressReport(report.stage, step, total, eta, message, preview, report.loss))


def shrink(picture: np.ndarray) -> np.ndarray:
    """(H,W,3) uint8 made at most `MAX_PREVIEW` px on its longer side, by the mean of whole blocks of pixels."""
    height, width = picture.shape[:2]
    block = -(-max(height, width) // MAX_PREVIEW)
    rows, columns = max(height // block, 1), max(width // block, 1)
    blocks = picture[: rows * block, : columns * block].reshape(rows, -1, columns, min(block, width), 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def run(
    folder: Path,
    blobs: Path,
    module: str,
    reporter: Reporter,
    cancel: threading.Event,
    stages: SharedStages | None = None,
) -> Outcome:
    """Run the job in `folder` until it is done, cancelled or failed."""
    try:
        document = json.loads((folder / "input.json").read_text())
        shot = Blobs(blobs).get(document["arrays"])
        out = folder / "out"
        out.mkdir(exist_ok=True)
        settings = write_inputs(shot, document["settings"], folder / "inputs")
        result = importlib.import_module(module).run(shot, settings, out, reporter, cancel.is_set, stages)
        relative = Path(result).resolve().relative_to(folder.resolve()).as_posix()
        files = list_files(result)
        Blobs(blobs).share(result, files)
        return Outcome("done", None, relative, files)
    except Cancelled:
        return Outcome("cancelled")
    except Exception as error:
        with contextlib.suppress(OSError):  # the log lies on the disk that may be full
            traceback.print_exc()
        known = explain(error, folder, "job.failed", f"{folder / 'worker.log'} says where.")
        return Outcome("failed", {"code": known.code, "message": known.message, "hint": known.hint})


class Orders:
    """What the engine says down the pipe: presets to prepare for (str), folders of jobs (Path), one at a time, and that
    the present one shall stop."""

    def __init__(self, control: BinaryIO) -> None:
        self._control = control
        self.work: queue.Queue[str | Path] = queue.Queue()
        self.cancel = threading.Event()

    def follow(self) -> None:
        """Read orders until the pipe ends (EOF), then end this process and the programs it started."""
        for line in self._control:
            if line.strip() == b"cancel":
                self.cancel.set()
                continue
            order = json.loads(line)
            if "prepare" in order:
                self.work.put(order["prepare"])
            else:
                self.cancel.clear()  # what was said of an earlier job came too late
                self.work.put(Path(order["run"]))
        if hasattr(os, "killpg"):
            os.killpg(0, signal.SIGKILL)
        os._exit(1)


def _hold(folder: Path) -> IO[str]:
    """Hold the job's folder for this process alone; a worker that an engine before this one left there is ended.

    Such a worker was stopped (SIGSTOP) or frozen when its engine died, else it would have ended with it.
    """
    file = open(folder / "worker.lock", "a+")  # noqa: SIM115 - held until the process ends
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            with contextlib.suppress(ValueError, ProcessLookupError, PermissionError):
                os.killpg(int(file.read()), signal.SIGKILL)
            fcntl.flock(file, fcntl.LOCK_EX)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def stays_warm(outcome: Outcome) -> bool:
    """Whether this process may do another job: none of its memory, programs or graphics card is left in use."""
    known = outcome.error is None or not outcome.error["code"].startswith(("job.", "memory.", "disk."))
    torch = sys.modules.get("torch")
    on_card = torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized()
    if not known or on_card or resident(os.getpid()) > WARM_BYTES:
        return False
    if sys.platform == "win32":
        return True
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
        return False  # a program that it started runs on
    return True


def _print_into(log: Path) -> None:
    """Let what is printed from now on go to this file; to where it went before when the disk is full."""
    with contextlib.suppress(OSError), open(log, "ab") as file:
        sys.stdout.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def main(argv: list[str] | None = None) -> None:
    """Do jobs until one leaves traces or the engine is gone."""
    parser = argparse.ArgumentParser(prog="python -m engine.worker")
    parser.add_argument("--blobs", type=Path, required=True)
    parser.add_argument("--stages", type=Path, help="folder of finished stages that all jobs share")
    parser.add_argument("--stage-bytes", type=int, default=ROOM, help="that they may have")
    parser.add_argument("--job", default="engine.job", help="module with the functions check and run")
    parser.add_argument("--nice", type=int, default=0, help="how far to step back behind other programs")
    args = parser.parse_args(argv)
    # Copies of the pipes are not inherited by programs the job starts; those get the log and an empty input.
    control, reports = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    if hasattr(os, "nice"):
        os.nice(args.nice)
    orders = Orders(control)
    threading.Thread(target=orders.follow, daemon=True).start()
    threading.Thread(target=pipe.beat, args=(reports,), daemon=True).start()
    stages = SharedStages(args.stages, args.stage_bytes) if args.stages else None
    warm = True
    while warm:
        folder = orders.work.get()
        if isinstance(folder, str):
            with contextlib.suppress(Exception):  # the job finds out why
                importlib.import_module(args.job).prepare(folder)
            continue
        _print_into(folder / "worker.log")
        held = _hold(folder)
        outcome = run(folder, args.blobs, args.job, Reporter(reports), orders.cancel, stages)
        held.close()
        gc.collect()
        warm = stays_warm(outcome)
        with contextlib.suppress(OSError):
            sys.stdout.flush()  # the engine may end this process as soon as it has the outcome
        pipe.write(reports, replace(outcome, warm=warm))


if __name__ == "__main__":
    main()
