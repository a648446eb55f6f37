"""Commands of `ani3dhuman-engine` beside serving: what runs, how it goes, and housekeeping of a store."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections import Counter, deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ani3d_formats.errors import Ani3DError
from ani3d_formats.names import is_component
from ani3dhuman.storage.stage_quota import evict

from .authentication import add_client
from .configuration import Configuration, read
from .draw_film import film
from .health import complaints, told
from .job_quota import choose, collect
from .job_table import JobTable
from .logs import LOG_NAME, as_text
from .options import add_quota, add_stages, quota
from .private_files import tighten
from .result_files import is_whole
from .wire import DEFAULT_ENDPOINT, Client, JobStatus
from .wire.credentials import READY_NAME


def _client(command: str, description: str, arguments: list[str]) -> Client:
    parser = argparse.ArgumentParser(prog=f"ani3dhuman-engine {command}", description=description)
    _add_where(parser)
    return _connected(parser.parse_args(arguments).engine)


def _add_where(parser: argparse.ArgumentParser) -> None:
    where = "tcp://HOST:PORT, or the path of a store or ready file (default: your own engine)"
    parser.add_argument("--engine", metavar="WHERE", help=where)


def _connected(chosen: str | None) -> Client:
    if not chosen:
        own = _usual().store
        chosen = str(own) if (own / READY_NAME).exists() else DEFAULT_ENDPOINT
    return Client(chosen)


def _usual() -> Configuration:
    """What an engine would be started with that is given no options."""
    return read([], [], os.environ)


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, help="the store (default: your own engine's)")


def _status(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="ani3dhuman-engine status", description="Who the engine is, and its health.")
    _add_where(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    args = parser.parse_args(arguments)
    with _connected(args.engine) as client:
        seconds, jobs, who = client.ping(), client.jobs(), client.hello()
    states, unwell = Counter(job.state for job in jobs), complaints(who.health)
    if args.json:
        known = {name: value for name, value in asdict(who).items() if name != "health"}
        said = {**known, "endpoint": client.endpoint, "answers_ms": round(1000 * seconds, 2), "jobs": states}
        print(json.dumps({**said, **who.health, "complaints": unwell}))
        return 1 if unwell else 0
    print(f"ani3dhuman {who.engine_version}, protocol {who.protocol}, at {client.endpoint}, process {who.pid}")
    priors = ", ".join(who.priors)
    print(f"answers in {1000 * seconds:.1f} ms; jobs compute on {who.device}; priors: {priors}")
    print(told(who.health))
    print(", ".join(f"{number} {state}" for state, number in states.items()) or "no jobs")
    for job in jobs:
        if job.state == "running":
            print(_line(job))
    for complaint in unwell:
        print(complaint)
    return 1 if unwell else 0


def _jobs(arguments: list[str]) -> int:
    with _client("jobs", "All jobs of an engine, newest first.", arguments) as client:
        jobs = client.jobs()
    for job in jobs:
        print(_line(job))
    print(f"{len(jobs)} jobs")
    return 0


def _line(job: JobStatus) -> str:
    how = f" {job.stage} {job.step}/{job.total}" if job.state == "running" else ""
    how += " paused" if job.paused else ""
    left = f", {job.eta:.0f} s left in it" if how and math.isfinite(job.eta) else ""
    why = f" {job.error['message']}" if job.error else ""
    return f"{job.id} {job.state:<9} {job.name}{how}{left}{why}"


def _stop(arguments: list[str]) -> int:
    with _client("stop", "Stop an engine; jobs that run go on with the next one.", arguments) as client:
        client.shutdown()
        print(f"the engine at {client.endpoint} stops")
    return 0


def _adjust(command: str, arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"ani3dhuman-engine {command}", description=f"{command.capitalize()} a job.")
    parser.add_argument("job", help="its id")
    if command == "first":
        parser.add_argument("--priority", type=int, default=10, help="-100 to 100 (default %(default)s)")
    _add_where(parser)
    args = parser.parse_args(arguments)
    with _connected(args.engine) as client:
        if command == "first":
            print(_line(client.adjust(args.job, priority=args.priority)))
        else:
            print(_line(client.adjust(args.job, paused=command == "pause")))
    return 0


def _logs(arguments: list[str]) -> int:
    description = "The end of the engine's log, or of what a job printed."
    parser = argparse.ArgumentParser(prog="ani3dhuman-engine logs", description=description)
    parser.add_argument("job", nargs="?", help="a job's id (default: the engine itself)")
    _add_store(parser)
    parser.add_argument("--lines", type=int, default=50, help="how many (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="of the engine, as they lie in the file")
    args = parser.parse_args(arguments)
    if args.job and not is_component(args.job):
        raise Ani3DError("job.unknown", f"{args.job!r} is no job's id.", "See: ani3dhuman-engine jobs.")
    store = args.store or _usual().store
    path = store / "jobs" / args.job / "worker.log" if args.job else store / LOG_NAME
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = deque(file, max(1, args.lines))
    except OSError as error:
        raise Ani3DError("log.missing", f"There is no log {path} ({error.strerror}).", "Give --store.") from error
    print("".join(lines if args.job or args.json else map(as_text, lines)), end="")
    return 0


def _repair(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="ani3dhuman-engine repair", description="Make a store's table again.")
    _add_store(parser)
    store = (parser.parse_args(arguments).store or _usual().store).resolve()
    with closing(JobTable(store, rebuild=True)) as table:
        tighten(store)
        jobs = table.all_jobs()
        for status in jobs:
            whole = status.state != "done" or is_whole(table.result(status.id), table.files(status.id))
            print(f"{status.id} {status.state if whole else 'damaged: submit it again'} {status.name}")
    print(f"{len(jobs)} jobs in {store}")
    return 0


def _collect(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="ani3dhuman-engine gc", description="Forget old jobs of a store.")
    _add_store(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say which")
    add_quota(parser)
    add_stages(parser)
    usual = _usual()
    days, size = usual.quota.days, usual.quota.size / 1e9
    parser.set_defaults(store=usual.store, keep_days=days, keep_gb=size, stages_gb=usual.stages_gb)
    args = parser.parse_args(arguments)
    store = args.store.resolve()
    with closing(JobTable(store)) as table:
        leaving = (choose if args.dry_run else collect)(table, quota(args))
    for job in leaving:
        print(f"{job.id} {job.days:8.1f} days {job.size / 1e6:10.1f} MB {job.name}")
    if not args.dry_run:
        gone = evict(store / "stages", int(args.stages_gb * 1e9))
        print(f"{len(gone)} finished stages removed")
    said = "would be forgotten" if args.dry_run else "forgotten"
    print(f"{len(leaving)} jobs with {sum(job.size for job in leaving) / 1e6:,.1f} MB {said}")
    return 0


def _keys(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="ani3dhuman-engine keys", description="Let a client in by a CURVE key.")
    parser.add_argument("folder", type=Path, help="folder of the engine's keys, made when missing")
    parser.add_argument("name", help="the client's")
    parser.add_argument("--endpoint", default=DEFAULT_ENDPOINT, help="how the client reaches the engine (%(default)s)")
    args = parser.parse_args(arguments)
    print(add_client(args.folder, args.name, args.endpoint))
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "status": _status,
    "jobs": _jobs,
    "pause": partial(_adjust, "pause"),
    "resume": partial(_adjust, "resume"),
    "first": partial(_adjust, "first"),
    "logs": _logs,
    "stop": _stop,
    "gc": _collect,
    "repair": _repair,
    "keys": _keys,
    "film": film,
}
