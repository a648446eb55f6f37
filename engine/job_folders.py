"""The store as its folders alone tell it: what each job is and how it ended, so that a lost table can be made again.

jobs/ID/input.json      what the job is: name, settings, array table, when it was submitted
jobs/ID/outcome.json    how it ended: status, result folder and its files with their hashes
jobs/.ID.deleted        a job that was being deleted
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Ani3DError
from ani3d_formats.names import is_component

from .wire import FileInfo

ENDED = ("done", "failed", "cancelled")
INPUT, OUTCOME = "input.json", "outcome.json"


@dataclass(frozen=True)
class Found:
    """A job as its folder tells it."""

    id: str
    name: str
    submitted: float
    arrays: list[str]  # their sha256
    state: str = "queued"
    stage: str = ""
    step: int = 0
    total: int = 0
    error: dict[str, Any] | None = None
    result: str | None = None
    files: list[FileInfo] = field(default_factory=list)


def _is_inside(result: Any) -> bool:
    return result is None or all(is_component(part) for part in str(result).split("/"))


def write_input(folder: Path, document: dict[str, Any]) -> None:
    """Note what the job is; what an earlier run of it came to is forgotten. Raises Ani3DError `disk.full`."""
    new = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
        (folder / OUTCOME).unlink(missing_ok=True)
        write_bytes(folder / INPUT, json.dumps(document).encode())
    except (OSError, Ani3DError):
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def write_outcome(folder: Path, outcome: dict[str, Any], files: list[FileInfo]) -> None:
    """Note how the job ended. Raises Ani3DError `disk.full`."""
    write_bytes(folder / OUTCOME, json.dumps({**outcome, "files": [asdict(file) for file in files]}).encode())


def set_aside(folder: Path) -> Path:
    """Rename a job's folder to one that counts as deleted; where it is now."""
    aside = folder.with_name(f".{folder.name}.deleted")
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        folder.rename(aside)
    return aside


def deleted(jobs: Path) -> Iterator[tuple[str, Path]]:
    """Ids and folders of jobs whose deletion was cut short."""
    for folder in jobs.glob(".*.deleted"):
        yield folder.name[1:].removesuffix(".deleted"), folder


def find(jobs: Path, known: set[str]) -> Iterator[Found]:
    """The jobs whose folders are there and that are not `known`. One without a readable input is passed over."""
    for folder in sorted(jobs.iterdir()):
        if folder.name in known or folder.name.startswith(".") or not folder.is_dir():
            continue
        try:
            said = json.loads((folder / INPUT).read_text(encoding="utf-8"))
            name, arrays = str(said["name"]), [str(entry[3]) for entry in said["arrays"]]
            submitted = float(said.get("submitted", (folder / INPUT).stat().st_mtime))
        except (OSError, ValueError, LookupError, TypeError):
            continue
        job = Found(folder.name, name, submitted, arrays)
        try:
            ended = json.loads((folder / OUTCOME).read_text(encoding="utf-8"))
            files = [FileInfo(**file) for file in ended.pop("files")]
            if ended["state"] not in ENDED or not _is_inside(ended["result"]):
                raise ValueError("no outcome")
            yield Found(job.id, name, submitted, arrays, files=files, **ended)
        except (OSError, ValueError, LookupError, TypeError):
            yield job
