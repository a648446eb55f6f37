"""Work beside a block: its result, what it tells and when, and how it ends when the block fails."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ani3d_formats.errors import Cancelled
from ani3d_formats.progress import Progress, Report
from ani3dhuman.pipeline.beside import beside


@pytest.fixture
def told() -> list[Report]:
    return []


@pytest.fixture
def job(told: list[Report]) -> Any:
    compute = SimpleNamespace(device="cpu")
    return SimpleNamespace(compute=compute, listener=told.append, should_cancel=lambda: False)


def progress_of(job: Any, total: int) -> Progress:
    return Progress("render_rigid", total, job.listener, job.should_cancel)


def test_it_is_done_beside_the_block_and_told_of_from_when_on_it_is_waited_for(job, told):
    half, go_on = threading.Event(), threading.Event()

    def work(own: Any) -> str:
        progress = progress_of(own, 2)
        progress.advance()
        half.set()
        assert go_on.wait(30)
        progress.advance()
        return threading.current_thread().name

    with beside(job, work) as result:
        assert half.wait(30), "it runs while nobody waits"
        assert not told, "and says nothing then"
        threading.Timer(0.05, go_on.set).start()
        assert result() != threading.current_thread().name
    assert [report.step for report in told] == [1, 2]


def test_its_first_picture_is_shown_at_once_with_the_stage_of_the_block(job, told):
    def work(own: Any) -> None:
        assert go_on.wait(30)
        progress = progress_of(own, 3)
        for _ in range(3):
            progress.advance(preview=np.zeros((2, 2, 3), np.uint8))
        done.set()

    go_on, done = threading.Event(), threading.Event()
    with beside(job, work) as result:
        Progress("cloth", 2, job.listener).advance()
        go_on.set()
        assert done.wait(30)
        assert [(report.stage, report.step, report.preview is None) for report in told] == [
            ("cloth", 1, True),
            ("cloth", 1, False),
        ]
        result()
    assert (told[-1].stage, told[-1].step) == ("render_rigid", 3) and len(told) == 3


def test_a_picture_before_the_block_tells_anything_comes_with_what_it_tells_first(job, told):
    def work(own: Any) -> None:
        progress_of(own, 1).advance(preview=np.zeros((2, 2, 3), np.uint8))
        done.set()

    done, before = threading.Event(), job.listener
    with beside(job, work):
        assert done.wait(30) and not told
        Progress("cloth", 2, job.listener).advance()
        assert [report.stage for report in told] == ["cloth"] and told[0].preview is not None
    assert job.listener == before


def test_what_has_ended_before_is_told_of_once(job, told):
    done = threading.Event()

    def work(own: Any) -> None:
        progress_of(own, 1).advance()
        done.set()

    with beside(job, work) as result:
        assert done.wait(30)
        result()
    assert told and {report.step for report in told} == {1}


def test_a_block_that_fails_has_it_stop(job):
    stopped, begun = threading.Event(), threading.Event()

    def work(own: Any) -> None:
        progress = progress_of(own, 10**9)
        try:
            while True:
                progress.advance()
                begun.set()
        except Cancelled:
            stopped.set()
            raise

    with pytest.raises(ValueError, match="cloth"), beside(job, work):
        assert begun.wait(30)
        raise ValueError("cloth")
    assert stopped.is_set()


def test_its_failure_is_raised_where_it_is_asked_for(job):
    def work(own: Any) -> None:
        raise ValueError("light")

    with beside(job, work) as result, pytest.raises(ValueError, match="light"):
        result()


def test_on_another_device_it_is_done_by_who_asks(job):
    job.compute.device = "cuda:0"
    with beside(job, lambda own: threading.current_thread()) as result:
        assert result() is threading.current_thread()
