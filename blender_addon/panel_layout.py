# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sidebar's panels share: where they stand, and sentences that wrap."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import bpy

DEFAULT_WIDTH = 280.0  # of a sidebar, in pixels of an unscaled interface
LETTER_WIDTH = 6.5  # a little more than a letter takes on average

if TYPE_CHECKING:
    from bpy.types import Panel as _Base
else:
    _Base = object  # Blender registers each panel by its own class


class Sidebar(_Base):
    """Mixin of the panels in the Ani3D tab."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Ani3D"


def sentences(
    context: bpy.types.Context, layout: bpy.types.UILayout, text: str, icon: Any = "NONE", beside: int = 0
) -> None:
    """`text` in as many lines as the sidebar's width asks for, since a label does not wrap; `icon` before the first.
    `beside` it stands what is as wide as so many letters."""
    width = context.region.width / context.preferences.system.ui_scale if context.region else DEFAULT_WIDTH
    room = max(20, int(width / LETTER_WIDTH) - (8 if icon == "NONE" else 12) - beside)
    column = layout.column(align=True)
    for row, line in enumerate(textwrap.wrap(text, room)):
        if icon == "NONE":
            column.label(text=line)
        else:
            column.label(text=line, icon=icon if row == 0 else "BLANK1")


def draw_error(context: bpy.types.Context, layout: bpy.types.UILayout, text: str) -> None:
    """An error in lines that fit, with a button that copies it whole."""
    box = layout.box()
    box.alert = True
    row = box.row()
    sentences(context, row, text, "ERROR", beside=6)
    row.operator("ani3d.copy_text", text="", icon="COPYDOWN", emboss=False).text = text
