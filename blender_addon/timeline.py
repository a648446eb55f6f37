# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of the timeline and frames of animation, which time remapping sets apart."""

from __future__ import annotations

import bpy


def frame_length(scene: bpy.types.Scene) -> float:
    """How many frames of animation pass in one frame of the timeline; 1 without time remapping.

    Blender evaluates frame f of the timeline at f times this. Shots, and so caches, count frames of the timeline.
    """
    return scene.render.frame_map_old / scene.render.frame_map_new
