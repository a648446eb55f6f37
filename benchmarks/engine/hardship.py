"""Full disks, clocks that jump, clients that stop reading, and two hundred at once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError

from .harness import ROOT, SETTINGS, Engine, ended, fresh, hashes, running, tiny_shot

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
        s.send_multipart(codec.encode(m.Fetch(sys.argv[2], sys.argv[3], 0, 1 << 16), i))
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


def full_disk(folder: Path, wanted: dict[str, str], left: float) -> dict[str, Any]:
    """Submit where only `left` megabytes are free; then make room, and submit again."""
    record: dict[str, Any] = {"left_mb": left}
    with fresh(folder) as place, small_disk(place / "disk", 64 * MEGABYTE) as disk:
        ballast = disk / "ballast"
        with running(disk / "store") as engine, engine.client() as client:
            size = 64 * MEGABYTE
            while size > 4096:  # what is left after the engine has begun is filled but for so much
                try:
                    with open(ballast, "ab") as file:
                        file.write(bytes(size))
                except OSError:
                    size //= 2
            with open(ballast, "rb+") as file:
                file.truncate(max(0, ballast.stat().st_size - int(left * MEGABYTE)))
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
        job = client.submit(tiny_shot(), SETTINGS)
        assert ended(client, job) == "done"
        largest = max(client.files(job), key=lambda info: info.size)
        assert largest.size >= 1 << 16
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
    with fresh(folder) as place:
        (place / "file").touch()
        (place / "newer").mkdir()
        with running(place / "newer"):
            pass
        import sqlite3

        rows = sqlite3.connect(place / "newer" / "jobs.sqlite")
        rows.execute("PRAGMA user_version = 99")
        rows.close()
        for name in ("file", "newer"):
            try:
                Engine(place / name).end()
                said[name] = "started"
            except Ani3DError as error:
                said[name] = error.message
    return said
