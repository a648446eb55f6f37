"""Figures of the engine, collected over several runs in out/bench/engine.json; beside it of which commit each is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.commit import commit

PATH = Path("out/bench/engine.json")
COMMITS = PATH.with_name("engine_commits.json")


def record(figures: Mapping[str, float]) -> None:
    """Put figures beside those that are there, by name."""
    PATH.parent.mkdir(parents=True, exist_ok=True)
    _add(PATH, {name: round(float(value), 4) for name, value in figures.items()})
    _add(COMMITS, dict.fromkeys(figures, commit()))


def _add(path: Path, new: Mapping[str, Any]) -> None:
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(dict(sorted({**kept, **new}.items())), indent=1) + "\n", encoding="utf-8")
