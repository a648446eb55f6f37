"""What a watcher that comes late is told, and how much of it is kept."""

from __future__ import annotations

import math

import numpy as np

from engine.desk import Desk, Park, Work
from engine.events import MOST, EventLog
from engine.pipe import ProgressReport
from engine.wire import JobStatus

PICTURE = np.zeros((4, 4, 3), np.uint8)


def told(log: EventLog, stage: str, step: int, total: int, preview: np.ndarray | None = None) -> None:
    status = JobStatus("a", "running", stage, step, total, math.inf, None, "Ann")
    log.add(status, ProgressReport(stage, step, total, 1.0, f"step {step}", preview, step / 10))


def everything(log: EventLog) -> list:
    events, since = log.since(0)
    while (more := log.since(since))[0]:
        events, since = events + more[0], more[1]
    return events


def test_a_late_watcher_gets_the_history_first_with_losses_and_the_newest_pictures() -> None:
    log = EventLog()
    for step in range(1, 301):
        told(log, "refine", step, 300, PICTURE if step % 100 == 0 else None)
    events = everything(log)
    assert [event.seq for event in events] == list(range(300))
    assert [event.loss for event in events] == [step / 10 for step in range(1, 301)]
    assert [event.step for event in events if event.preview is not None] == [300]
    assert log.since(10_000) == log.since(0), "the number of another engine"


def test_a_long_history_is_thinned_out_in_the_middle_of_stages() -> None:
    log = EventLog()
    for stage in ("cloth", "refine", "pictures"):
        for step in range(1, 4001):
            told(log, stage, step, 4000, PICTURE)
    events = everything(log)
    assert len(events) <= MOST and [event.seq for event in events] == sorted({event.seq for event in events})
    ends = [(event.stage, event.step) for event in events if event.step == 4000]
    assert ends == [(stage, 4000) for stage in ("cloth", "refine", "pictures")]
    assert [event.stage for event in events if event.preview is not None] == ["cloth", "refine", "pictures"]
    newest = events[-1].seq
    assert log.since(newest)[0] == events[-1:] and log.since(newest + 1) == ([], newest + 1)


def test_work_of_one_lane_is_done_in_order_and_parked_tasks_wait() -> None:
    desk, done, order = Desk(lambda: None), [], []

    def task(name: str, key: str):
        for number in range(20):
            yield Work(lambda number=number: order.append((name, number)), "lane")
        yield Park(key)
        return name

    def failing():
        yield Work(lambda: 1 / 0)

    for name in ("a", "b"):
        desk.begin(task(name, "key"), lambda value, error: done.append(value))
    desk.begin(failing(), lambda value, error: done.append(type(error)))
    while len(order) < 40 or not done:
        desk.go_on()
    desk.go_on()
    assert done == [ZeroDivisionError]
    assert [number for name, number in order if name == "a"] == list(range(20))
    desk.release("key")
    assert sorted(map(str, done[1:])) == ["a", "b"]
    desk.close()
