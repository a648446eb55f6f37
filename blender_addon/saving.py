# SPDX-License-Identifier: GPL-3.0-or-later
"""Saving is quick while Gaussians are in view.

Blender draws the view again and again for a smooth picture of the file; with Gaussians in it that takes seconds. A
picture of the window as it is will do.
"""

from __future__ import annotations

import bpy
from bpy.app.handlers import persistent

from .properties import object_group

_before: list[str] = []  # what the preferences say, while a file is saved


@persistent
def _on_save(*_arguments: object) -> None:
    paths = bpy.context.preferences.filepaths
    seen = any(object_group(item).kind == "GAUSSIANS" and not item.hide_viewport for item in bpy.data.objects)
    if seen and not _before and paths.file_preview_type in ("AUTO", "CAMERA"):
        _before.append(paths.file_preview_type)
        paths.file_preview_type = "SCREENSHOT"


@persistent
def _on_saved(*_arguments: object) -> None:
    if _before:
        bpy.context.preferences.filepaths.file_preview_type = _before.pop()  # type: ignore[assignment]


HANDLERS = (
    (bpy.app.handlers.save_pre, _on_save),
    (bpy.app.handlers.save_post, _on_saved),
    (bpy.app.handlers.save_post_fail, _on_saved),
)


def register() -> None:
    for handlers, function in HANDLERS:
        handlers.append(function)


def unregister() -> None:
    _on_saved()
    for handlers, function in HANDLERS:
        handlers.remove(function)
