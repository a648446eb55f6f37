# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the rest of the scene is from the camera, drawn by Cycles in a copy of the scene without the result."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError

from .. import compat
from ..cycles import use_cycles
from ..export.camera import picture_size
from ..export.lights import rendered_objects
from ..export.world import without_results
from ..sentence import said
from ..views.exr import read_channels

FINE = 2  # depths along each side of a pixel
SEEN = ("MESH", "CURVE", "SURFACE", "FONT", "META", "CURVES", "POINTCLOUD")
LENS = (
    "type", "lens", "sensor_width", "sensor_height", "sensor_fit", "shift_x", "shift_y", "ortho_scale", "clip_start",
    "clip_end",
)  # fmt: skip


class Depths:
    """Reads depths; `stage` is the copy of the scene, None where there is nothing to see."""

    def __init__(self, scene: bpy.types.Scene, stage: bpy.types.Scene | None, folder: Path) -> None:
        self._scene, self._stage, self._file = scene, stage, folder / "depth.exr"

    def at(self, times: Sequence[float]) -> np.ndarray | None:
        """(K,S*H,S*W) float32 metres along the view at scene frames `times`; None where nothing can stand in front.

        Raises:
            Ani3DError: ``film.depth``.
        """
        return np.stack([self._shot(time) for time in times]) if self._stage else None

    def _shot(self, time: float) -> np.ndarray:
        frame, share = divmod(time, 1.0)
        self._scene.frame_set(int(frame), subframe=share)
        seen: Any = self._scene.camera.evaluated_get(bpy.context.evaluated_depsgraph_get())
        stage: Any = self._stage
        stage.frame_set(int(frame), subframe=share)
        stage.camera.matrix_world = seen.matrix_world
        for name in LENS:
            setattr(stage.camera.data, name, getattr(seen.data, name))
        try:
            bpy.ops.render.render(write_still=True, scene=stage.name)
            channels = read_channels(self._file)
            depth = next(values for name, values in channels.items() if ".Depth." in name)
        except (RuntimeError, ValueError, OSError, StopIteration) as error:
            what = " ".join(str(error).removeprefix("Error: ").split())
            text = said("Cycles could not draw the scene's depth: {what}.", what=what)
            raise Ani3DError("film.depth", text, "Try to render the scene with Cycles.") from error
        return depth.astype(np.float32)


@contextmanager
def depths(context: bpy.types.Context, hidden: Sequence[bpy.types.Object]) -> Iterator[Depths]:
    """What reads the depths of the scene without the objects `hidden`; everything is afterwards as before.

    Raises:
        Ani3DError: ``film.cycles`` where Cycles is switched off.
    """
    scene = context.scene
    layer = context.view_layer.layer_collection
    others = [each for each in rendered_objects(layer) if _is_seen(each) and each not in hidden]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ani3d-depth-")))
        if not others:
            yield Depths(scene, None, folder)
            return
        stack.enter_context(without_results())
        for item in hidden:
            stack.callback(setattr, item, "hide_render", item.hide_render)
            item.hide_render = True
        stage = scene.copy()
        stack.callback(bpy.data.scenes.remove, stage)
        stage.name = "Ani3D depth"
        _set_up(scene, stage, folder / "depth.exr")
        stack.callback(_remove_camera, stage.camera)
        yield Depths(scene, stage, folder)


def _is_seen(item: bpy.types.Object) -> bool:
    return item.type in SEEN or (item.type == "EMPTY" and item.instance_type != "NONE")


def _set_up(scene: bpy.types.Scene, stage: Any, file: Path) -> None:
    """Have `stage` render depth alone, one ray through the middle of each small pixel, by a camera of its own."""
    try:
        use_cycles(stage, 1)
    except RuntimeError as error:
        raise Ani3DError("film.cycles", f"{error}.", "Switch it on: it draws the scene's depth.") from error
    stage.timeline_markers.clear()  # they would switch cameras
    stage.camera = bpy.data.objects.new("Ani3D depth", bpy.data.cameras.new("Ani3D depth"))
    stage.collection.objects.link(stage.camera)
    stage.cycles.pixel_filter_type, stage.cycles.filter_width, stage.cycles.max_bounces = "BOX", 0.01, 0
    stage.cycles.transparent_max_bounces = 64
    render = stage.render
    width, height = picture_size(scene)
    render.resolution_x, render.resolution_y, render.resolution_percentage = FINE * width, FINE * height, 100
    render.use_motion_blur = render.use_border = render.use_compositing = render.use_sequencer = False
    render.use_simplify = render.use_freestyle = False
    render.use_persistent_data = True
    render.filepath, render.use_file_extension = str(file), False
    compat.write_layers(render.image_settings)
    for layer in stage.view_layers:
        layer.use = layer.name == bpy.context.view_layer.name
        layer.use_pass_z = True
        layer.material_override = None


def _remove_camera(camera: bpy.types.Object) -> None:
    data: Any = camera.data
    bpy.data.objects.remove(camera)
    bpy.data.cameras.remove(data)
