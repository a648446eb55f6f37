# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the engine is: a command to start it with, or the address of one that runs."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import bpy


class Ani3DPreferences(bpy.types.AddonPreferences):
    bl_idname = __package__

    engine_command: bpy.props.StringProperty(
        name="Engine command",
        description="Program that starts the engine, with its arguments if it needs any",
        default="ani3dhuman-engine",
    )
    endpoint: bpy.props.StringProperty(
        name="Endpoint",
        description="Address of a running engine, such as tcp://127.0.0.1:5817, or the file that it left; "
        "empty to start one here",
    )
    store: bpy.props.StringProperty(
        name="Store",
        description="Folder where the engine keeps jobs and results; empty for one in your user folder",
        subtype="DIR_PATH",
    )

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.prop(self, "engine_command")
        column.prop(self, "endpoint", placeholder="Start an engine on this computer")
        column.prop(self, "store", placeholder="A folder of this extension")


def get(context: bpy.types.Context) -> Ani3DPreferences:
    """The add-on's preferences."""
    return cast(Ani3DPreferences, context.preferences.addons[__package__].preferences)


def store_folder(context: bpy.types.Context) -> Path:
    """The engine's folder: the one set, else one in the folder Blender gives the extension."""
    chosen = get(context).store
    if chosen:
        return Path(bpy.path.abspath(chosen))
    return Path(bpy.utils.extension_path_user(__package__, path="engine", create=True))


CLASSES = (Ani3DPreferences,)
