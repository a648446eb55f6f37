"""What outlives the engine: a job table in SQLite (WAL), arrays stored once by their sha256, a folder per job.

    STORE/jobs.sqlite            one row per job, and one per result file
    STORE/blobs/ab/abcdef...     the bytes of an array or of a result file, named by the sha256 of those bytes; where
                                 there are hard links it is the same file as that of every job that has it
    STORE/jobs/ID/input.json     what the worker reads: array table and settings; see `engine.job_folders`
    STORE/jobs/ID/out/           where the job writes; STORE/jobs/ID/worker.log what it prints
    STORE/reserve                bytes given up when a full disk has none for taking a row out

Every file is written beside its place, synced and renamed, and the row comes last, so that a kill at any moment
leaves either the whole job or none of it. A job's id is a hash of its input: the same input is the same job. A table
that is lost or garbled is made again from the folders.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ani3d_formats.atomic import disk_full, is_disk_full, write_bytes
from ani3d_formats.errors import Ani3DError

from . import job_folders
from .blobs import Blobs
from .migrations import migrate
from .wire import FileInfo, JobStatus
from .wire.credentials import READY_NAME, read_access
from .wire.messages import MAX_LISTED

log = logging.getLogger("engine")

MAX_SHOT_NAME = 200  # characters
MAX_PAGE = 900_000  # bytes of one list, which has to fit into a message
MAX_ERROR = 1000  # characters of a job's error that are told
MAX_ATTEMPTS = 3  # a job that has taken the engine down this often is not started again
RESERVE = 1 << 18  # bytes that are given up to delete something from a full disk
_ASK_FOR_FILES = "Ask for the list of its files."


class JobTable:
    """The jobs of one store folder, one engine at a time: SQLite's exclusive lock goes when the process does.

    Args:
        root: the folder, made when missing.
        rebuild: set the table aside and make it again from the folders, as happens by itself to a garbled one.

    Raises:
        Ani3DError: `store.locked`, `store.unusable`, `disk.full`.
    """

    def __init__(self, root: Path, rebuild: bool = False) -> None:
        self.root = root
        self.blobs = Blobs(root / "blobs")
        self._reserve = root / "reserve"
        # where files are that are fetched, in many chunks, and their bytes; until a job changes
        self._places: dict[tuple[str, str], tuple[Path, int]] = {}
        self._none_waits = False  # is known, until a job changes
        try:
            (root / "jobs").mkdir(parents=True, exist_ok=True)
            try:
                self._rows = self._open_whole(root / "jobs.sqlite", rebuild)
                self._reconcile()
            except Ani3DError as error:
                if error.code != "disk.full":
                    raise
                self._use_reserve()
                self._reconcile()
        except (OSError, sqlite3.Error) as error:
            raise _store_error(root, error) from error
        self._keep_reserve()

    def _use_reserve(self) -> None:
        """Make room on a full disk; what the log of SQLite had taken up is free too afterwards."""
        self._reserve.unlink(missing_ok=True)
        self._rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _keep_reserve(self) -> None:
        """Take up the bytes of the reserve, while the disk has them."""
        with suppress(OSError, Ani3DError):
            if not self._reserve.exists():
                write_bytes(self._reserve, bytes(RESERVE))

    def _open_whole(self, path: Path, rebuild: bool) -> sqlite3.Connection:
        """The table; one that is garbled, or that shall be made again, is set aside first."""
        try:
            rows = self._open(path)
            (said,) = rows.execute("PRAGMA quick_check(1)").fetchone()
            if said == "ok" and not rebuild:
                return rows
            rows.close()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise
        aside = path.with_name(f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}.broken")
        log.warning("%s is made again from the folders of jobs; what it held is kept as %s", path, aside.name)
        path.rename(aside)
        for end in ("-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
        return self._open(path)

    def _reconcile(self) -> None:
        """Take in what only the folders know, and end deletions and submissions that were cut short."""
        for job, folder in job_folders.deleted(self.root / "jobs"):
            with self._transaction():
                self._rows.execute("DELETE FROM jobs WHERE id = ?", (job,))
            shutil.rmtree(folder, ignore_errors=True)
        states = dict(self._rows.execute("SELECT id, state FROM jobs").fetchall())
        known = {job for job, state in states.items() if state != "running"}
        for found in job_folders.find(self.root / "jobs", known):
            if found.id in states and found.state == "queued":
                continue  # it was cut short
            if found.id not in states:
                log.warning("job %s (%s) was not in the table and is taken in as %s", found.id, found.name, found.state)
                self._insert(found.id, found.name, found.submitted, found.arrays)
            if found.state != "queued":
                status = JobStatus(
                    found.id, found.state, found.stage, found.step, found.total, 0.0, found.error, found.name
                )
                self.note(status, found.result, found.files)
        kept = self._rows.execute("SELECT sha256 FROM arrays UNION SELECT sha256 FROM files")
        self.blobs.keep({row["sha256"] for row in kept})

    @staticmethod
    def _open(path: Path) -> sqlite3.Connection:
        # The server may be made in one thread and run in another, but never in two at a time.
        rows = sqlite3.connect(path, timeout=0.5, isolation_level=None, check_same_thread=False)
        rows.row_factory = sqlite3.Row
        try:
            rows.execute("PRAGMA locking_mode = EXCLUSIVE")
            rows.execute("PRAGMA journal_mode = WAL")
            rows.execute("PRAGMA foreign_keys = ON")
            # A power cut may undo the last of what was noted, and the folders, which are synced, tell it again.
            rows.execute("PRAGMA synchronous = NORMAL")
            migrate(rows, path)
        except (sqlite3.Error, Ani3DError):
            rows.close()
            raise
        return rows

    def close(self) -> None:
        """Release the store to another engine."""
        self._rows.close()

    def folder(self, job: str) -> Path:
        """The job's own folder."""
        return self.root / "jobs" / job

    # ---- changing jobs ----

    def next_moment(self) -> float:
        """The time of a submission: first in first out, also when the clock is set back."""
        (newest,) = self._rows.execute("SELECT max(queued) FROM jobs").fetchone()
        return max(time.time(), (newest or 0.0) + 1e-6)

    def insert(self, job: str, document: dict[str, Any]) -> None:
        """Put a job, whose input `document` is in its folder, in the queue; what was known of it is forgotten.

        Raises:
            Ani3DError: `disk.full`.
        """
        digests = [entry[3] for entry in document["arrays"]]
        self._insert(job, document["name"], document["submitted"], digests, document.get("priority", 0))

    def _insert(self, job: str, name: str, submitted: float, arrays: list[str], priority: int = 0) -> None:
        with self._transaction():
            self._rows.execute("DELETE FROM jobs WHERE id = ?", (job,))
            values = (job, name, "queued", submitted, priority)
            self._rows.execute("INSERT INTO jobs (id, name, state, queued, priority) VALUES (?, ?, ?, ?, ?)", values)
            self._rows.executemany("INSERT INTO arrays VALUES (?, ?)", [(job, sha256) for sha256 in set(arrays)])

    def next_queued(self) -> str | None:
        """The id of the job whose turn it is: of the highest priority the one that has waited longest."""
        if self._none_waits:
            return None
        row = self._rows.execute(
            "SELECT id FROM jobs WHERE state = 'queued' AND NOT paused ORDER BY priority DESC, queued LIMIT 1"
        ).fetchone()
        self._none_waits = row is None
        return row["id"] if row else None

    def start(self, job: str) -> None:
        """Note that a worker has the job."""
        with self._transaction():
            self._rows.execute("UPDATE jobs SET state = 'running', attempts = attempts + 1 WHERE id = ?", (job,))

    def adjust(self, job: str, priority: int | None, paused: bool | None) -> None:
        """Give the job another priority, or hold it back. Raises Ani3DError `job.unknown`."""
        row = self._row(job)
        values = (row["priority"] if priority is None else priority, row["paused"] if paused is None else paused, job)
        with self._transaction():
            self._rows.execute("UPDATE jobs SET priority = ?, paused = ? WHERE id = ?", values)

    def note(self, status: JobStatus, result: str | None = None, files: Sequence[FileInfo] = ()) -> None:
        """Note how the job stands; `result` is the folder of its `files`, relative to the job's folder."""
        error = json.dumps(_shortened(status.error)) if status.error else None
        told = status.state, status.stage, status.step, status.total, error, result, status.paused, status.id
        changed = "state = ?, stage = ?, step = ?, total = ?, error = ?, result = ?, paused = ?"
        with self._transaction():
            self._rows.execute(f"UPDATE jobs SET {changed} WHERE id = ?", told)
            self._rows.execute("DELETE FROM files WHERE job = ?", (status.id,))
            rows = [(status.id, f.name, f.size, f.sha256) for f in files]
            self._rows.executemany("INSERT INTO files VALUES (?, ?, ?, ?)", rows)

    def put_back(self) -> None:
        """Queue again what is running, since the engine is stopped in good order: that counts as no attempt."""
        with self._transaction():
            self._rows.execute("UPDATE jobs SET state = 'queued', attempts = attempts - 1 WHERE state = 'running'")

    def recover(self) -> list[str]:
        """Queue again what was running when the engine last stopped; the ids of jobs queued again.

        A job that has been interrupted `MAX_ATTEMPTS` times fails with `job.interrupted`: it may be what stops us.
        """
        error = {
            "code": "job.interrupted",
            "message": f"The engine was stopped {MAX_ATTEMPTS} times in the middle of this job.",
            "hint": "Look at its worker.log in the engine's store; memory may be short. Submit it to try again.",
        }
        with self._transaction():
            self._rows.execute(
                "UPDATE jobs SET state = 'failed', error = ? WHERE state = 'running' AND attempts >= ?",
                (json.dumps(error), MAX_ATTEMPTS),
            )
            rows = self._rows.execute("SELECT id FROM jobs WHERE state = 'running'").fetchall()
            self._rows.execute("UPDATE jobs SET state = 'queued' WHERE state = 'running'")
        return [row["id"] for row in rows]

    def set_aside(self, job: str) -> Path:
        """Begin to delete a job, which the next start would end; its folder, which is now aside, to be removed."""
        self._places.clear()
        return job_folders.set_aside(self.folder(job))

    def forget(self, job: str) -> None:
        """Take a job out of the table, on a full disk in the place of the reserve. Raises Ani3DError `disk.full`."""
        try:
            self._drop(job)
        except Ani3DError:
            self._use_reserve()
            self._drop(job)
        self._keep_reserve()

    def _drop(self, job: str) -> None:
        with self._transaction():
            self._rows.execute("DELETE FROM jobs WHERE id = ?", (job,))

    def content(self, job: str) -> set[str]:
        """The sha256 of the job's arrays and result files."""
        asked = "SELECT sha256 FROM arrays WHERE job = :job UNION SELECT sha256 FROM files WHERE job = :job"
        return {row["sha256"] for row in self._rows.execute(asked, {"job": job})}

    def unused(self, digests: set[str], job: str) -> set[str]:
        """Those of them that no other job has."""
        asked = "SELECT 1 WHERE EXISTS (SELECT 1 FROM arrays WHERE sha256 = :sha256 AND job <> :job)"
        asked += " OR EXISTS (SELECT 1 FROM files WHERE sha256 = :sha256 AND job <> :job)"
        values = [{"sha256": digest, "job": job} for digest in digests]
        return {one["sha256"] for one in values if not self._rows.execute(asked, one).fetchone()}

    def delete(self, job: str) -> None:
        """Remove a job, its folder, and the content that no other job has. Takes its time.

        Raises:
            Ani3DError: `disk.full`, where what goes makes no room for the table; the next start ends the deletion.
        """
        unused = self.unused(self.content(job), job)
        shutil.rmtree(self.set_aside(job), ignore_errors=True)  # first: the disk may be full
        self.blobs.remove(unused)
        self.forget(job)

    # ---- asking ----

    def status(self, job: str) -> JobStatus:
        """Where the job stands. Raises Ani3DError `job.unknown`."""
        return _status(self._row(job))

    def jobs(self, after: str = "") -> tuple[list[JobStatus], bool]:
        """Newest first, as many jobs as a message holds, from behind job `after` on; whether there are more."""
        listed: list[JobStatus] = []
        size, start = 0, (math.inf, "")
        if after:
            start = (self._row(after)["queued"], after)
        asked = "SELECT * FROM jobs WHERE (queued, id) < (?, ?) ORDER BY queued DESC, id DESC LIMIT ?"
        for row in self._rows.execute(asked, (*start, MAX_LISTED + 1)):
            status = _status(row)
            size += 200 + len(repr(status).encode())
            if size > MAX_PAGE or len(listed) == MAX_LISTED:
                return listed, True
            listed.append(status)
        return listed, False

    def all_jobs(self) -> list[JobStatus]:
        """Every job, newest first."""
        listed, more = self.jobs()
        while more:
            page, more = self.jobs(listed[-1].id)
            listed += page
        return listed

    def ended(self) -> list[tuple[JobStatus, float]]:
        """The jobs that neither wait nor run, with the time they were submitted, newest first."""
        rows = self._rows.execute("SELECT * FROM jobs WHERE state NOT IN ('queued', 'running') ORDER BY queued DESC")
        return [(_status(row), row["queued"]) for row in rows]

    def files(self, job: str) -> list[FileInfo]:
        """The result files of a job that is done. Raises Ani3DError `job.unknown`, `job.unfinished`."""
        self.result(job)
        rows = self._rows.execute("SELECT name, size, sha256 FROM files WHERE job = ? ORDER BY name", (job,))
        return [FileInfo(*row) for row in rows]

    def place(self, job: str, name: str, offset: int, size: int) -> Path:
        """Where a result file is that has `size` bytes from `offset` on.

        Raises:
            Ani3DError: `job.unknown`, `job.unfinished`, `file.unknown`.
        """
        found = self._places.get((job, name))
        if found is None:
            folder = self.result(job)
            row = self._rows.execute("SELECT size FROM files WHERE job = ? AND name = ?", (job, name)).fetchone()
            if row is None:
                raise Ani3DError("file.unknown", f"Job {job} has no file '{name}'.", _ASK_FOR_FILES)
            found = self._places[job, name] = folder / name, row["size"]
        path, whole = found
        if offset + size > whole:
            text = f"Job {job} has no {offset + size:,} bytes in '{name}'."
            raise Ani3DError("file.unknown", text, _ASK_FOR_FILES)
        return path

    def known(self, job: str) -> bool:
        """Whether there is such a job."""
        return self._rows.execute("SELECT 1 FROM jobs WHERE id = ?", (job,)).fetchone() is not None

    def _row(self, job: str) -> sqlite3.Row:
        row = self._rows.execute("SELECT * FROM jobs WHERE id = ?", (job,)).fetchone()
        if row is None:
            raise Ani3DError("job.unknown", f"There is no job '{job[:40]}'.", "Ask for the list of jobs.")
        return row

    def result(self, job: str) -> Path:
        """The folder of a job's result files. Raises Ani3DError `job.unknown`, `job.unfinished`."""
        row = self._row(job)
        if row["state"] != "done":
            raise no_files(job, row["state"])
        return self.folder(job) / row["result"]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing. Raises Ani3DError `disk.full` where SQLite finds no room."""
        self._places.clear()
        self._none_waits = False
        try:
            with self._rows:
                self._rows.execute("BEGIN")
                yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
                raise disk_full(self.root / "jobs.sqlite") from error
            raise


def no_files(job: str, state: str) -> Ani3DError:
    """The error for who asks for files of a job that is not done."""
    hint = "Wait for it." if state in ("queued", "running") else "Submit the shot again."
    return Ani3DError("job.unfinished", f"Job {job} is {state}, so it has no files.", hint)


def _store_error(root: Path, error: OSError | sqlite3.Error) -> Ani3DError:
    """Why the folder cannot be a store."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code
    if code == sqlite3.SQLITE_FULL or is_disk_full(error):
        return disk_full(root)
    if code == sqlite3.SQLITE_BUSY:
        other = read_access(root / READY_NAME)
        hint = "Connect to that engine, or give this one another --store."
        at = f": it listens at {other.endpoint}" if other else ""
        return Ani3DError("store.locked", f"Another engine is using {root}{at}.", hint)
    hint = "Choose with --store a folder that you may write to."
    return Ani3DError("store.unusable", f"{root} cannot hold the engine's jobs ({error}).", hint)


def _shortened(error: dict[str, Any]) -> dict[str, Any]:
    return {key: str(text)[:MAX_ERROR] for key, text in error.items()}


def _status(row: sqlite3.Row) -> JobStatus:
    said = json.loads(row["error"]) if row["error"] else None
    error = _shortened(said) if said else None
    eta = math.inf if row["state"] in ("queued", "running") else 0.0
    name = row["name"][:MAX_SHOT_NAME]
    told = row["id"], row["state"], row["stage"], row["step"], row["total"], eta, error, name
    return JobStatus(*told, row["priority"], bool(row["paused"]))
