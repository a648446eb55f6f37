# SPDX-License-Identifier: GPL-3.0-or-later
"""A render engine of Blender's list that draws a result's Gaussians alone, by the engine's own rasteriser.

F12 and Render Animation then give its frames, transparent, with the camera's motion blur and depth of field, through
the scene's compositor and output settings. Render Shot is for a character among other things.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.film_camera import Film

from . import preferences
from .export.camera import read_camera
from .film.camera import film_meta, frames_touched, lens_at
from .film.process import FilmProcess
from .film.shoot import cache_of
from .results_shown import with_gaussians
from .views.exr import read_channels
from .wording import failure

ENGINE = "ANI3D_GAUSSIANS"
SAMPLES = 32


class GaussiansEngine(bpy.types.RenderEngine):
    bl_idname = ENGINE
    bl_label = "Ani3D Gaussians"
    bl_use_postprocess = True

    def render(self, depsgraph: bpy.types.Depsgraph) -> None:  # type: ignore[override]
        """Draw the scene's frame; what cannot be drawn is said as Blender's own engines say it."""
        scene = depsgraph.scene
        scale = scene.render.resolution_percentage / 100
        width, height = (int(side * scale) for side in (scene.render.resolution_x, scene.render.resolution_y))
        try:
            with tempfile.TemporaryDirectory(prefix="ani3d-render-") as folder:
                file = self._drawn(depsgraph, Path(folder))
                if file is not None:
                    result: Any = self.begin_result(0, 0, width, height)
                    channels = read_channels(file)
                    pixels = np.stack(
                        [channels[name][::-1] for name in "RGBA"], axis=-1
                    )  # Blender begins at the bottom
                    result.layers[0].passes["Combined"].rect.foreach_set(pixels.astype(np.float32).ravel())
                    self.end_result(result)
        except Ani3DError as problem:
            self.report({"ERROR"}, failure(problem))

    def _drawn(self, depsgraph: bpy.types.Depsgraph, folder: Path) -> Path | None:
        """The file of the frame; None where the user has stopped it."""
        scene, frame = depsgraph.scene, depsgraph.scene.frame_current
        cache = cache_of(next(iter(with_gaussians()), ""))
        head = cache.manifest
        touched = frames_touched(range(frame, frame + 1), film_meta(scene, frame, SAMPLES))
        within = [each for each in touched if head.frame_start <= each <= head.frame_end] or [frame]
        views, Ks, lenses = [], [], []
        for each in within:
            self.frame_set(each, 0.0)
            camera = read_camera(scene, depsgraph)
            views.append(camera.viewmat)
            Ks.append(camera.K)
            lenses.append(lens_at(scene, depsgraph))
        self.frame_set(frame, 0.0)
        meta = film_meta(scene, within[0], SAMPLES)
        Film(meta, np.stack(views), np.stack(Ks), np.array(lenses, np.float64)).save(folder / "camera.npz")
        command = preferences.get(bpy.context).engine_command
        process = FilmProcess(command, cache.path, folder / "camera.npz", folder, folder / "engine.log")
        try:
            process.ask(frame, None, packed=False)
            while not self.test_break():
                for _frame, share, file in process.answers():
                    self.update_progress(share)
                    if file:
                        return Path(file)
                time.sleep(0.02)
            return None
        finally:
            process.close()


def _panels() -> Iterator[Any]:
    """Blender's own panels of render settings, which ask whether an engine knows them."""
    for panel in bpy.types.Panel.__subclasses__():
        if "BLENDER_RENDER" in getattr(panel, "COMPAT_ENGINES", ()):
            yield panel


def register() -> None:
    bpy.utils.register_class(GaussiansEngine)
    for panel in _panels():
        panel.COMPAT_ENGINES.add(ENGINE)


def unregister() -> None:
    for panel in _panels():
        panel.COMPAT_ENGINES.discard(ENGINE)
    bpy.utils.unregister_class(GaussiansEngine)
