# SPDX-License-Identifier: GPL-3.0-or-later
"""What nobody foresaw: one sentence for the screen, the traceback in a file."""

from __future__ import annotations

import datetime
import tempfile
import traceback
from pathlib import Path

import bpy

from ani3d_formats.errors import Ani3DError

from .sentence import said


def unforeseen_error(doing: str, error: Exception) -> Ani3DError:
    """The error to show for `error`, raised while `doing`, such as "Export Shot"; writes its traceback to a log."""
    if isinstance(error, ReferenceError):  # Blender's word for it
        return Ani3DError(
            "scene.changed",
            said("{doing} failed: something that it worked on was deleted meanwhile.", doing=said(doing)),
            "Run it again, and let no script or other extension change the scene until it has ended.",
        )
    told = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, MemoryError):
        told = said("the memory is full")
    elif isinstance(error, OSError) and error.strerror:
        told = (
            said("{reason}: '{file}'", reason=error.strerror, file=error.filename) if error.filename else error.strerror
        )
    hint = said("Details are in '{log}'.", log=log) if (log := _write_log(doing, error)) else ""
    return Ani3DError("unforeseen", said("{doing} failed: {told}.", doing=said(doing), told=told), hint)


def _write_log(doing: str, error: Exception) -> Path | None:
    now = datetime.datetime.now()
    lines = [f"{now:%Y-%m-%d %H:%M:%S} {doing}\n", f"Blender {bpy.app.version_string}\n", f"{bpy.data.filepath}\n"]
    lines += traceback.format_exception(error)
    for folder in (_own_folder, lambda: Path(tempfile.gettempdir())):
        try:
            path = folder() / f"ani3d_error_{now:%Y%m%d_%H%M%S}.txt"
            path.write_text("".join(lines), encoding="utf-8")
        except (OSError, ValueError):  # a disk may be full; outside an extension there is no such folder
            continue
        return path
    return None


def _own_folder() -> Path:
    return Path(bpy.utils.extension_path_user(__package__, path="logs", create=True))
