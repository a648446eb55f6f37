"""A table of jobs by itself, without an engine, and submissions to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError
from engine import job_folders
from engine.blobs import Blobs
from engine.intake import Candidate, Intake
from engine.job_table import JobTable
from engine.uploads import Uploads
from engine.wire import messages as m
from engine.wire.upload import chunks, describe


def store_arrays(blobs: Blobs, shot: dict[str, np.ndarray]) -> list[m.ArrayInfo]:
    """Put a shot's arrays into `blobs` as a client would."""
    uploads = Uploads(blobs.root.parent / "incoming", blobs)
    infos, held = describe(shot)
    for put in chunks(uploads.missing(infos), held):
        uploads.put(put.sha256, put.offset, put.data.data)
    return infos


def submit(table: JobTable, shot: dict[str, np.ndarray], settings: dict[str, Any], version: str = "0") -> str:
    """Queue a job in `table`; its id."""
    infos = store_arrays(table.blobs, shot)
    intake = Intake(Uploads(table.root / "incoming", table.blobs), "fake_job", version, [])
    found = intake.look(m.Submit(infos, settings, 0))
    if not isinstance(found, Candidate):
        raise Ani3DError("store.corrupt", "Arrays are missing.", "")
    document = {**found.document, "submitted": table.next_moment()}
    job_folders.write_input(table.folder(found.id), document)
    table.insert(found.id, document)
    return found.id
