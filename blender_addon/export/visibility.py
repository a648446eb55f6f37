# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender shows of a character at some frames, or not to the camera, while a shot shows it all along."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import bpy

from ..sentence import said
from .members import Member


class Visibility:
    """Notices the objects that are hidden in renders at some frames of a shot, and those that no camera sees."""

    def __init__(self, members: Sequence[Member]) -> None:
        items = list(dict.fromkeys(member.item for member in members))
        self._unseen = [item.name for item in items if not item.visible_camera or item.is_holdout]
        self._watched = [item for item in items if item.animation_data is not None]
        self._hidden: dict[bpy.types.Object, list[int]] = {}

    def look(self, frame: int) -> None:
        """Notice what is hidden now."""
        for item in self._watched:
            if item.hide_render:
                self._hidden.setdefault(item, []).append(frame)

    def tell(self, frames: range, warn: Callable[[str], None]) -> None:
        """One sentence for each object that the shot shows and Blender does not."""
        for item, hidden in self._hidden.items():
            warn(
                said(
                    "'{name}' is hidden in renders at {hidden} of {count} frames, first at {first}; the shot shows "
                    "it at all of them.",
                    name=item.name,
                    hidden=len(hidden),
                    count=len(frames),
                    first=hidden[0],
                )
            )
        for name in self._unseen:
            warn(
                said(
                    "'{name}' is hidden from the camera (Object > Visibility); the shot shows it. Hide it in "
                    "renders to leave it out.",
                    name=name,
                )
            )
