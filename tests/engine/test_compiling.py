"""What an engine compiles while nobody has sent a job yet."""

from __future__ import annotations

import os
import time
from contextlib import suppress

import pytest

from engine import compiling
from engine.compiling import Compiling


def is_there(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_where_all_is_compiled_no_process_is_started(monkeypatch):
    monkeypatch.setattr(compiling, "are_compiled", lambda: True)
    monkeypatch.setattr(compiling, "WorkerProcess", lambda *_: pytest.fail("a process was started"))
    Compiling().stop()


def test_the_compiler_ends_with_the_engine(monkeypatch, tmp_path):
    monkeypatch.setattr(compiling, "are_compiled", lambda: False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    running = Compiling()
    assert running._process is not None
    pid = running._process.pid
    while not list(tmp_path.glob("*.working")):  # it has begun
        assert is_there(pid)
        time.sleep(0.05)
    running.stop()
    assert not is_there(pid)
