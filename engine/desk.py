"""Work that the loop must not wait for, on a few threads: hashing, reading, writing, syncing, deleting.

A task is a generator: it runs on the loop's thread, and hands what takes long to the desk by yielding it.

    def task():
        digest = yield Work(partial(file_sha256, path))     # on a thread of the desk; raises here what it raised there
        yield Park("key")                                   # until the loop says that "key" is free
        return answer
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

THREADS = 4


@dataclass(frozen=True)
class Work:
    """Something to be called on a thread of the desk, after all earlier work of the same lane (None: at once)."""

    call: Callable[[], Any]
    lane: Hashable = None


@dataclass(frozen=True)
class Park:
    """Wait until `Desk.release` is called for the key."""

    key: Hashable


Task = Generator[Work | Park, Any, Any]
Done = Callable[[Any, BaseException | None], None]


class Desk:
    """Threads for tasks. All methods but `wake` belong to the loop's thread; `wake` is called when there is news."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._pool = ThreadPoolExecutor(THREADS, "desk")
        self._lanes: dict[Hashable, deque[tuple[Work, Task, Done]]] = {}
        self._lock = threading.Lock()
        self._news: queue.SimpleQueue[tuple[Task, Done, Any, BaseException | None]] = queue.SimpleQueue()
        self._parked: dict[Hashable, list[tuple[Task, Done]]] = {}

    def begin(self, task: Task, done: Done) -> None:
        """Run a task; `done` gets what it returned or raised, on the loop's thread, perhaps at once."""
        self._go_on(task, done, None, None)

    def go_on(self) -> None:
        """Run what waits for work that has ended meanwhile."""
        while True:
            try:
                news = self._news.get_nowait()
            except queue.Empty:
                return
            self._go_on(*news)

    def release(self, key: Hashable) -> None:
        """Run the tasks that are parked for a key."""
        for task, done in self._parked.pop(key, []):
            self._go_on(task, done, None, None)

    def close(self) -> None:
        """Wait for what the threads do, and run what waits for it; what would be begun then is not."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.go_on()

    def _go_on(self, task: Task, done: Done, value: Any, error: BaseException | None) -> None:
        try:
            wish = task.throw(error) if error else task.send(value)
        except StopIteration as ended:
            done(ended.value, None)
        except BaseException as failed:
            done(None, failed)
        else:
            if isinstance(wish, Park):
                self._parked.setdefault(wish.key, []).append((task, done))
            else:
                self._hand_over(wish, task, done)

    def _hand_over(self, work: Work, task: Task, done: Done) -> None:
        with self._lock:
            lane = work.lane if work.lane is not None else object()
            busy = lane in self._lanes
            self._lanes.setdefault(lane, deque()).append((work, task, done))
        if not busy:
            try:
                self._pool.submit(self._drain, lane)
            except RuntimeError:  # the desk is closed
                task.close()

    def _drain(self, lane: Hashable) -> None:
        """Do the next work of a lane, and get in line again behind other lanes."""
        with self._lock:
            work, task, done = self._lanes[lane][0]
        value, error = None, None
        try:
            value = work.call()
        except BaseException as failed:
            error = failed
        with self._lock:
            self._lanes[lane].popleft()
            more = bool(self._lanes[lane])
            if not more:
                del self._lanes[lane]
        self._news.put((task, done, value, error))
        if more:
            with suppress(RuntimeError):  # the desk is closed
                self._pool.submit(self._drain, lane)
        self._wake()
