# SPDX-License-Identifier: GPL-3.0-or-later
"""Problems a user can act on. They reach the screen as one line: what was wrong, where, what to do."""

from __future__ import annotations

import errno
from pathlib import Path


class AddonError(Exception):
    """A problem found inside Blender; same three parts as the engine's errors.

    Args:
        code: stable name, e.g. ``"shot.unweighted_vertices"``.
        message: what was wrong and where, one sentence.
        hint: what to do about it, one sentence.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.code = code
        self.message = message
        self.hint = hint


def cannot_write(path: Path, error: OSError) -> AddonError:
    """The error for a file that could not be written, with the full disk told apart from the rest."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return AddonError("disk.full", f"The disk is full: '{path}' was not written.", "Free some space and try again.")
    return AddonError("file.write", f"Cannot write '{path}' ({error.strerror}).", "Choose a folder you may write to.")
