"""Work that falls into parts - frames of a film, views, windows, takes: done here, or as tasks of a Ray cluster.

Results come in the order of the parts, whoever made them, so that nothing depends on where it was done.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

Shared = TypeVar("Shared")
Part = TypeVar("Part")
Result = TypeVar("Result")
Call = Callable[[Shared, Part, Progress | None], Result]

TRIES = 3  # times that a part is done again that was lost with its machine
AHEAD = 2  # parts under way for each that the cluster does at once


class Spread(Protocol):
    """Where parts are done."""

    def over(self, call: Call, shared: Any, parts: Iterable[Any]) -> Iterator[Any]:
        """`call(shared, part, None)` for every part, in order."""


_elsewhere: ContextVar[Spread | None] = ContextVar("spread", default=None)


@contextmanager
def spread_by(where: Spread) -> Iterator[None]:
    """In the block, work that falls into parts is done there."""
    before = _elsewhere.set(where)
    try:
        yield
    finally:
        _elsewhere.reset(before)


def over(
    call: Call[Shared, Part, Result],
    shared: Shared,
    parts: Iterable[Part],
    progress: Progress | None = None,
    steps: int = 1,
) -> Iterator[Result]:
    """`call(shared, part, progress)` for every part, in order.

    Args:
        call: a function of a module; it does not change what it gets.
        shared: what all parts need; it travels once.
        parts: asked for as they are begun.
        progress: advanced by `call` itself where it is done here, else by `steps` a part; it gets None there.

    Raises:
        Ani3DError: what `call` raises; ``farm.lost`` for a part that was lost too often.
        Cancelled: by `progress`; what is under way is ended.
    """
    where = _elsewhere.get()
    if where is None:
        for part in parts:
            yield call(shared, part, progress)
        return
    for result in where.over(call, shared, parts):
        if progress:
            progress.advance(steps)
        yield result


class RaySpread:
    """Parts as tasks of a Ray cluster, which are done again elsewhere when their machine is lost.

    Args:
        address: of the cluster; "" takes the one this process already belongs to, or starts one of this machine.
        cpus: what Ray sets aside for a part.

    Raises:
        Ani3DError: ``farm.ray`` where Ray is not installed or the cluster cannot be reached.
    """

    def __init__(self, address: str = "", cpus: float = 1.0) -> None:
        try:
            import ray

            if not ray.is_initialized():
                quiet = {"logging_level": logging.WARNING, "log_to_driver": False, "configure_logging": False}
                ray.init(address=address or None, **quiet)
        except (ImportError, ConnectionError, ValueError, RuntimeError) as error:
            said = f"The cluster cannot be used ({type(error).__name__}: {error})."[:400]
            hint = "Install the extra ani3dhuman[farm], and give the address of a cluster that runs."
            raise Ani3DError("farm.ray", said, hint) from error
        self._ray, self._cpus = ray, cpus
        self._kept: tuple[Any, Any] = (None, None)  # what was shared last, and where the cluster has it
        self._task = ray.remote(_do).options(num_cpus=cpus, max_retries=TRIES)

    def over(self, call: Call, shared: Any, parts: Iterable[Any]) -> Iterator[Any]:
        """`call(shared, part, None)` for every part, in order."""
        last = self._kept  # another thread may set it
        if last[1] is None or last[0] is not shared:  # the steps of a sampler share one prior
            last = self._kept = shared, self._ray.put(shared)
        kept, waiting = last[1], deque[Any]()
        wide = AHEAD * max(1, int(self._ray.cluster_resources().get("CPU", 1) / max(self._cpus, 0.01)))
        try:
            for part in parts:
                waiting.append(self._task.remote(call, kept, part))
                if len(waiting) >= wide:
                    yield self._brought(waiting.popleft())
            while waiting:
                yield self._brought(waiting.popleft())
        finally:
            for left in waiting:
                with suppress(Exception):
                    self._ray.cancel(left, force=True)

    def _brought(self, task: Any) -> Any:
        try:
            result, error = self._ray.get(task)
        except self._ray.exceptions.RayError as lost:
            raised = getattr(lost, "cause", None)
            if isinstance(raised, Exception) and not isinstance(raised, self._ray.exceptions.RayError):
                raise raised from lost  # by the part itself
            said = f"A part of the work was lost {TRIES + 1} times ({type(lost).__name__})."
            raise Ani3DError("farm.lost", said, "Look at the cluster's machines; memory may be short.") from lost
        if error:
            raise Ani3DError(*error)
        return result


def _do(call: Call, shared: Any, part: Any) -> tuple[Any, tuple[str, str, str] | None]:
    """A part on whatever machine this runs: its result, or the error that the library raised."""
    try:
        return call(shared, part, None), None
    except Ani3DError as error:
        return None, (error.code, error.message, error.hint)
