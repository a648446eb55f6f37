"""A job as a task of a cluster: where its parts are done."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ani3dhuman import spread
from engine import ray_tasks


@pytest.mark.parametrize(("gpus", "spread_out"), [(0.0, True), (0.5, False)])
def test_parts_of_a_job_with_cards_are_done_in_it(
    gpus: float, spread_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, found = object(), []

    def run(shot: Any, settings: Any, folder: Path, *_: Any) -> Path:
        found.append(spread._elsewhere.get())
        return folder

    monkeypatch.setitem(sys.modules, "job_that_looks", SimpleNamespace(run=run))
    monkeypatch.setattr(ray_tasks, "RaySpread", lambda cpus: elsewhere)
    needs = ray_tasks.Needs(1.0, gpus)
    told, files = ray_tasks.do_job("a", {}, {}, "job_that_looks", None, needs)
    assert told["state"] == "done" and files == {}
    assert found == [elsewhere if spread_out else None]
