"""Full disks, clocks that jump, clients that stop reading, and two hundred at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError
from benchmarks.cloth.speed import skirt
from engine.wire import Client
from engine.wire import messages as m

from .harness import ROOT, SETTINGS, ended, fresh, hashes, running, tiny_shot

MEGABYTE = 1 << 20
LEFT = (0.01, 0.1, 0.3, 0.6, 1.0, 2.0, 3.0, 5.0, 8.0)  # megabytes of room when the shot is submitted

SILENT = """
import sys, time, zmq
from engine.wire import codec, messages as m
from engine.wire.credentials import find_access
access = find_access(sys.argv[1]); context = zmq.Context(); sockets = []
for _ in range(int(sys.argv[4])):
    s = context.socket(zmq.DEALER); s.linger = 0
    s.setsockopt(zmq.SNDHWM, 0); s.setsockopt(zmq.RCVHWM, 1)
    s.plain_username = b"ani3dhuman"; s.plain_password = access.token.encode(); s.connect(access.endpoint)
    for i in range(4000):
        s.send_multipart(codec.encode(m.Fetch(sys.argv[2], sys.argv[3], 0, m.MAX_CHUNK_BYTES), i))
    sockets.append(s)
print("asked", flush=True)
time.sleep(4)
"""


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """A disk of `size` bytes; needs root on Linux. Raises OSError where it cannot be made."""
    place.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True)
    if made.returncode:
        raise OSError(f"no small disk: {made.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def _fill(ballast: Path, left: float = 0.0) -> None:
    """Fill the disk to the last byte, but for so many megabytes."""
    size = 64 * MEGABYTE
    while size:
        try:
            with open(ballast, "ab", buffering=0) as file:
                while file.write(bytes(size)) == size:
                    pass
        except OSError:
            pass
        size //= 2
    with open(ballast, "rb+") as file:
        file.truncate(max(0, ballast.stat().st_size - int(left * MEGABYTE)))


def full_disk(folder: Path, wanted: dict[str, str], left: float) -> dict[str, Any]:
    """Submit where only `left` megabytes are free; then make room, and submit again."""
    record: dict[str, Any] = {"left_mb": left}
    with fresh(folder) as place, small_disk(place / "disk", 64 * MEGABYTE) as disk:
        ballast = disk / "ballast"
        with running(disk / "store") as engine, engine.client() as client:
            _fill(ballast, left)
            try:
                job = client.submit(tiny_shot(), SETTINGS)
                record["first"] = ended(client, job)
            except Ani3DError as error:
                record["first"] = error.code
            ballast.unlink()
            job = client.submit(tiny_shot(), SETTINGS)
            record["then"] = ended(client, job)
            record["equal"] = record["then"] == "done" and hashes(client, job) == wanted
            record["lives"] = engine.is_running
    return record


def full_disk_at(
    folder: Path, settings: dict[str, Any], wanted: dict[str, str], stage: str, step: int = 0
) -> dict[str, Any]:
    """Fill the disk to the last byte when a job reports `step` of `stage`; then make room, and submit again."""
    record: dict[str, Any] = {"at": stage, "step": step}
    with fresh(folder) as place, small_disk(place / "disk", 96 * MEGABYTE) as disk:
        ballast = disk / "ballast"
        with running(disk / "store") as engine, engine.client() as client:
            job = client.submit(tiny_shot(), settings)
            for event in client.follow(job):
                if event.stage == stage and event.step >= step and not ballast.exists():
                    _fill(ballast)
            record["hit"] = ballast.exists()
            record["first"] = ended(client, job)
            error = client.status(job).error
            record["said"] = str(error["message"]).replace(str(engine.store), "STORE") if error else ""
            ballast.unlink(missing_ok=True)
            job = client.submit(tiny_shot(), settings)
            record["then"] = ended(client, job)
            record["equal"] = record["then"] == "done" and hashes(client, job) == wanted
            record["lives"] = engine.is_running
    return record


def full_disk_asked(folder: Path, settings: dict[str, Any], wanted: dict[str, str]) -> dict[str, Any]:
    """Fill the disk of an engine whose jobs wait, ask it for all that its database and log are written for, end it,
    start it on the full disk; then make room, and let the jobs go on."""
    said: dict[str, str] = {}

    def ask(what: str, call: Callable[[], Any]) -> None:
        try:
            call()
            said[what] = "done"
        except Ani3DError as error:
            said[what] = error.code

    with fresh(folder) as place, small_disk(place / "disk", 96 * MEGABYTE) as disk:
        ballast = disk / "ballast"
        with running(disk / "store") as engine, engine.client() as client:
            first = client.submit(tiny_shot(), settings)
            done = ended(client, first)
            waiting = [client.submit(tiny_shot(), {**settings, "seed": seed}) for seed in (1, 2, 3)]
            for job in waiting:
                client.adjust(job, paused=True)
            _fill(ballast)
            ask("ping", client.ping)
            ask("list", client.jobs)
            ask("files", lambda: client.files(first))
            for turn in range(20):  # of which each is a row, and what goes wrong a line of the log
                ask(f"adjust {turn}", lambda turn=turn: client.adjust(waiting[0], priority=turn))  # type: ignore[misc]
            ask("cancel", lambda: client.cancel(waiting[1]))
            ask("submit", lambda: client.submit(tiny_shot(6), settings))
            ask("go on", lambda: client.adjust(waiting[2], paused=False))
            time.sleep(3)
            ask("status", lambda: client.status(waiting[2]))
            ask("delete", lambda: client.delete(first))
            lives = engine.is_running
        _fill(ballast)
        try:
            with running(disk / "store") as engine, engine.client() as client:
                ask("start", client.ping)
        except Ani3DError as error:
            said["start"] = "disk.full" if "disk.full" in error.message else error.message
        command = [sys.executable, "-m", "engine", "gc", "--store", str(disk / "store"), "--keep-days", "0"]
        gone = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
        said["gc"] = "done" if gone.returncode == 0 else gone.stderr
        ballast.unlink()
        with running(disk / "store") as engine, engine.client() as client:
            record = _after(client, settings, waiting, wanted)
            lives = lives and engine.is_running
    clear = done == "done" and all(answer in ("done", "disk.full") for answer in said.values())
    answers = {what: answer for what, answer in said.items() if not what.startswith("adjust")}
    refused = sum(answer == "disk.full" for what, answer in said.items() if what.startswith("adjust"))
    told = {"at": "database, log", "adjust": f"{refused} of 20 disk.full", **answers}
    return {**told, "first": "done" if clear else "unclear", **record, "lives": lives}


def _after(client: Client, settings: dict[str, Any], waiting: list[str], wanted: dict[str, str]) -> dict[str, Any]:
    """How the jobs of an engine end that has room again, and whether the undisturbed one is what it should be."""
    kept = {status.id for status in client.jobs()}
    waiting = [job for job in waiting if job in kept]  # what had ended is collected
    for job in waiting:
        with suppress(Ani3DError):  # it is cancelled, or over
            client.adjust(job, paused=False)
    ends = [ended(client, job) for job in waiting]
    job = client.submit(tiny_shot(), settings)
    then = ended(client, job)
    good = all(end in ("done", "cancelled None", "failed disk.full") for end in ends)
    return {"ends": ends, "then": then, "equal": good and then == "done" and hashes(client, job) == wanted}


def cancels(folder: Path, count: int, free: int) -> dict[str, float]:
    """Cancel a job with a cloth of `free` vertices at so many moments; seconds until it is cancelled."""
    waits = []
    shot = skirt(free, 12).to_arrays()
    with fresh(folder) as place, running(place / "store") as engine, engine.client(120) as client:
        for number in range(count):
            job = client.submit(shot, {**SETTINGS, "seed": number})
            stop = time.monotonic() + 0.3 + 1.5 * number
            while time.monotonic() < stop and client.status(job).state in ("queued", "running"):
                time.sleep(0.02)
            start, before = time.monotonic(), client.status(job)
            client.cancel(job)
            while (state := client.status(job).state) == "running":
                time.sleep(0.005)
            waits.append(time.monotonic() - start)
            print(f"cancelled in {before.stage} {before.step}: {state} after {waits[-1]:.2f} s", flush=True)
    return {"cancels": float(count), "cancel_max_s": max(waits), "cancel_vertices": float(free)}


def full_queue(folder: Path, count: int) -> dict[str, float]:
    """Queue so many jobs behind one that is held back; a bystander's pings meanwhile, and all of them cancelled."""
    with fresh(folder) as place, running(place / "store") as engine, engine.client(60) as client:
        jobs = [client.submit(tiny_shot(3), SETTINGS)]
        client.adjust(jobs[0], paused=True)
        pings = []
        for number in range(1, count):
            jobs.append(client.submit(tiny_shot(3), {**SETTINGS, "seed": number}, priority=-1))
            client.adjust(jobs[-1], paused=True)
            pings.append(1000 * client.ping())
        start = time.monotonic()
        listed = client.jobs()
        seconds = time.monotonic() - start
        for job in jobs:
            client.cancel(job)
        left = [status for status in client.jobs() if status.state in ("queued", "running")]
        good = len(listed) == count and len(left) <= 1
        return {
            "queued": float(count),
            "queue_lost": float(not good),
            "queue_ping_p99_ms": float(np.percentile(pings, 99)),
            "queue_list_s": seconds,
        }


