# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the engine is: a command to start it with, or the address of one that runs."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import cast

import bpy

from .connection import INSTALL, is_installed


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
    took: bpy.props.StringProperty(
        name="Took", description="Seconds a frame that jobs of each quality took here, as JSON", options={"HIDDEN"}
    )

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.prop(self, "engine_command")
        column.prop(self, "endpoint", placeholder="Start an engine on this computer")
        column.prop(self, "store", placeholder="A folder of this extension")
        if not self.endpoint and not is_installed(self.engine_command):
            column.label(text="The engine was not found on this computer. To install it:", icon="INFO")
            row = column.row()
            row.label(text=INSTALL)
            row.operator("ani3d.copy_text", text="", icon="COPYDOWN", emboss=False).text = INSTALL


def get(context: bpy.types.Context) -> Ani3DPreferences:
    """The add-on's preferences."""
    return cast(Ani3DPreferences, context.preferences.addons[__package__].preferences)


def seconds_a_frame(context: bpy.types.Context) -> dict[str, float]:
    """How long a frame took on this machine, by quality, of the qualities that ran here."""
    with suppress(ValueError):
        found = json.loads(get(context).took)
        return {str(name): float(value) for name, value in found.items()} if isinstance(found, dict) else {}
    return {}


def note_seconds_a_frame(context: bpy.types.Context, preset: str, seconds: float) -> None:
    """Remember how long a frame of a job of a quality took."""
    get(context).took = json.dumps(seconds_a_frame(context) | {preset: round(seconds, 3)})
    context.preferences.is_dirty = True  # saved with the others as Blender ends


def store_folder(context: bpy.types.Context) -> Path:
    """The engine's folder: the one set, else one in the folder Blender gives the extension."""
    chosen = get(context).store
    if chosen:
        return Path(bpy.path.abspath(chosen))
    return Path(bpy.utils.extension_path_user(__package__, path="engine", create=True))


CLASSES = (Ani3DPreferences,)
