# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a shot may be: number and rate of its frames, and vertices recorded at each frame."""

from __future__ import annotations

import bpy

from ani3d_formats.errors import Ani3DError

from ..sentence import said

MOST_FRAMES = 100_000  # more than an hour
FASTEST = 100_000.0  # frames a second
MOST_BYTES = 2 << 30  # of places recorded at every frame: what the engine takes in one array


def check_limits(scene: bpy.types.Scene, frames: range) -> None:
    """Raise `Ani3DError` where `frames` or the frame rate of `scene` are more than a shot can have."""
    if len(frames) > MOST_FRAMES:
        raise Ani3DError(
            "shot.too_long",
            said(
                "The frame range {first}..{last} has {count:,} frames; a shot has at most {most:,}.",
                first=frames.start,
                last=frames.stop - 1,
                count=len(frames),
                most=MOST_FRAMES,
            ),
            "Set the scene's start and end to the frames that are wanted.",
        )
    rate = scene.render.fps / scene.render.fps_base
    if rate > FASTEST:
        raise Ani3DError(
            "shot.rate",
            said("The scene has {rate:,.0f} frames a second.", rate=rate),
            said("Choose a rate of at most {most:,.0f}.", most=FASTEST),
        )


def check_recorded(vertices: int, frames: int) -> None:
    """Raise `Ani3DError` where the places of so many vertices at so many frames are more than a shot can hold."""
    if (size := vertices * frames * 12) > MOST_BYTES:
        raise Ani3DError(
            "shot.too_large",
            said(
                "The places of {vertices:,} vertices at {frames:,} frames need {size:.1f} GiB; a shot has at "
                "most {most}.",
                vertices=vertices,
                frames=frames,
                size=size / 2**30,
                most=MOST_BYTES >> 30,
            ),
            "Export fewer frames at a time, or simplify the meshes.",
        )
