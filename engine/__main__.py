"""`ani3dhuman-engine`: serve until interrupted, shut down by a client, or left by the parent process."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import FrameType

from ani3d_formats.explain import explain
from ani3dhuman.commands.failure import write_log
from ani3dhuman.models.store import default_root
from ani3dhuman.storage.stage_quota import SharedStages, sweep

from .authentication import Gate, Keys
from .commands import COMMANDS
from .compiling import Compiling
from .configuration import Configuration, read
from .device_report import usable_cards
from .executors import Executor, LocalProcesses, slots_for
from .job_quota import collect
from .job_table import JobTable
from .logs import TEXT, log_to
from .parent import is_alive
from .private_files import kept_private, tighten, write_private
from .server import Server
from .wire import PROTOCOL_VERSION
from .wire.credentials import READY_NAME, TOKEN_VARIABLE, running_file

JOB = "engine.job"
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


def main(argv: Sequence[str] | None = None, job: str = JOB) -> int:
    """Run the engine, or one of its other commands; the exit status. `job` names the job module, see `engine.job`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    store = Path.cwd()
    try:
        with kept_private():
            if arguments[:1] and arguments[0] in COMMANDS:
                return COMMANDS[arguments[0]](arguments[1:])
            flags = arguments[1:] if arguments[:1] == ["serve"] else arguments
            chosen = read(flags, list(COMMANDS), os.environ)
            store = chosen.store.resolve()
            _serve(chosen, store, job)
    except Exception as error:
        known = explain(error, store, "engine.internal", f"Details: {write_log(error, None)}.")
        print(f"{known.code}: {known}", file=sys.stderr)
        return 1
    return 0


def _serve(chosen: Configuration, store: Path, job: str) -> None:
    logging.basicConfig(level=logging.INFO, format=TEXT)
    sys.setswitchinterval(0.0005)  # seconds until the loop is let in between what the desk's threads do
    stop = _Stop(chosen.parent_pid)
    signal.signal(signal.SIGINT, stop.ask)
    signal.signal(signal.SIGTERM, stop.ask)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, stop.ask)
    gate = Gate(Keys.load(chosen.keys) if chosen.keys else None, os.environ.get(TOKEN_VARIABLE))
    with closing(JobTable(store)) as table:
        tighten(store)
        log_to(store)
        allowed = [folder.absolute() for folder in (*chosen.allow_path, default_root())]
        stages = SharedStages(store / "stages", int(chosen.stages_gb * 1e9))
        sweep(stages.folder)
        cards = usable_cards()
        slots = slots_for(chosen.workers, cards)
        executor: Executor = LocalProcesses(store / "blobs", job, slots, chosen.watch, stages, cards)
        if chosen.executor == "ray":
            from .ray_tasks import Needs, RayTasks  # an extra

            needs = Needs(chosen.ray_cpus, chosen.ray_gpus)
            executor = RayTasks(store / "blobs", job, slots, chosen.ray_address, needs)
        for old in collect(table, chosen.quota):
            said = f"job {old.id} ({old.name}) is forgotten: {old.days:.0f} days, {old.size / 1e6:.0f} MB"
            logging.info(said, extra={"job": old.id, "state": "forgotten"})
        server = Server(table, executor, job, chosen.host, chosen.port, gate=gate, allowed=allowed)
        compiling = Compiling() if job == JOB else None
        places = [store / READY_NAME, running_file(server.access.endpoint)]
        try:
            ready = {**server.access.to_dict(), "pid": os.getpid(), "protocol": PROTOCOL_VERSION}
            for place in places:
                with suppress(OSError):  # a home that cannot be written to; then clients are told where the engine is
                    write_private(place, json.dumps(ready).encode())
            if chosen.ready_file:
                places.append(chosen.ready_file)
                write_private(chosen.ready_file, json.dumps(ready).encode())
            said = f"listening at {server.access.endpoint}, store {store}"
            logging.info(said, extra={"endpoint": server.access.endpoint})
            server.run(stop)
        finally:
            if compiling:
                compiling.stop()
            for place in places:
                place.unlink(missing_ok=True)
    logging.info("stopped")


if __name__ == "__main__":
    sys.exit(main())
