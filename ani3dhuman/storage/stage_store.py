"""Finished stages on disk: each under a key of its inputs, so that a second run does only what changed."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import full_disk_reported, publish
from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import file_sha256

from .frames_on_disk import SUFFIX, FrameFile, Frames, on_disk
from .results import Result, from_arrays, to_arrays
from .stage_quota import LISTING, SharedStages, evict


def content_key(*parts: Any) -> str:
    """SHA-256 over arrays, strings, numbers, and dicts, dataclasses or tuples of them, as 16 hex digits."""
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()[:16]


def _feed(digest: Any, part: Any) -> None:
    if isinstance(part, np.ndarray):
        digest.update(f"{part.dtype.str}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part))
    elif is_dataclass(part) and not isinstance(part, type):
        _feed(digest, asdict(part))
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
    """Keeps the results of finished stages in `folder`/STAGE-KEY/.

    A folder of a job's own has the newest key of each stage only. One that is shared has all of them, as long as they
    have room; those used longest ago go first, but none that this store has used itself.

    A result is a dataclass (`results.to_arrays`): its arrays lie there as NAME.npy, its frames as NAME.frames, the rest
    and the files' SHA-256 in `LISTING`. One that is cut, changed or cannot be read counts as none, so that it is
    computed again.
    """

    def __init__(self, folder: Path, shared: SharedStages | None = None) -> None:
        self.folder = shared.folder if shared else folder
        self.shared = shared
        self.reused: list[str] = []
        self.used: set[str] = set()

    def run(self, stage: str, key: str, kind: type[Result], compute: Callable[[], Result]) -> Result:
        """The stage's result of class `kind`, found finished, or computed and kept; arrays and frames are on disk.

        Raises:
            Ani3DError: ``disk.full``; and what `compute` raises.
        """
        target = self.folder / f"{stage}-{key}"
        self.used.add(target.name)
        found = read_stage(target, kind)
        if found is not None:
            self.reused.append(stage)
            with suppress(OSError):  # a folder that is only read
                os.utime(target / LISTING)
            return found
        _publish(target, compute(), kind)
        if self.shared:
            evict(self.folder, self.shared.room, self.used)
        else:
            for old in self.folder.glob(f"{stage}-*"):
                if old != target:
                    shutil.rmtree(old, ignore_errors=True)
        kept = read_stage(target, kind, verify=False)
        if kept is None:
            raise Ani3DError("disk.broken", f"{target} cannot be read again.", "Check the disk, then run again.")
        return kept


def read_stage(folder: Path, kind: type[Result], verify: bool = True) -> Result | None:
    """The result in a folder, or None where none is whole; `verify` reads all of it and compares the hashes."""
    try:
        text, _, mark = (folder / LISTING).read_text(encoding="utf-8").partition("\n")
        if mark.strip() != hashlib.sha256(text.encode()).hexdigest():
            return None
        listing = json.loads(text)
        paths = {name: _place(folder, name) for name in listing["sha256"]}
        if verify and any(file_sha256(path) != listing["sha256"][name] for name, path in paths.items()):
            return None
        return from_arrays(kind, {name: _opened(path) for name, path in paths.items()}, listing["notes"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def let_go(*arrays: np.ndarray | None) -> None:
    """Take what is mapped of stages' arrays out of this process's memory; it comes back as it is read again."""
    for array in arrays:
        mapped: Any = array
        while mapped is not None and not isinstance(mapped, mmap.mmap):
            mapped = getattr(mapped, "base", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)  # they are mapped to be read alone


def _place(folder: Path, name: str) -> Path:
    """The file of an array or of frames."""
    frames = folder / f"{name}{SUFFIX}"
    return frames if frames.exists() else folder / f"{name}.npy"


def _opened(path: Path) -> np.ndarray | FrameFile:
    """An array mapped from disk, or frames that are read from it one at a time."""
    if path.suffix == SUFFIX:
        return FrameFile.open(path)
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _publish(target: Path, result: Any, kind: type[Any]) -> None:
    """Write a result to the folder `target`, which appears whole or not at all and replaces what was there."""
    arrays, notes = to_arrays(result)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with full_disk_reported(target):
            partial.mkdir(parents=True)
            for name, array in arrays.items():
                if isinstance(array, Frames):
                    on_disk(array).save(partial / f"{name}{SUFFIX}")
                else:
                    np.save(partial / f"{name}.npy", array, allow_pickle=False)
            hashes = {name: file_sha256(_place(partial, name)) for name in arrays}
            listing = json.dumps({"sha256": hashes, "notes": notes})
            mark = hashlib.sha256(listing.encode()).hexdigest()
            (partial / LISTING).write_text(f"{listing}\n{mark}\n", encoding="utf-8")
            try:
                publish(partial, target)
            except OSError:
                # another process was first, and holds what it wrote
                if read_stage(target, kind) is None:
                    raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
