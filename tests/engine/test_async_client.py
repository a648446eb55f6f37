"""The same calls from asyncio, and clients that see their jobs through a restart of the engine."""

from __future__ import annotations

import asyncio
import inspect
import signal
from pathlib import Path

import numpy as np
import pytest
from engine_process import Engine

from ani3d_formats.errors import Ani3DError
from engine.wire import AsyncClient, Client

Shot = dict[str, np.ndarray]


def test_a_job_from_asyncio(engine: Engine, shot: Shot, tmp_path: Path) -> None:
    async def work() -> list[str]:
        async with AsyncClient(engine.endpoint) as client, AsyncClient(engine.endpoint) as other:
            job = await client.submit(shot, {"steps": 8, "seconds": 0.05, "loop": "async"})
            stages: list[str] = []

            async def follow() -> None:
                async for event in client.follow(job):
                    stages.append(event.stage)

            _, seconds = await asyncio.gather(follow(), other.ping())
            assert 0 < seconds < 5 and (await client.status(job)).state == "done"
            path = await client.fetch(job, "large.bin", tmp_path / "large.bin")
            data = await other.mapped(job, "large.bin")
            assert data is not None and path.read_bytes() == data
            with pytest.raises(Ani3DError) as caught:
                await client.status("no-such-job")
            assert caught.value.code == "job.unknown"
            return stages

    assert {"rigid", "refine"} <= set(asyncio.run(work()))


def test_both_clients_offer_the_same() -> None:
    own = {"early_frames", "endpoint"}  # what the extension alone asks for
    names = {name for name in vars(Client) if not name.startswith("_")} - own
    assert names == {name for name in vars(AsyncClient) if not name.startswith("_")}
    for name in names - {"follow", "fetch", "submit"}:
        ours, theirs = (inspect.signature(getattr(cls, name)).parameters for cls in (AsyncClient, Client))
        assert list(ours) == list(theirs)


def test_a_client_sees_its_job_through_a_restart(tmp_path: Path, shot: Shot) -> None:
    store = tmp_path / "store"
    first = Engine(store)
    second: list[Engine] = []
    try:
        with Client(str(store)) as client:
            job = client.submit(shot, {"steps": 30, "seconds": 0.05})
            states = []
            for event in client.follow(job, patience=30):
                states.append(event.state)
                if event.step > 3 and not second:
                    first.process.send_signal(signal.SIGKILL)
                    first.process.wait(5)
                    second.append(Engine(store))
            assert second and states[-1] == "done"
            assert client.status(job).state == "done"
    finally:
        for engine in (first, *second):
            engine.end()


def test_an_engine_that_does_not_come_back_is_given_up(tmp_path: Path, shot: Shot) -> None:
    engine = Engine(tmp_path / "store")
    with Client(engine.endpoint, timeout=1) as client:
        job = client.submit(shot, {"steps": 1000, "seconds": 0.05})
        engine.end()
        with pytest.raises(Ani3DError) as caught:
            list(client.follow(job, patience=0.5))
    assert caught.value.code in ("engine.unreachable", "engine.refused")
