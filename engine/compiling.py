"""Kernels compiled from the engine's start on, where they are not: in a process of its own, until it is done or the
engine ends. A job that comes meanwhile waits for the rest, as its first stage."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from ani3dhuman.pipeline.compile_ahead import are_compiled, compile_kernels

from .parent import is_alive
from .processes import WorkerProcess

log = logging.getLogger("engine")


class Compiling:
    """The process, if one is needed. A machine that cannot start it has its first job compile."""

    def __init__(self) -> None:
        self._process: WorkerProcess | None = None
        if not are_compiled():
            log.info("compiling kernels, once on this machine")
            with suppress(OSError):
                self._process = WorkerProcess([sys.executable, "-m", __name__, str(os.getpid())], Path(os.devnull), {})

    def stop(self) -> None:
        """End it; what is compiled stays."""
        if self._process is not None:
            self._process.kill()
            self._process.reap()


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    compile_kernels(None, lambda: not is_alive(int(sys.argv[1]), was_our_parent=True))
