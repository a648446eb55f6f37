"""One thread for fits this small: threads that wait for each other on a busy machine take ten times as long."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numba
import pytest
import torch


def set_threads(count: int) -> None:
    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


@pytest.fixture(scope="package", autouse=True)
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads; what it was comes back at the end."""
    before = torch.get_num_threads(), numba.get_num_threads()
    set_threads(1)
    yield set_threads
    torch.set_num_threads(before[0])
    numba.set_num_threads(before[1])
