# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work in steps between which the window goes on; what touches none of Blender's data on another thread."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent import futures
from typing import TypeVar, cast

Result = TypeVar("Result")
Step = TypeVar("Step")
WAIT = 0.005  # seconds of a step


def at_once(steps: Generator[Step, None, Result], told: Callable[[Step], None] = lambda _: None) -> Result:
    """What a generator of steps returns, all of them done; `told` gets what each yields."""
    while True:
        try:
            told(next(steps))
        except StopIteration as end:
            return cast(Result, end.value)


def beside(work: Callable[[], Result]) -> Generator[None, None, Result]:
    """What `work` returns or raises, after as many short steps as it takes. `work` may not use `bpy`; closing the
    generator waits for it."""
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        while not futures.wait((future,), timeout=WAIT).done:
            yield
        return future.result()
