"""From a `submit` to a job's folder: what arrays are lacking, whether the shot is good, which job it is."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ani3d_formats.errors import Ani3DError

from .blobs import identity, table_of
from .inputs import check_paths, what_files_hold
from .job_table import MAX_SHOT_NAME
from .uploads import Uploads
from .wire import codec
from .wire import messages as m


@dataclass(frozen=True)
class Candidate:
    """A submission that may become a job: its id, and what its folder says of it but for the time."""

    id: str
    document: dict[str, Any]


class Intake:
    """Looks at submissions; from any thread.

    Args:
        uploads: where arrays arrive.
        job: name of the job module, see `engine.job`.
        version: of the library; a job of another version is another job, as its result may differ.
        allowed: folders on this machine that settings may name.
    """

    def __init__(self, uploads: Uploads, job: str, version: str, allowed: Sequence[Path]) -> None:
        self.uploads = uploads
        self._check = importlib.import_module(job).check
        self._version = version
        self._allowed = allowed

    def look(self, message: m.Submit, here: bool = False) -> m.Wanted | Candidate:
        """What the engine lacks, or the job that this would be; `here` says that clients are on this machine.

        Raises:
            Ani3DError: `disk.full`, `settings.*`, `job.limit`, `protocol.malformed`, and what the job's check says.
        """
        missing = self.uploads.missing(message.arrays)
        if missing:
            return m.Wanted(missing, str(self.uploads.folder) if here else "")
        table = table_of(message.arrays)
        shot = self.uploads.blobs.mapped(table)
        check_paths(shot, message.settings, self._allowed)
        try:
            name = self._check(shot, message.settings)
        except (Ani3DError, OSError, MemoryError):
            raise
        except Exception as error:
            said = f"the shot or its settings cannot be read ({type(error).__name__}: {error})"
            raise codec.malformed_error(said) from error
        if len(name) > MAX_SHOT_NAME:
            raise Ani3DError("job.limit", f"The shot's name has {len(name):,} characters.", "Give it a shorter one.")
        job = identity(table, message.settings, self._version, what_files_hold(message.settings))
        document = {"name": name, "settings": message.settings, "arrays": table, "priority": message.priority}
        return Candidate(job, document)
