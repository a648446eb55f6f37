"""Work on several frames at a time: order, threads, errors."""

from __future__ import annotations

import threading

import pytest
import torch

from ani3d_formats.errors import Cancelled
from ani3dhuman import side_by_side as side_by_side_module
from ani3dhuman.side_by_side import side_by_side


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2, "the caller's threads were not given back"
    torch.set_num_threads(before)


def test_results_come_in_order_from_workers_that_run_at_once():
    meeting = threading.Barrier(2, timeout=20)

    def one(number: int) -> tuple[int, int]:
        meeting.wait()  # for ever, were they called one after the other
        return number, torch.get_num_threads()

    with side_by_side(2, lambda: None) as workers:
        assert list(workers(one, range(6))) == [(number, 1) for number in range(6)]


def test_no_more_workers_than_threads_or_frames():
    for most, threads in ((5, 2), (1, 1)):
        with side_by_side(most, lambda: None) as workers:
            names = set(workers(lambda _: threading.current_thread().name, range(40)))
            assert len(names) <= threads


def test_a_single_worker_has_all_threads():
    with side_by_side(1, lambda: None) as workers:
        assert list(workers(lambda _: torch.get_num_threads(), [0])) == [2]


def test_where_kernels_of_threads_must_not_meet_all_is_done_here(monkeypatch):
    monkeypatch.setattr(side_by_side_module, "threads_may_meet", lambda: False)
    with side_by_side(2, lambda: None) as workers:
        assert set(workers(lambda _: threading.current_thread(), range(4))) == {threading.current_thread()}


def test_being_asked_to_stop_stops_between_two_lots():
    done = []

    def check_cancelled() -> None:
        if len(done) >= 4:
            raise Cancelled("refine")

    with pytest.raises(Cancelled), side_by_side(2, check_cancelled) as workers:
        list(workers(done.append, range(10)))
    assert sorted(done) == [0, 1, 2, 3]


def test_an_error_in_a_worker_is_the_callers():
    def one(number: int) -> None:
        raise ValueError(f"frame {number}")

    with pytest.raises(ValueError, match="frame 0"), side_by_side(2, lambda: None) as workers:
        list(workers(one, range(2)))
