"""Kernels compiled ahead of the first job on a machine: by small jobs in processes of their own, side by side.

A kernel is compiled where it is first called, one at a time in each process, which takes minutes of a job that could
have shown its first pictures. Two processes do it in half of the time, and a bar says how far they are.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ani3d_formats.progress import Progress, Report

from ..storage.user_cache import CACHE_VARIABLE, user_cache

log = logging.getLogger(__name__)
STAGE = "kernels"
MESSAGE = "once on this machine"
SMALL = {"device": "cpu", "gaussians": 300, "fit_steps": 4}
_PACKAGE = Path(__file__).resolve().parents[1]
_EVERY = 0.25  # seconds between looks at how far others are
_DEAD = 15.0  # seconds after which a mark that nobody renews is one of a process that was killed


class Part(NamedTuple):
    """A small job, by its settings, and about how many functions are compiled for it: the length of its bar."""

    settings: dict[str, Any]
    functions: int


PARTS = {
    "cloth": Part({"preset": "cloth", **SMALL}, 257),
    "pictures": Part({"preset": "preview", "coarse": "rigid", **SMALL}, 226),
}


def are_compiled() -> bool:
    """Whether `compile_kernels` has been through with this code on a processor like this one."""
    return _mark().is_file()


def compile_kernels(
    listener: Callable[[Report], None] | None = None, should_cancel: Callable[[], bool] = lambda: False
) -> None:
    """Compile what is not compiled yet, or wait for another process that does; returns at once where all is.

    Where it cannot be done nothing is lost: kernels are compiled as they are called.

    Args:
        listener: called with reports of the stage `STAGE`.
        should_cancel: asked several times a second; True stops with `Cancelled`, and what is compiled stays.
    """
    if are_compiled():
        return
    mark = _mark()
    working = mark.with_suffix(".working")
    progress = Progress(STAGE, sum(part.functions for part in PARTS.values()), listener, should_cancel)
    with suppress(OSError):
        mark.parent.mkdir(parents=True, exist_ok=True)
        while not mark.is_file():
            if _age(working) < _DEAD:
                _come_to(progress, _read_number(working))
                time.sleep(_EVERY)
                continue
            with _held(working) as note:
                _compile(progress, note)
            mark.touch()


def _compile(progress: Progress, note: Callable[[int], None]) -> None:
    """Have all parts compiled side by side; `note` takes how many functions have been."""
    with tempfile.TemporaryDirectory(prefix="ani3dhuman-kernels-") as folder:
        running = {name: _start(name, Path(folder) / name) for name in PARTS}
        counts = dict.fromkeys(running, 0)
        readers = [
            threading.Thread(target=_count, args=(process, name, counts), daemon=True)
            for name, process in running.items()
        ]
        try:
            for reader in readers:
                reader.start()
            while any(process.poll() is None for process in running.values()):
                done = sum(min(counts[name], PARTS[name].functions - 1) for name in counts)
                note(done)
                _come_to(progress, done)
                time.sleep(_EVERY)
        finally:
            for process in running.values():
                process.kill()
                process.wait()
        for name, process in running.items():
            if process.returncode:
                log.warning("Compiling ahead (%s) ended with status %s.", name, process.returncode)
        _come_to(progress, progress.total)


def _start(name: str, folder: Path) -> subprocess.Popen[bytes]:
    """A process that compiles one part, and writes a line for each function."""
    folder.mkdir()
    own = {CACHE_VARIABLE: str(folder), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-m", __name__, name, str(folder)]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, **own}
    )


def _count(process: subprocess.Popen[bytes], name: str, counts: dict[str, int]) -> None:
    assert process.stdout is not None
    with process.stdout as lines:
        for _ in lines:
            counts[name] += 1


def _come_to(progress: Progress, step: int) -> None:
    progress.advance(max(step - progress.step, 0), MESSAGE)


@contextmanager
def _held(working: Path) -> Iterator[Callable[[int], None]]:
    """In the block others see that this process compiles, and how far it is."""

    def note(number: int) -> None:
        working.write_text(str(number), encoding="ascii")

    note(0)
    try:
        yield note
    finally:
        working.unlink(missing_ok=True)


def _age(path: Path) -> float:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return float("inf")


def _read_number(path: Path) -> int:
    with suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return 0


@cache
def _mark() -> Path:
    """The file that says that all is compiled, beside what numba keeps; of this code, this place and this processor."""
    digest = hashlib.sha256()
    folders = {path.parent for path in _PACKAGE.rglob("*.py") if b"jit import" in path.read_bytes()}
    for path in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    for text in (_PACKAGE, importlib.metadata.version("numba"), platform.python_version(), _processor()):
        digest.update(str(text).encode())
    own = _PACKAGE / "__pycache__"
    base = Path(chosen) if chosen else own if os.access(own if own.exists() else _PACKAGE, os.W_OK) else user_cache()
    return base / f"ani3dhuman-kernels-{digest.hexdigest()[:16]}"


def _processor() -> str:
    """What code is compiled for: kind and abilities of the processor."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return platform.processor() + platform.machine()


def _compile_part(name: str, folder: Path) -> None:
    """Run a small job in `folder` and print a line for each function that is compiled."""
    import numba.core.event

    from ani3d_formats.shot import Shot

    from .settings import Settings
    from .tiny_shot import tiny_arrays, with_optional_arrays, with_strands
    from .work import work

    class Lines(numba.core.event.Listener):
        def on_start(self, event: Any) -> None:
            pass

        def on_end(self, event: Any) -> None:
            print(flush=True)

    numba.core.event.register("numba:compile", Lines())
    shot = Shot.from_arrays(with_strands(with_optional_arrays(tiny_arrays(frames=4))))
    work(shot, folder / "out", Settings.from_dict(PARTS[name].settings))


if __name__ == "__main__":
    _compile_part(sys.argv[1], Path(sys.argv[2]))
