"""The tables of a store, and the steps from those of every earlier version to these."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ani3d_formats.errors import Ani3DError

_FIRST = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, stage TEXT NOT NULL DEFAULT '',
    step INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0, error TEXT, result TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, queued REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS files (
    job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, name TEXT NOT NULL, size INTEGER NOT NULL,
    sha256 TEXT NOT NULL, PRIMARY KEY (job, name)
);
CREATE TABLE IF NOT EXISTS arrays (
    job TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE, sha256 TEXT NOT NULL
);
"""

_SECOND = """
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_queued ON jobs(queued);
CREATE INDEX jobs_state ON jobs(state);
CREATE INDEX arrays_job ON arrays(job);
CREATE INDEX arrays_sha256 ON arrays(sha256);
"""

_THIRD = "CREATE INDEX files_sha256 ON files(sha256);"

STEPS = (_FIRST, _SECOND, _THIRD)  # from version N to N + 1
SCHEMA_VERSION = len(STEPS)  # SQLite's `user_version`


def migrate(rows: sqlite3.Connection, path: Path) -> None:
    """Bring the tables to this version, each step whole or not at all.

    Raises:
        Ani3DError: `store.unusable` for tables of a later version, which are left as they are.
    """
    (found,) = rows.execute("PRAGMA user_version").fetchone()
    if not 0 <= found <= SCHEMA_VERSION:
        raise Ani3DError(
            "store.unusable",
            f"{path} has tables of version {found}; this engine reads versions up to {SCHEMA_VERSION}.",
            "Use the release that wrote it, or choose another folder with --store.",
        )
    for version, step in enumerate(STEPS[found:], found + 1):
        rows.executescript(f"BEGIN; {step} PRAGMA user_version = {version}; COMMIT;")
