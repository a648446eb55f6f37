# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of the timeline and frames of animation, which time remapping sets apart."""

from __future__ import annotations

from collections.abc import Callable

import bpy


def frame_length(scene: bpy.types.Scene) -> float:
    """How many frames of animation pass in one frame of the timeline; 1 without time remapping.

    Blender evaluates frame f of the timeline at f times this. Shots, and so caches, count frames of the timeline.
    """
    return scene.render.frame_map_old / scene.render.frame_map_new


def warn_of_preview_range(scene: bpy.types.Scene, frames: range, warn: Callable[[str], None]) -> None:
    """Say so where `frames` are exported while another range is previewed: as renders, shots have the scene's own."""
    preview = range(scene.frame_preview_start, scene.frame_preview_end + 1)
    if scene.use_preview_range and preview != frames:
        told = f"{preview.start} to {preview.stop - 1}", f"{frames.start} to {frames.stop - 1}"
        warn(f"The preview range, {told[0]}, is not that of the shot, which has the scene's frames {told[1]}.")
