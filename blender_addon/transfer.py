# SPDX-License-Identifier: GPL-3.0-or-later
"""A result on its way from the engine, or from the disk, to where the scene can play it; on any thread."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from threading import Event

from ani3d_formats.progress import Report
from engine.wire import Client

from . import import_result
from .connection import Link
from .jobs import Moment, fetch_all
from .session import session


class Transfer:
    """The files of `job` on their way into `folder`; `stopped` ends it. The session shows how far it is until then."""

    def __init__(self, job: str, folder: Path) -> None:
        self.job, self.folder, self.stopped = job, folder, Event()
        session.transfer = Moment(job, "fetching", "fetch", 0, 1, math.inf)

    def fetch(self, link: Link, importing: bool, client: Client) -> int:
        """Fetch the files and, for `importing`, write what plays them; how many files."""

        def should_cancel() -> bool:
            return self.stopped.is_set() or link.closed.is_set()

        names = fetch_all(client, self.job, self.folder, on_step=self._post, should_cancel=should_cancel)
        if importing:
            import_result.open_cache(self.folder, self._written, should_cancel)
        return len(names)

    def open(self) -> int:
        """Write what plays the files that are in the folder already, if need be; 0."""
        import_result.open_cache(self.folder, self._written, self.stopped.is_set)
        return 0

    def _written(self, report: Report) -> None:
        self._post(Moment(self.job, "fetching", "write playback", report.step, report.total, report.eta))

    def _post(self, moment: Moment) -> None:
        session.post(partial(self._tell, moment))

    def _tell(self, moment: Moment) -> None:
        if not self.stopped.is_set():
            session.tell_transfer(moment)
