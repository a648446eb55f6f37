"""Files and folders that nobody but their owner reads."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER, FILE = 0o700, 0o600


@contextmanager
def kept_private() -> Iterator[None]:
    """In the block this process, and those it starts, make files and folders for their owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def write_private(path: Path, data: bytes) -> None:
    """Write `data` to `path` in one piece, readable for the owner alone; a folder that is missing is made so too."""
    path.parent.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    # A new file under a name nobody can guess: in a folder that others may write to, an old one might be theirs.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def tighten(root: Path) -> None:
    """Take from others what they may do in `root`. A store made before this rule is walked through once."""
    if os.name == "nt" or not root.stat().st_mode & 0o077:
        return
    for folder, _folders, files in os.walk(root):
        for name in files:
            place = Path(folder, name)
            if not place.is_symlink():
                place.chmod(place.stat().st_mode & 0o700)
        Path(folder).chmod(FOLDER)
    root.chmod(FOLDER)
