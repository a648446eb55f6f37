# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work that touches none of Blender's data, on another thread, while the window goes on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent import futures
from typing import TypeVar

Result = TypeVar("Result")
WAIT = 0.005  # seconds of a step


def beside(work: Callable[[], Result]) -> Generator[None, None, Result]:
    """What `work` returns or raises, after as many short steps as it takes. `work` may not use `bpy`; closing the
    generator waits for it."""
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        while not futures.wait((future,), timeout=WAIT).done:
            yield
        return future.result()
