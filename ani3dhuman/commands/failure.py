"""How a command that failed ends: one line on the screen, and the traceback in a file."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path

from ani3d_formats.errors import Cancelled
from ani3d_formats.explain import explain

LOG = "error.log"


def failure_line(error: BaseException, options: argparse.Namespace) -> str:
    """``error: CODE: what was wrong and what to do (details: LOG)``; the traceback is written to that log."""
    out = getattr(options, "out", None)
    folder = out if isinstance(out, Path) else Path.cwd()
    known = explain(error, folder, "command.failed", "The details say where.")
    where = write_log(error, folder if folder == out else None)
    said = " ".join(f"{known.message} {known.hint}".split("\n")).strip()
    return f"error: {known.code}: {said} ({f'details: {where}' if where else 'no log could be written'})"


def cancelled_line(error: BaseException) -> str:
    """What to say after Ctrl-C."""
    return str(error) if isinstance(error, Cancelled) else "Cancelled."


def write_log(error: BaseException, out: Path | None) -> Path | None:
    """The file that the traceback was written to: in the result folder where there is one, else a temporary one."""
    text = f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{''.join(traceback.format_exception(error))}"
    if out is not None and os.path.isdir(out):
        with suppress(OSError):
            (out / LOG).write_text(text, encoding="utf-8", errors="replace")
            return out / LOG
    with suppress(OSError):
        handle, name = tempfile.mkstemp(".log", "ani3dhuman-")
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        return Path(name)
    return None
