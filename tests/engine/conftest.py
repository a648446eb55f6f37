"""A running engine, a client of it, and a small shot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from engine_process import Engine, running_engine

from engine.wire import Client


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running_engine(tmp_path_factory.mktemp("engine") / "store") as started:
        yield started


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    with engine.client() as connected:
        yield connected


@pytest.fixture
def shot() -> dict[str, np.ndarray]:
    """Not a whole shot, but arrays of every kind that travels."""
    rng = np.random.default_rng(7)
    return {
        "meta": np.array("Änn"),
        "vertices": rng.normal(size=(500, 3)).astype(np.float32),
        "region_ids": rng.integers(0, 4, 500).astype(np.uint8),
        "faces": np.empty((0, 3), np.int32),
        "every_second": np.arange(20, dtype=np.float64)[::2],
        "big_endian": np.arange(5, dtype=">f4"),
    }
