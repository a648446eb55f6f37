"""Frames worked on side by side: a single one is too small to keep more than one core busy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

import numba
import torch

from .jit import threads_may_meet

Given = TypeVar("Given")
Found = TypeVar("Found")


class Workers(Protocol):
    """Calls a function for every item and yields what it returns, in the items' order, a few at a time."""

    def __call__(self, one: Callable[[Given], Found], items: Sequence[Given]) -> Iterator[Found]: ...


@contextmanager
def side_by_side(most: int, check_cancelled: Callable[[], None], threads_help: bool = True) -> Iterator[Workers]:
    """Workers for at most `most` items at a time, among which the threads that torch has are shared out.

    What they are given must not change anything that another one reads. Gradients are enabled in them as in any new
    thread, whatever the caller has.

    Args:
        most: 1 or more.
        check_cancelled: called in the caller's thread before each few items; it may raise, to stop.
        threads_help: whether the work is the CPU's; for a card it is done one after the other, as where kernels of two
            threads must not meet.
    """
    if not threads_help or not threads_may_meet():

        def in_turn(one: Callable[[Given], Found], items: Sequence[Given]) -> Iterator[Found]:
            for item in items:
                check_cancelled()
                with torch.enable_grad():
                    found = one(item)
                yield found

        yield in_turn
        return
    threads = torch.get_num_threads()
    count = min(most, threads)
    share = threads // count

    def start() -> None:
        torch.set_num_threads(share)
        numba.set_num_threads(min(share, numba.get_num_threads()))

    with ThreadPoolExecutor(count, "frames", start) as pool:

        def work(one: Callable[[Given], Found], items: Sequence[Given]) -> Iterator[Found]:
            for first in range(0, len(items), count):
                check_cancelled()
                yield from pool.map(one, items[first : first + count])

        try:
            yield work
        finally:
            torch.set_num_threads(threads)


def for_frames(work: Callable[[int], None], frames: int, most: int, threads_help: bool = True) -> None:
    """`work` for every frame, `most` at a time: none depends on another, none can be stopped. As of `side_by_side`."""
    with side_by_side(most, lambda: None, threads_help) as workers:
        for _ in workers(work, range(frames)):
            pass
