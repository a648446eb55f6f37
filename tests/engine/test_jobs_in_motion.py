"""What becomes of jobs, with an executor that says what the test wants, on a table without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from tables import submit

from ani3d_formats.errors import Ani3DError
from engine.desk import Desk, Done, Task, Work
from engine.executors import failed
from engine.job_folders import OUTCOME
from engine.job_table import JobTable
from engine.jobs import Jobs
from engine.server import error_reply
from engine.wire.messages import Message

Shot = dict[str, np.ndarray]


class Told:
    """An executor that runs nothing; `news` is what it says next."""

    has_room = True

    def __init__(self) -> None:
        self.news: list[tuple[str, Message]] = []

    def on_news(self) -> None:
        pass

    def start(self, job: str, folder: Path) -> None:
        pass

    def cancel(self, job: str) -> None:
        pass

    def freeze(self, job: str, frozen: bool) -> bool:
        return False

    def poll(self) -> list[tuple[str, Message]]:
        said, self.news = self.news, []
        return said

    def stop(self) -> None:
        pass


class AtOnce(Desk):
    """A desk whose work is done when it is handed over."""

    def _hand_over(self, work: Work, task: Task, done: Done) -> None:
        self._go_on(task, done, work.call(), None)


@contextmanager
def in_motion(store: Path) -> Iterator[tuple[JobTable, Jobs, Told, list[set[str]]]]:
    distrusted: list[set[str]] = []
    told, desk = Told(), AtOnce(lambda: None)
    with closing(JobTable(store)) as table:
        try:
            yield table, Jobs(table, told, desk, 0.0, distrusted.append), told, distrusted
        finally:
            desk.close()


def test_how_a_job_ended_is_not_told_while_it_is_submitted_again(tmp_path: Path, shot: Shot) -> None:
    with in_motion(tmp_path) as (table, jobs, _told, _distrusted):
        job = submit(table, shot, {})
        assert jobs.cancel(job).state == "cancelled"
        jobs.tick(error_reply, {job})
        assert not (table.folder(job) / OUTCOME).exists()
        jobs.tick(error_reply, set())
        assert (table.folder(job) / OUTCOME).exists()


def test_arrays_of_a_job_that_found_one_changed_are_not_trusted(tmp_path: Path, shot: Shot) -> None:
    with in_motion(tmp_path) as (table, jobs, told, distrusted):
        good, bad = submit(table, shot, {}), submit(table, shot, {"n": 1})
        jobs.tick(error_reply, set())
        told.news = [
            (good, failed(Ani3DError("shot.meta", "Wrong.", ""))),
            (bad, failed(Ani3DError("store.corrupt", "Changed.", ""))),
        ]
        jobs.tick(error_reply, set())
        assert distrusted == [table.content(bad)] and table.content(bad)
