# SPDX-License-Identifier: GPL-3.0-or-later
"""How a scene of our own is rendered: by Cycles, with every sample and nothing smoothed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy


def use_cycles(scene: bpy.types.Scene, samples: int) -> None:
    """Render `scene` by Cycles on the CPU with that many samples a pixel, neither adaptive nor denoised.

    Raises:
        RuntimeError: Cycles is switched off.
    """
    settings: Any = scene
    try:
        settings.render.engine = "CYCLES"
    except TypeError as error:
        raise RuntimeError("Cycles is switched off in the preferences") from error
    cycles = settings.cycles
    cycles.device, cycles.samples, cycles.use_adaptive_sampling, cycles.use_denoising = "CPU", samples, False, False


@contextmanager
def cycles_scene(name: str, now: bpy.types.Scene, samples: int) -> Iterator[bpy.types.Scene]:
    """A scene of our own at the frame of `now`, rendered as by `use_cycles`; gone afterwards."""
    scene = bpy.data.scenes.new(name)
    try:
        scene.frame_current, scene.frame_subframe = now.frame_current, now.frame_subframe
        use_cycles(scene, samples)
        yield scene
    finally:
        bpy.data.scenes.remove(scene)
