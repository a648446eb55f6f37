"""Kernels compiled ahead: once, visibly, by one process at a time, and never in the way of a job."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ani3d_formats.errors import Cancelled
from ani3d_formats.progress import Report
from ani3dhuman.pipeline import compile_ahead
from ani3dhuman.pipeline.compile_ahead import PARTS, STAGE, are_compiled, compile_kernels

TWO_LINES = "print(1, flush=True); print(2, flush=True)"


@pytest.fixture
def kept(monkeypatch, tmp_path) -> Path:
    """Where a machine that has compiled nothing yet will say that it has."""
    monkeypatch.setattr(compile_ahead, "_mark", lambda: tmp_path / "kept" / "kernels-1")
    monkeypatch.setattr(compile_ahead, "_EVERY", 0.02)
    return tmp_path / "kept"


@pytest.fixture
def started(kept, monkeypatch) -> list[str]:
    return parts_are(monkeypatch, TWO_LINES)


def parts_are(monkeypatch, program: str) -> list[str]:
    """Names of the parts as they are started, each of which is a small program instead."""
    names: list[str] = []

    def start(name: str, folder: Path) -> subprocess.Popen[bytes]:
        names.append(name)
        return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)

    monkeypatch.setattr(compile_ahead, "_start", start)
    return names


def test_all_parts_are_compiled_once(started):
    reports: list[Report] = []
    assert not are_compiled()
    compile_kernels(reports.append)
    assert sorted(started) == sorted(PARTS)
    assert are_compiled()
    assert {report.stage for report in reports} == {STAGE}
    assert reports[-1].step == reports[-1].total
    steps = [report.step for report in reports]
    assert steps == sorted(steps)
    compile_kernels(reports.append)
    assert len(started) == len(PARTS)


def test_escape_ends_the_compiler(kept, monkeypatch):
    parts_are(monkeypatch, "import time; time.sleep(600)")
    began = time.monotonic()
    with pytest.raises(Cancelled):
        compile_kernels(None, lambda: time.monotonic() > began + 0.2)
    assert not are_compiled()
    assert not list(kept.iterdir())  # nobody else waits for it


def test_a_second_process_waits_for_the_first(started, kept):
    kept.mkdir()
    (kept / "kernels-1.working").write_text("7")
    reports: list[Report] = []
    waiting = threading.Thread(target=compile_kernels, args=(reports.append,))
    waiting.start()
    while not reports or reports[-1].step < 7:
        time.sleep(0.01)
    (kept / "kernels-1").touch()
    waiting.join(10)
    assert not waiting.is_alive()
    assert not started


def test_one_that_was_killed_is_not_waited_for(started, kept):
    kept.mkdir()
    (kept / "kernels-1.working").write_text("7")
    long_ago = time.time() - 60
    os.utime(kept / "kernels-1.working", (long_ago, long_ago))
    compile_kernels()
    assert len(started) == len(PARTS)
    assert are_compiled()


def test_a_compiler_that_fails_is_told_and_not_tried_for_ever(kept, monkeypatch, caplog):
    parts_are(monkeypatch, "raise SystemExit(3)")
    compile_kernels()
    assert "status 3" in caplog.text
    assert are_compiled()


def test_where_nothing_can_be_kept_jobs_begin_at_once(started, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(compile_ahead, "_mark", lambda: tmp_path / "file" / "kernels-1")
    compile_kernels()
    assert not started


def test_changed_code_is_compiled_again(monkeypatch, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "kernels.py").write_text("from .jit import kernel\n")
    (package / "other.py").write_text("LENGTH = 1\n")
    monkeypatch.setattr(compile_ahead, "_PACKAGE", package)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    before = compile_ahead._mark.__wrapped__()
    assert compile_ahead._mark.__wrapped__() == before
    (package / "other.py").write_text("LENGTH = 2\n")
    assert compile_ahead._mark.__wrapped__() != before
    assert before.parent == tmp_path / "kept"


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_a_job_that_runs(tmp_path, part):
    own = {"ANI3DHUMAN_CACHE": str(tmp_path)}
    command = [sys.executable, "-m", "ani3dhuman.pipeline.compile_ahead", part, str(tmp_path)]
    done = subprocess.run(command, env=os.environ | own, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out" / "report.json").is_file()
