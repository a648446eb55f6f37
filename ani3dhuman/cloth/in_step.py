"""Hair simulated a frame behind the garments beneath it, each on cores of its own, to the bits of one after the other.

What is over garments needs their frame when it comes to that frame, and nothing of later ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from threading import Condition
from typing import TypeVar

import numba
import numpy as np

from ..jit import threads_may_meet

Result = TypeVar("Result")


class Stale(Exception):
    """The frames that were followed are not those that came out in the end."""


class Arriving:
    """Frames (T,N,3) float32, world metres, that one thread simulates and another waits for."""

    def __init__(self, frames: int, count: int) -> None:
        self.places = np.zeros((frames, count, 3), np.float32)
        self.threads = 0  # of numba's for the thread that waits, once it is alone; 0 leaves it those that it has
        self._ready, self._ended, self._changed = 0, False, Condition()

    def put(self, frame: int, places: np.ndarray) -> None:
        """Hand on the next frame (N,3); one that is not finite is the last, as what blew up is replaced at the end."""
        with self._changed:
            if np.isfinite(places).all():
                self.places[frame] = places
                self._ready = frame + 1
            else:
                self._ended = True
            self._changed.notify_all()

    def wait(self, frame: int) -> np.ndarray:
        """A frame (N,3), once it is there.

        Raises:
            Stale: it does not come.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._ready > frame or self._ended)
            if self._ready <= frame:
                raise Stale
            if self._ended and self.threads:
                numba.set_num_threads(self.threads)
            return np.asarray(self.places[frame])

    def end(self) -> None:
        """No more frames come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def settle(self, frames: np.ndarray) -> bool:
        """Have the frames (T,N,3) that came out in the end; whether they are those that were followed."""
        self.end()
        same = self._ready == len(frames) and np.array_equal(self.places, frames)
        self.places[:] = frames
        self._ready = len(frames)
        return same


def in_step(
    garments: Callable[[], np.ndarray], over: Callable[[], Result], arriving: Arriving, at_once: bool = True
) -> tuple[np.ndarray, Result]:
    """What both give; `garments` (T,N,3) hands its frames on by `arriving`, and `over` waits for them there.

    They run `at_once` where there are two threads and their kernels may meet, else one after the other. `over` is run
    again where pieces of the garments were put back at the end.
    """
    threads = numba.get_num_threads()
    if not at_once or threads < 2 or not threads_may_meet():
        done = garments()
        arriving.settle(done)
        return done, over()

    arriving.threads = threads

    def beside() -> Result:
        with _on(threads - threads // 2):
            return over()

    with ThreadPoolExecutor(1, "over") as pool:
        begun = pool.submit(copy_context().run, beside)
        try:
            with _on(threads // 2):
                done = garments()
        except BaseException:
            arriving.end()
            raise
        same = arriving.settle(done)
        if same:
            return done, begun.result()
        begun.exception()  # it has stopped, or followed what is not there
    return done, over()


@contextmanager
def _on(threads: int) -> Iterator[None]:
    """Kernels of this thread on so many of numba's threads."""
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        yield
    finally:
        numba.set_num_threads(before)
