"""Where the user's caches are, for what can be made again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CACHE_VARIABLE = "ANI3DHUMAN_CACHE"


def user_cache() -> Path:
    """The folder that ``ANI3DHUMAN_CACHE`` names, else ours in the platform's folder for caches; may not exist."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "ani3dhuman" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ani3dhuman"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ani3dhuman"
