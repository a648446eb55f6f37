# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that Blender has to know of, in one table that registering and unregistering walk."""

from __future__ import annotations

import bpy

from . import (
    job_list,
    operators,
    overlay,
    parts_panel,
    preferences,
    properties,
    read_ahead,
    render_engine,
    saving,
    thumbnails,
    ui,
)
from .session import session

CLASSES = (*preferences.CLASSES, *operators.CLASSES, *ui.CLASSES)
MODULES = (properties, overlay, parts_panel, job_list, thumbnails, saving, read_ahead, render_engine)


def register() -> None:
    for module in MODULES:
        module.register()
    for cls in CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    session.close()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
    for module in reversed(MODULES):
        module.unregister()
