"""Which commit a figure is of."""

from __future__ import annotations

import subprocess


def commit() -> str:
    """The commit that lies here, with a + where files differ from it; "unknown+" where that cannot be told."""
    said = ["git", "describe", "--always", "--dirty=+", "--abbrev=7", "--exclude=*"]
    return subprocess.run(said, capture_output=True, text=True, check=False).stdout.strip() or "unknown+"
