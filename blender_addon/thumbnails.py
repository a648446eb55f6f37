# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pictures of results for the list of jobs, read from the folders of their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy.utils.previews

NAMES = ("contact_sheet.png", "preview.png")
_icons: Any = None


def icon_of(folder: Path | None) -> int:
    """The number of an icon that shows the result in `folder`; 0 where it has no picture."""
    file = next((folder / name for name in NAMES if (folder / name).is_file()), None) if folder else None
    if file is None or _icons is None:
        return 0
    key = f"{file}:{file.stat().st_mtime_ns}"
    if key not in _icons:
        _icons.load(key, str(file), "IMAGE")
    return int(_icons[key].icon_id)


def register() -> None:
    global _icons
    _icons = bpy.utils.previews.new()


def unregister() -> None:
    global _icons
    bpy.utils.previews.remove(_icons)
    _icons = None
