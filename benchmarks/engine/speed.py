"""`python -m benchmarks.engine.speed [--megabytes N]`: how fast the engine is; into out/bench/engine.json."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from ani3d_formats.errors import Ani3DError
from engine.wire import client as client_module
from engine.wire import messages as m
from engine.wire.download import Hasher

from .harness import SETTINGS, Engine, ended, fresh, running, tiny_shot
from .record import record

ROUNDS = 5
SHARED_MEMORY = Path("/dev/shm")
PINGS = """
import json, select, sys, time
from engine.wire import Client
waits = []
with Client(sys.argv[1]) as client:
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        waits.append(1000 * client.ping())
print(json.dumps(waits))
"""  # a process of its own: what sends is busy too


def pings(engine: Engine, count: int = 2000) -> dict[str, float]:
    """A message there and back on a quiet engine, and the same of bare pyzmq."""
    with engine.client() as client:
        waits = [1000 * client.ping() for _ in range(count)]
    return {"ping_ms": float(np.median(waits)), "ping_p99_ms": float(np.percentile(waits, 99))}


def idle(engine: Engine, seconds: float = 5.0) -> dict[str, float]:
    """Processor time and memory of an engine that has nothing to do."""
    time.sleep(1)
    before, start = _processor(engine), time.monotonic()
    time.sleep(seconds)
    return {
        "idle_cpu_percent": 100 * (_processor(engine) - before) / (time.monotonic() - start),
        "idle_mb": engine.memory,
    }


def _processor(engine: Engine) -> float:
    fields = Path(f"/proc/{engine.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_to_compute(engine: Engine) -> dict[str, float]:
    """Seconds from a submission to the first report of work: in a new process, and in a warm one."""
    seconds: list[float] = []
    with engine.client(60) as client:
        for seed in range(6):
            start = time.monotonic()
            job = client.submit(tiny_shot(), {**SETTINGS, "seed": seed})
            for event in client.follow(job):
                if event.state == "running" and event.stage and len(seconds) == seed:
                    seconds.append(time.monotonic() - start)
    return {"first_start_to_compute_s": seconds[0], "start_to_compute_s": statistics.median(seconds[1:])}


def large_submission(engine: Engine, megabytes: int) -> dict[str, float]:
    """Submit an array of so many megabytes beside a shot, while another client pings."""
    rng = np.random.default_rng(megabytes)
    shot = tiny_shot()
    size = megabytes << 20
    pieces = max(1, size >> 28)
    large = {f"bench{n}": rng.integers(0, 256, size // pieces, np.uint8) for n in range(pieces)}
    other = subprocess.Popen(
        [sys.executable, "-c", PINGS, str(engine.store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdin is not None
    other.stdout.readline()
    with engine.client(120) as client:
        start, busy = time.monotonic(), time.process_time()
        try:
            client.submit({**shot, **large}, SETTINGS)
        except Ani3DError as error:  # more arrays than a shot has; all of them have been sent, hashed and stored
            print(f"refused after it was sent: {error.code}", flush=True)
        seconds = time.monotonic() - start
        busy = time.process_time() - busy
    waits = json.loads(other.communicate("stop\n")[0])
    return {
        "submit_mb": float(megabytes),
        "submit_gb_per_s": size / seconds / 1e9,
        "submit_gb_per_cpu_s": size / busy / 1e9,
        "disk_gb_per_s": size / _written(engine.store.parent, size) / 1e9,
        "ping_p99_ms_under_load": float(np.percentile(waits, 99)),
        "ping_max_ms_under_load": max(waits),
        "pings_under_load": float(len(waits)),
    }


def _written(folder: Path, size: int) -> float:
    """Seconds to write and sync so many bytes, and no more."""
    data, path = memoryview(bytes(64 << 20)), folder / "written.bin"
    start = time.monotonic()
    with open(path, "wb", buffering=0) as file:
        for _ in range(size // len(data)):
            file.write(data)
        os.fsync(file.fileno())
    seconds = time.monotonic() - start
    path.unlink()
    return seconds


def transfers(folder: Path, engine: Engine, megabytes: int) -> dict[str, float]:
    """A result of so many megabytes: mapped where it lies, copied on this machine, and sent over the wire."""
    with engine.client(60) as client:
        job = client.submit(tiny_shot(), SETTINGS)
        assert ended(client, job) == "done"
    engine.end()
    store = engine.store
    result = _grow(store, job, megabytes << 20)
    gigabytes = (megabytes << 20) / 1e9
    figures: dict[str, list[float]] = {"mapped": [], "processor": [], "here": [], "wire": [], "bare": []}
    with running(store) as again, again.client(60) as client:
        here = memoryview((store / "jobs" / job / "out" / result).read_bytes())
        for _ in range(ROUNDS):
            start, busy = time.monotonic(), time.process_time()
            data = client.mapped(job, result)
            assert data is not None and len(data) == megabytes << 20
            figures["mapped"].append(gigabytes / (time.monotonic() - start))
            figures["processor"].append(gigabytes / (time.process_time() - busy))
            del data
            start = time.monotonic()
            client.fetch(job, result, folder / "here.bin")
            figures["here"].append(gigabytes / (time.monotonic() - start))
            figures["wire"].append(gigabytes / _over_the_wire(client, job, result))
            figures["bare"].append(gigabytes / _bare(here))
    best = {name: statistics.median(values) for name, values in figures.items()}
    return {
        "gb_per_s": best["mapped"],
        "gb_per_cpu_s": best["processor"],
        "fetch_gb_per_s": best["here"],
        "wire_gb_per_s": best["wire"],
        "pyzmq_gb_per_s": best["bare"],
        "share_of_pyzmq": statistics.median(w / b for w, b in zip(figures["wire"], figures["bare"], strict=True)),
    }


def _grow(store: Path, job: str, size: int) -> str:
    """Give a job that is done one large result file; its name."""
    import sqlite3

    folder = next((store / "jobs" / job / "out").glob("*.ani3d")).parent
    data = np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()
    (folder / "bench.bin").write_bytes(data)
    rows = sqlite3.connect(store / "jobs.sqlite")
    rows.execute("INSERT INTO files VALUES (?, ?, ?, ?)", (job, "bench.bin", size, hashlib.sha256(data).hexdigest()))
    rows.commit()
    rows.close()
    return "bench.bin"


def _over_the_wire(client: client_module.Client, job: str, name: str) -> float:
    """Seconds to receive a file as from another machine, with its sha256, and nothing written."""
    info = next(info for info in client.files(job) if info.name == name)
    start, digest = time.monotonic(), Hasher()
    for chunk in client._fetched(job, info):
        digest.update(chunk)
    assert digest.hexdigest() == info.sha256
    return time.monotonic() - start


def _bare(data: memoryview) -> float:
    """Seconds for the same bytes in the same chunks by pyzmq alone: ROUTER to DEALER, in threads, with their sha256."""
    size = m.MAX_CHUNK_BYTES
    count = len(data) // size
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")

    def serve() -> None:
        for number in range(count):
            client, _request = router.recv_multipart()
            router.send_multipart([client, data[number * size : (number + 1) * size]], copy=False)

    thread = threading.Thread(target=serve)
    thread.start()
    dealer = context.socket(zmq.DEALER)
    dealer.connect(f"tcp://127.0.0.1:{port}")
    start, digest = time.monotonic(), hashlib.sha256()
    for _ in range(min(m.FETCH_WINDOW, count)):
        dealer.send(b"")
    for number in range(count):
        digest.update(dealer.recv(copy=False).buffer)
        if number + m.FETCH_WINDOW < count:
            dealer.send(b"")
    seconds = time.monotonic() - start
    thread.join()
    for socket in (dealer, router):
        socket.close(0)
    context.term()
    return seconds


def disk_of_similar_jobs(folder: Path) -> dict[str, float]:
    """Bytes of twenty jobs of one shot that differ in a late setting, over those of one."""

    def size(place: Path) -> int:
        files = {said.st_ino: said.st_size for path in place.rglob("*") if path.is_file() and (said := path.stat())}
        return sum(files.values())  # a file with several names is there once

    with running(folder / "similar") as engine, engine.client(60) as client:
        sizes = []
        for seed in range(20):
            assert ended(client, client.submit(tiny_shot(), {**SETTINGS, "prompt": str(seed)})) == "done"
            sizes.append(size(engine.store))
    return {"disk_of_20_jobs": sizes[-1] / sizes[0]}


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine.speed")
    parser.add_argument("--megabytes", type=int, default=256, help="of the result (default %(default)s)")
    parser.add_argument("--only", choices=("submit", "transfers"), help="a part alone")
    parser.add_argument("--submit", type=int, default=1600, help="megabytes of the submission (default %(default)s)")
    args = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="bench-engine-"))
    figures: dict[str, Any] = {}
    try:
        with fresh(place / "work") as folder:
            with running(folder / "store") as engine:
                if args.only == "transfers":
                    return record(transfers(folder, engine, args.megabytes))
                if not args.only:
                    figures |= idle(engine) | pings(engine) | start_to_compute(engine)
                figures |= large_submission(engine, args.submit)
                record(figures)
                print(json.dumps(figures), flush=True)
            if SHARED_MEMORY.is_dir():  # the same without a disk that has to sync it
                with fresh(SHARED_MEMORY / place.name) as memory, running(memory / "store") as engine:
                    found = large_submission(engine, args.submit)
                    names = ("submit_gb_per_s", "ping_p99_ms_under_load", "ping_max_ms_under_load")
                    figures |= {f"memory_{name}": found[name] for name in names}
            if not args.only:
                with running(folder / "other") as engine:
                    figures |= transfers(folder, engine, args.megabytes)
                figures |= disk_of_similar_jobs(folder)
        record(figures)
        print(json.dumps(figures, indent=1), flush=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
