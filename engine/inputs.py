"""No path from the wire is opened, but those in folders that the engine's owner allowed; files travel as content."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3dhuman.models.hashes import LARGE
from ani3dhuman.models.registry import COMPACT, known_models
from ani3dhuman.models.store import local_path

from .private_files import write_private
from .wire.inputs import FILES, MAX_INPUT_BYTES, PREFIX, SENT

PRIOR, VIEWS = "prior", "avatar_views"  # views are sent as arrays of the shot
WORDS = {**{name: ("",) for name in (*FILES, VIEWS)}, "reference": ("", "bind")}  # values that name no file
_ENDING = re.compile(r"(\.[a-z0-9]{1,8})?")


def check_paths(shot: Mapping[str, np.ndarray], settings: Mapping[str, Any], allowed: Sequence[Path]) -> None:
    """Refuse settings that would have a file opened which was not sent and does not lie in an allowed folder.

    Raises:
        Ani3DError: `settings.path`, which says nothing of what lies there; `settings.file` for content that is none.
    """
    for name in (*FILES, PRIOR, VIEWS):
        value = settings.get(name)
        if not isinstance(value, str) or value in WORDS.get(name, ()):
            continue
        if name == PRIOR and (value in known_models() or not re.search(r"[/\\~]", value)):
            continue  # a name, which is known or refused as unknown
        if name in FILES and value.startswith(SENT):
            data = shot.get(PREFIX + name)
            good = data is not None and data.dtype == np.uint8 and data.ndim == 1 and data.nbytes <= MAX_INPUT_BYTES
            if not good or not _ENDING.fullmatch(value.removeprefix(SENT)):
                raise Ani3DError("settings.file", f"The content of {name} is missing or too large.", "Send it again.")
        elif not _is_allowed(value, allowed):
            raise Ani3DError(
                "settings.path",
                f"{name} names a place on the engine's computer, {value[:200]!r}.",
                "The engine opens only what is sent to it, and folders that its owner allows (--allow-path FOLDER).",
            )


def _is_allowed(value: str, allowed: Sequence[Path]) -> bool:
    """Whether the path lies in an allowed folder, both as it is written and where its links lead."""
    if "\0" in value or not Path(value).is_absolute():
        return False
    written = Path(os.path.normpath(value))
    inside = any(
        written.is_relative_to(folder) and written.resolve().is_relative_to(folder.resolve()) for folder in allowed
    )
    return inside and (written.is_file() or written.is_dir() or not written.exists())  # a pipe is waited for, for ever


def write_inputs(shot: dict[str, np.ndarray], settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Settings with the paths of the files that were sent, which are written to `folder` and leave the shot."""
    changed = dict(settings)
    for name in FILES:
        data = shot.pop(PREFIX + name, None)
        value = settings.get(name)
        if data is not None and isinstance(value, str) and value.startswith(SENT):
            path = folder / f"{name}{value.removeprefix(SENT)}"
            write_private(path, data.tobytes())
            changed[name] = str(path)
    return changed


def what_files_hold(settings: Mapping[str, Any]) -> list[list[Any]]:
    """What tells the present contents of the files that checked settings name from others, for the job's identity.

    Small files are read; of large ones size, time and inode stand for the content.
    """
    places = [settings.get(name) for name in FILES]
    found = [Path(place) for place in places if isinstance(place, str) and Path(place).is_absolute()]
    prior = str(settings.get(PRIOR) or COMPACT)
    if Path(prior).is_absolute():
        found.append(Path(prior))
    else:
        with suppress(Ani3DError):  # what is not there is the job's to say
            found.append(local_path(prior))
    told: list[list[Any]] = []
    for place in found:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and not path.name.startswith("."):
                facts = path.stat()
                mark: list[Any] = [facts.st_mtime_ns, facts.st_ino]
                if facts.st_size < LARGE:
                    mark = [hashlib.sha256(path.read_bytes()).hexdigest()]
                told.append([path.relative_to(place).as_posix(), facts.st_size, *mark])
    return told
