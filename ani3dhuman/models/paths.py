"""How a model's folder is told from a name."""

from __future__ import annotations

from pathlib import Path

INDEX, CONFIG = "model_index.json", "config.json"  # of a pipeline, of a single network


def is_folder(name: str | Path) -> bool:
    """Whether a name is the path of a model's folder rather than an entry of the registry."""
    return bool(name) and ((Path(name) / INDEX).is_file() or (Path(name) / CONFIG).is_file())
