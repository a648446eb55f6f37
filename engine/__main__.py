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
from pathlib import Path
from types import FrameType

from ani3d_formats.atomic import write_bytes
from ani3d_formats.explain import explain
from ani3dhuman import __version__
from ani3dhuman.commands.failure import write_log

from .executors import LocalProcesses
from .job_table import JobTable
from .parent import is_alive
from .server import Server
from .wire import DEFAULT_ENDPOINT, PROTOCOL_VERSION

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
    parser = argparse.ArgumentParser(prog="ani3dhuman-engine", description="Serve ani3dhuman to Blender.")
    parser.add_argument("--host", default="127.0.0.1", help="loopback address to listen at (default %(default)s)")
    parser.add_argument("--port", type=int, default=default_port, help="0 takes a free one (default %(default)s)")
    parser.add_argument(
        "--store",
        type=Path,
        default=Path.home() / ".cache" / "ani3dhuman" / "engine",
        help="folder of jobs and results (default %(default)s)",
    )
    parser.add_argument("--ready-file", type=Path, help="gets the endpoint as JSON once the engine listens")
    parser.add_argument("--parent-pid", type=int, help="stop when this process is gone")
    parser.add_argument("--workers", type=int, default=1, help="jobs at once (default %(default)s)")
    parser.add_argument("--version", action="version", version=f"{__version__}, protocol {PROTOCOL_VERSION}")
    return parser


def main(argv: Sequence[str] | None = None, job: str = "engine.job") -> int:
    """Run the engine; the exit status. `job` names the job module, see `engine.job`."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop = _Stop(args.parent_pid)
    signal.signal(signal.SIGINT, stop.ask)
    signal.signal(signal.SIGTERM, stop.ask)
    try:
        table = JobTable(args.store.resolve(), __version__)
        try:
            executor = LocalProcesses(args.store.resolve() / "blobs", job, max(1, args.workers))
            server = Server(table, executor, job, args.host, args.port)
            try:
                if args.ready_file:
                    ready = {"endpoint": server.endpoint, "pid": os.getpid(), "protocol": PROTOCOL_VERSION}
                    write_bytes(args.ready_file, json.dumps(ready).encode())
                logging.info("listening at %s, store %s", server.endpoint, args.store)
                server.run(stop)
            finally:
                if args.ready_file:
                    args.ready_file.unlink(missing_ok=True)
        finally:
            table.close()
    except Exception as error:
        known = explain(error, args.store, "engine.internal", f"Details: {write_log(error, None)}.")
        print(f"{known.code}: {known}", file=sys.stderr)
        return 1
    logging.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
