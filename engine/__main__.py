"""`ani3dhuman-engine`: serve until interrupted, shut down by a client, or left by the parent process."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import FrameType

from ani3d_formats.explain import explain
from ani3dhuman import __version__
from ani3dhuman.commands.failure import write_log
from ani3dhuman.models.store import default_root
from ani3dhuman.storage.stage_quota import SharedStages, sweep

from .authentication import Gate, Keys
from .commands import COMMANDS, LOG_NAME
from .device_report import describe_device
from .executors import Executor, LocalProcesses, slots_for
from .job_quota import collect
from .job_table import JobTable
from .options import add_quota, add_stages, add_workers, quota, watch
from .parent import is_alive
from .private_files import kept_private, tighten, write_private
from .server import Server
from .wire import DEFAULT_ENDPOINT, PROTOCOL_VERSION
from .wire.credentials import READY_NAME, TOKEN_VARIABLE, default_store, running_file

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
LOG_BYTES, LOG_COUNT = 1_000_000, 3  # of the engine's log, and of older ones beside it
_PARENT_INTERVAL = 0.5  # seconds between checks that the parent process lives


class _Stop:
    """Says whether to stop: after SIGINT or SIGTERM, or when the parent process is gone."""

    def __init__(self, parent: int | None) -> None:
        self._parent = parent
        self._was_ours = parent == os.getppid()
        self._check_at = 0.0
        self._asked = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def __call__(self) -> bool:
        if not self._asked and self._parent is not None and time.monotonic() >= self._check_at:
            self._check_at = time.monotonic() + _PARENT_INTERVAL
            self._asked = not is_alive(self._parent, self._was_ours)
        return self._asked


def _parser() -> argparse.ArgumentParser:
    default_port = int(DEFAULT_ENDPOINT.rpartition(":")[2])
    described = f"Serve ani3dhuman to Blender. Other commands, each with --help: {', '.join(COMMANDS)}."
    parser = argparse.ArgumentParser(prog="ani3dhuman-engine", description=described)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default %(default)s)")
    parser.add_argument("--port", type=int, default=default_port, help="0 takes a free one (default %(default)s)")
    parser.add_argument(
        "--store",
        type=Path,
        default=default_store(),
        help="folder of jobs and results (default %(default)s)",
    )
    parser.add_argument("--ready-file", type=Path, help="gets endpoint and token as JSON once the engine listens")
    parser.add_argument("--keys", type=Path, help="folder of CURVE keys, which an address beyond loopback needs")
    parser.add_argument(
        "--allow-path",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="settings of jobs may name files and models in it; besides it only the folder of models",
    )
    parser.add_argument("--parent-pid", type=int, help="stop when this process is gone")
    add_stages(parser)
    add_workers(parser)
    add_quota(parser)
    parser.add_argument("--version", action="version", version=f"{__version__}, protocol {PROTOCOL_VERSION}")
    return parser


def main(argv: Sequence[str] | None = None, job: str = "engine.job") -> int:
    """Run the engine, or one of its other commands; the exit status. `job` names the job module, see `engine.job`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    store = Path.cwd()
    try:
        with kept_private():
            if arguments[:1] and arguments[0] in COMMANDS:
                return COMMANDS[arguments[0]](arguments[1:])
            args = _parser().parse_args(arguments[1:] if arguments[:1] == ["serve"] else arguments)
            store = args.store.resolve()
            _serve(args, store, job)
    except Exception as error:
        known = explain(error, store, "engine.internal", f"Details: {write_log(error, None)}.")
        print(f"{known.code}: {known}", file=sys.stderr)
        return 1
    return 0


def _log_in(store: Path) -> None:
    """Log to a file in the store too, which begins anew when it is long; a full disk loses lines, not the engine."""
    logging.raiseExceptions = False
    file = RotatingFileHandler(store / LOG_NAME, "a", LOG_BYTES, LOG_COUNT, encoding="utf-8", delay=True)
    file.setFormatter(logging.Formatter(LOG_FORMAT))
    logging.getLogger().addHandler(file)


def _serve(args: argparse.Namespace, store: Path, job: str) -> None:
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    sys.setswitchinterval(0.0005)  # seconds until the loop is let in between what the desk's threads do
    stop = _Stop(args.parent_pid)
    signal.signal(signal.SIGINT, stop.ask)
    signal.signal(signal.SIGTERM, stop.ask)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, stop.ask)
    gate = Gate(Keys.load(args.keys) if args.keys else None, os.environ.get(TOKEN_VARIABLE))
    with closing(JobTable(store)) as table:
        tighten(store)
        _log_in(store)
        allowed = [folder.absolute() for folder in (*args.allow_path, default_root())]
        stages = SharedStages(store / "stages", int(args.stages_gb * 1e9))
        sweep(stages.folder)
        slots = slots_for(args.workers, describe_device())
        executor: Executor = LocalProcesses(store / "blobs", job, slots, watch(args), stages)
        if args.executor == "ray":
            from .ray_tasks import RayTasks  # an extra

            executor = RayTasks(store / "blobs", job, slots, args.ray_address, args.ray_cpus)
        for old in collect(table, quota(args)):
            logging.info("job %s (%s) is forgotten: %.0f days, %.0f MB", old.id, old.name, old.days, old.size / 1e6)
        server = Server(table, executor, job, args.host, args.port, gate=gate, allowed=allowed)
        places = [store / READY_NAME, running_file(server.access.endpoint)]
        try:
            ready = {**server.access.to_dict(), "pid": os.getpid(), "protocol": PROTOCOL_VERSION}
            for place in places:
                with suppress(OSError):  # a home that cannot be written to; then clients are told where the engine is
                    write_private(place, json.dumps(ready).encode())
            if args.ready_file:
                places.append(args.ready_file)
                write_private(args.ready_file, json.dumps(ready).encode())
            logging.info("listening at %s, store %s", server.access.endpoint, store)
            server.run(stop)
        finally:
            for place in places:
                place.unlink(missing_ok=True)
    logging.info("stopped")


if __name__ == "__main__":
    sys.exit(main())
