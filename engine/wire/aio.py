"""The client for asyncio: the same calls as `Client`, to be awaited.

    async with AsyncClient() as client:
        job = await client.submit(shot, settings)
        async for event in client.follow(job):
            print(event.stage, event.step, event.total)

Every call runs on a thread of the client's own, one after the other; where many are to wait at the same time, make many
clients. A call that is cancelled still ends on that thread, and its answer is dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ani3d_formats.errors import Ani3DError

from . import messages as m
from .client import DEFAULT_ENDPOINT, ENDED, PASSING, PAUSE, Client

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class AsyncClient:
    """A connection to one engine, for one event loop; arguments and errors as of `Client`."""

    def __init__(self, endpoint: str = DEFAULT_ENDPOINT, timeout: float = 5.0, token: str | None = None) -> None:
        self._client = Client(endpoint, timeout, token)
        self._thread = ThreadPoolExecutor(1, "engine-client")

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, call: Callable[Arguments, Result], *args: Arguments.args, **named: Arguments.kwargs) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(call, *args, **named))

    async def close(self) -> None:
        """Drop the connection."""
        await self._run(self._client.close)
        self._thread.shutdown(wait=False)

    async def hello(self) -> m.Welcome:
        """Who the engine is."""
        return await self._run(self._client.hello)

    async def ping(self) -> float:
        """Seconds that a message takes there and back."""
        return await self._run(self._client.ping)

    async def prepare(self, preset: str) -> None:
        """Say that a job of this preset is coming."""
        await self._run(self._client.prepare, preset)

    async def submit(
        self,
        shot: dict[str, np.ndarray],
        settings: dict[str, Any],
        priority: int = 0,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> str:
        """Hand in a shot's arrays and the settings; the job's id. `on_progress` is called on another thread."""
        return await self._run(self._client.submit, shot, settings, priority, on_progress)

    async def status(self, job: str) -> m.JobStatus:
        """Where the job stands."""
        return await self._run(self._client.status, job)

    async def jobs(self) -> list[m.JobStatus]:
        """All jobs of the engine's store, newest first."""
        return await self._run(self._client.jobs)

    async def events(self, job: str, since: int = 0, timeout: float = 0.2) -> tuple[list[m.Event], int]:
        """The job's events from number `since` on, and the number to ask for next."""
        return await self._run(self._client.events, job, since, timeout)

    async def follow(self, job: str, patience: float = 60.0) -> AsyncIterator[m.Event]:
        """The job's events from the first on, until it has ended, also through a restart of the engine."""
        since, last = 0, time.monotonic()
        while True:
            try:
                events, since = await self.events(job, since, 1.0)
            except Ani3DError as error:
                if error.code not in PASSING or time.monotonic() - last > patience:
                    raise
                await asyncio.sleep(PAUSE)
                continue
            last = time.monotonic()
            for event in events:
                yield event
            if events and events[-1].state in ENDED:
                return

    async def adjust(self, job: str, priority: int | None = None, paused: bool | None = None) -> m.JobStatus:
        """Give a job another priority, hold it back or let it go on; how it stands now."""
        return await self._run(self._client.adjust, job, priority, paused)

    async def cancel(self, job: str) -> m.JobStatus:
        """Ask the job to stop; how it stands now."""
        return await self._run(self._client.cancel, job)

    async def delete(self, job: str) -> None:
        """Forget a job that is not queued or running, with its files."""
        await self._run(self._client.delete, job)

    async def files(self, job: str) -> list[m.FileInfo]:
        """The result files of a job that is done."""
        return await self._run(self._client.files, job)

    async def fetch(
        self, job: str, name: str, destination: Path, on_progress: Callable[[int, int], None] | None = None
    ) -> Path:
        """Bring the result file `name` to the path `destination`, whole or not at all."""
        return await self._run(self._client.fetch, job, name, destination, on_progress)

    async def mapped(self, job: str, name: str) -> memoryview | None:
        """The bytes of a result file where the engine keeps it; None where it is on another machine."""
        return await self._run(self._client.mapped, job, name)

    async def shutdown(self) -> None:
        """Stop the engine and its workers."""
        await self._run(self._client.shutdown)
