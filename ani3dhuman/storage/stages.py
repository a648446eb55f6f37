"""Finished stages on disk: each under a key of its inputs, so that a second run does only what changed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import full_disk_reported, publish


def content_key(*parts: Any) -> str:
    """SHA-256 over arrays, strings, numbers, and dicts or tuples of them, as 16 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()[:16]


def _feed(digest: Any, part: Any) -> None:
    if isinstance(part, np.ndarray):
        digest.update(f"{part.dtype.str}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part))
    elif isinstance(part, Mapping):
        for name in sorted(part):
            _feed(digest, name)
            _feed(digest, part[name])
    elif isinstance(part, (tuple, list)):
        digest.update(f"[{len(part)}]".encode())
        for item in part:
            _feed(digest, item)
    else:
        digest.update(json.dumps(part).encode() + b"\0")


class StageStore:
    """Keeps the arrays of finished stages in `folder`/STAGE-KEY/, newest key per stage only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reused: list[str] = []

    def run(self, stage: str, key: str, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The stage's arrays: memory-mapped from disk when finished before, computed and kept otherwise."""
        target = self.folder / f"{stage}-{key}"
        if target.is_dir():
            self.reused.append(stage)
        else:
            arrays = compute()
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = self.folder / f".{stage}-{key}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            with full_disk_reported(target):
                for name, array in arrays.items():
                    np.save(partial / f"{name}.npy", array, allow_pickle=False)
                for old in self.folder.glob(f"{stage}-*"):
                    shutil.rmtree(old, ignore_errors=True)
                publish(partial, target)
        return {p.stem: np.load(p, mmap_mode="r", allow_pickle=False) for p in target.glob("*.npy")}
