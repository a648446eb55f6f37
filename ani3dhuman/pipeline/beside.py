"""A stage that runs beside others: what does not wait for cloth is done meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from copy import copy
from dataclasses import replace
from threading import Lock
from typing import Generic, TypeVar

import numpy as np

from ani3d_formats.progress import Report

from ..jit import threads_may_meet
from .job import Job

Result = TypeVar("Result")


class Beside(Generic[Result]):
    """Work that a thread of its own does; its progress is told from when on somebody waits for it.

    Its first picture is shown at once, with what the block tells of its own stage, so that progress never jumps:
    the picture is what somebody looks for, long before other stages have ended.
    """

    def __init__(self, job: Job, work: Callable[[Job], Result]) -> None:
        """Begin `work`, which is given the job as that thread uses it; what is noted there is the job's own."""
        self.tell = job.listener
        self._lock = Lock()
        self._last: Report | None = None
        self._of_block: Report | None = None
        self._picture: np.ndarray | None = None
        self._waited_for = self._left = self._seen = False
        own = copy(job)
        own.listener = self._listen
        own.should_cancel = lambda: self._left or job.should_cancel()
        self._pool = ThreadPoolExecutor(1, "beside")
        self._future = self._pool.submit(copy_context().run, work, own)  # also where parts of work are done

    def hear(self, report: Report) -> None:
        """What the block tells of its own stages."""
        with self._lock:
            if report.stage != "warning":
                if self._picture is not None and report.preview is None:
                    report, self._picture = replace(report, preview=self._picture), None
                self._of_block = report
            self._say(report)

    def _listen(self, report: Report) -> None:
        with self._lock:
            self._last = report
            if self._waited_for:
                self._say(report)
            elif report.preview is not None and not self._seen:
                self._seen = True
                if self._of_block:
                    self._say(replace(self._of_block, preview=report.preview))
                else:
                    self._picture = report.preview

    def _say(self, report: Report) -> None:
        if self.tell:
            self.tell(report)

    def result(self) -> Result:
        """What came of it, once it is there; raises what it raised, also `Cancelled`."""
        with self._lock:
            self._waited_for = not self._future.done()
            if self._last:
                self._say(self._last)
        return self._future.result()

    def leave(self) -> None:
        """Have it stop at its next step, and wait for that."""
        self._left = True
        self._pool.shutdown()


@contextmanager
def beside(job: Job, work: Callable[[Job], Result]) -> Iterator[Callable[[], Result]]:
    """`work` begun now and done beside the block, which gets a function that waits for its result.

    Where kernels of two threads must not meet, or another device does the work, it is done when it is asked for.
    """
    if job.compute.device != "cpu" or not threads_may_meet():
        yield lambda: work(job)
        return
    begun = Beside(job, work)
    job.listener = begun.hear
    try:
        yield begun.result
    finally:
        job.listener = begun.tell
        begun.leave()
