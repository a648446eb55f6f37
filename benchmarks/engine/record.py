"""Figures of the engine, collected over several runs in out/bench/engine.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

PATH = Path("out/bench/engine.json")


def record(figures: Mapping[str, float]) -> None:
    """Put figures beside those that are there, by name."""
    PATH.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(PATH.read_text(encoding="utf-8")) if PATH.exists() else {}
    kept.update({name: round(float(value), 4) for name, value in figures.items()})
    PATH.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")