def clock(folder: Path, wanted: dict[str, str], days: float) -> dict[str, Any]:
    """The clock jumps by `days` while a job runs and another waits: both end, in order."""
    with fresh(folder) as place:
        offset = place / "offset"
        offset.write_text("0")
        with (
            running(place / "store", "--clock", str(offset), module="benchmarks.engine.clocked") as engine,
            engine.client() as client,
        ):
            first = client.submit(tiny_shot(), SETTINGS)
            offset.write_text(str(days * 86400))
            second = client.submit(tiny_shot(), {**SETTINGS, "seed": 9})
            third = client.submit(tiny_shot(), {**SETTINGS, "seed": 10})
            order = [status.id for status in client.jobs()] == [third, second, first]
            ends = [ended(client, job) for job in (first, second, third)]
            return {"days": days, "ends": ends, "order": order, "equal": hashes(client, first) == wanted}


def crowd(folder: Path, clients: int, silent: int, seconds: float) -> dict[str, float]:
    """Pings of a bystander while `clients` ask at once, and while `silent` ask for much and read nothing."""
    with fresh(folder) as place, running(place / "store") as engine, engine.client() as client:
        job = client.submit(tiny_shot(60), SETTINGS)
        assert ended(client, job) == "done"
        largest = max(client.files(job), key=lambda info: info.size)
        assert largest.size >= m.MAX_CHUNK_BYTES
        before, most = engine.memory, 0.0
        asking = [sys.executable, "-c", SILENT, str(engine.store), job, largest.name, str(silent)]
        process = subprocess.Popen(asking, cwd=ROOT, stdout=subprocess.PIPE)
        pings = []
        while process.poll() is None:
            pings.append(1000 * client.ping())
            most = max(most, engine.memory)
            time.sleep(0.005)
        figures = {
            "silent_clients": silent,
            "silent_growth_mb": most - before,
            "silent_ping_p99_ms": float(np.percentile(pings, 99)),
            "silent_crashes": float(not engine.is_running),
        }
        stop, answers, failures = time.monotonic() + seconds, [0] * clients, [0] * clients

        def ask(number: int) -> None:
            with suppress(Ani3DError), engine.client() as one:
                while time.monotonic() < stop:
                    try:
                        one.ping() if answers[number] % 4 else one.jobs()
                        answers[number] += 1
                    except Ani3DError:
                        failures[number] += 1

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        pings = []
        while time.monotonic() < stop:
            pings.append(1000 * client.ping())
            time.sleep(0.01)
        for thread in threads:
            thread.join()
        return {
            **figures,
            "clients": float(sum(count > 0 for count in answers)),
            "clients_failures": float(sum(failures)),
            "clients_answers_per_s": sum(answers) / seconds,
            "clients_ping_p99_ms": float(np.percentile(pings, 99)),
        }


def odd_stores(folder: Path) -> dict[str, str]:
    """What an engine says of stores that cannot be one: one sentence each."""
    said = {}
    with fresh(folder) as place, small_disk(place / "locked", MEGABYTE) as locked:
        (place / "file").touch()
        (place / "newer").mkdir()
        (locked / "store").mkdir()
        with running(place / "newer"):
            pass
        with closing(sqlite3.connect(place / "newer" / "jobs.sqlite")) as rows:
            rows.execute("PRAGMA user_version = 99")
        subprocess.run(["mount", "-o", "remount,ro", str(locked)], check=True)
        for name, store in (("file", place / "file"), ("newer", place / "newer"), ("read-only", locked / "store")):
            ready = place / f"{name}.json"
            command = [sys.executable, "-m", "engine", "--port", "0", "--store", str(store), "--ready-file", str(ready)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
                said[name] = done.stderr.strip().splitlines()[-1] if done.returncode == 1 else f"rc {done.returncode}"
            except subprocess.TimeoutExpired:
                said[name] = "no end"
    return said
