"""The engine's log: one JSON object a line in STORE/engine.log, which begins anew when it is long; text on stderr."""

from __future__ import annotations

import json
import logging
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

LOG_NAME = "engine.log"
TEXT = "%(asctime)s %(levelname)s %(message)s"
BYTES, COUNT = 1_000_000, 3  # of the file, and of older ones beside it
FIELDS = ("job", "state", "code", "endpoint")  # that a record may have, given as `extra`


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{moment}.{int(record.msecs):03}Z", "level": record.levelname, "message": record.getMessage()}
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to(store: Path) -> None:
    """Log to a file in the store too; a full disk loses lines, not the engine."""
    logging.raiseExceptions = False
    file = RotatingFileHandler(store / LOG_NAME, "a", BYTES, COUNT, encoding="utf-8", delay=True)
    file.setFormatter(_Lines())
    logging.getLogger().addHandler(file)


def as_text(line: str) -> str:
    """A line of the log as people read it; one that is no JSON as it is."""
    try:
        said: Any = json.loads(line)
        text = f"{said['time']} {said['level']} {said['message']}\n"
        return text + (f"{said['traceback']}\n" if "traceback" in said else "")
    except (ValueError, LookupError, TypeError):
        return line
