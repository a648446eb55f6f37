# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the meshes of a result along the scene's camera, a frame a step: pictures for the prior to restore."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ani3d_formats.coarse_pictures import SHOWN, CoarsePictures, PicturesMeta
from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot_meta import ShotMeta

from .. import compat
from ..export.world import without_results
from ..import_result import check_own_time, parts_of
from ..properties import object_group
from ..results_shown import MESH, show_as, shown_as
from ..sentence import said
from ..timeline import frame_restored
from .stage import has_gpu

Steps = Generator[tuple[int, int, float], None, CoarsePictures]


@dataclass(frozen=True)
class Wanted:
    """Pictures of the result `name` for the shot of `meta`: `side` pixels along the longer side, `samples` a pixel."""

    name: str
    meta: ShotMeta
    side: int = 480
    samples: int = 32


def picture_steps(context: bpy.types.Context, wanted: Wanted) -> Steps:
    """Yields (frames done, frames in all, seconds left) and returns the pictures. Closing it puts the scene back.

    Raises:
        Ani3DError: ``pictures.no_mesh``, ``pictures.render``, ``result.retimed``, ``cancelled``.
    """
    check_own_time(wanted.name)
    scene: Any = context.scene
    copies = [item for item in parts_of(wanted.name) if object_group(item).kind == "MESH"]
    if not copies:
        raise Ani3DError(
            "pictures.no_mesh",
            said("The result '{name}' has no meshes in this file.", name=wanted.name)
            if wanted.name
            else "There is no result here.",
            "Make the cloth first (preset cloth is enough), and import its result.",
        )
    chosen = _chosen(copies, wanted.meta)
    frames = range(wanted.meta.frame_start, wanted.meta.frame_end + 1)
    colors, places = [], np.empty((len(frames), sum(len(rows) for _, rows, _ in chosen), 3), np.float32)
    started = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ani3d-pictures-")))
        stack.enter_context(frame_restored(scene))
        stack.enter_context(_alone(scene, wanted.name, copies))
        stack.enter_context(_set_up(scene, wanted, folder / "frame.png"))
        for row, frame in enumerate(frames):
            scene.frame_set(frame)
            depsgraph = context.evaluated_depsgraph_get()
            points = [_world(item, depsgraph)[rows] for item, rows, _ in chosen]
            places[row] = np.concatenate(points) - np.array(wanted.meta.origin)
            colors.append(_rendered(scene, folder / "frame.png"))
            spent = time.monotonic() - started
            yield row + 1, len(frames), spent / (row + 1) * (len(frames) - row - 1)
    shown = np.concatenate([rows + start for _, rows, start in chosen]).astype(np.int32)
    application = f"Blender {bpy.app.version_string}"
    meta = PicturesMeta(wanted.meta.name, wanted.meta.frame_start, wanted.meta.character, application)
    return CoarsePictures(meta, np.stack(colors), places, shown)


def _chosen(copies: list[bpy.types.Object], meta: ShotMeta) -> list[tuple[bpy.types.Object, np.ndarray, int]]:
    """Of each mesh that is an object of the shot, some vertices, and the number of its first one there."""
    ranges = {item.name: item for item in meta.objects}
    found = []
    for copy in copies:
        source = object_group(copy).source
        own = ranges.get(source.name) if source else None
        mesh: Any = copy.data
        if own is not None and len(mesh.vertices) == own.vertex_count:
            count = max(1, SHOWN // len(copies))
            rows = np.unique(np.linspace(0, own.vertex_count - 1, count).astype(int))
            found.append((copy, rows, own.vertex_start))
    if not found:
        raise Ani3DError(
            "pictures.no_mesh",
            "No mesh of the result is one of the shot's.",
            "Export the shot again, make the cloth of that, and import its result.",
        )
    return found


def _world(item: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> np.ndarray:
    """(V,3) world places of an object's vertices as they are shown."""
    evaluated = item.evaluated_get(depsgraph)
    mesh: Any = evaluated.to_mesh()
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    matrix = np.array(evaluated.matrix_world)
    evaluated.to_mesh_clear()
    return points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


@contextmanager
def _alone(scene: bpy.types.Scene, name: str, copies: list[bpy.types.Object]) -> Iterator[None]:
    """The meshes of the result are seen by the camera and nothing else, though all else lights and shades them."""
    before, hidden = shown_as(name), []
    show_as(name, MESH)
    try:
        for item in scene.objects:
            if item not in copies and item.type not in ("LIGHT", "CAMERA") and item.visible_camera:
                item.visible_camera = False
                hidden.append(item)
        yield
    finally:
        for item in hidden:
            item.visible_camera = True
        show_as(name, before)


@contextmanager
def _set_up(scene: Any, wanted: Wanted, path: Path) -> Iterator[None]:
    """The scene renders plain sRGB colours over nothing, as large as is wanted."""
    render, view, picture = scene.render, scene.view_settings, scene.render.image_settings
    share = min(1.0, wanted.side / max(wanted.meta.width, wanted.meta.height))
    with ExitStack() as stack:

        def put(owner: Any, **values: Any) -> None:
            for key, value in values.items():
                if hasattr(owner, key):
                    stack.callback(setattr, owner, key, getattr(owner, key))
                    setattr(owner, key, value)

        if bpy.app.background:  # EEVEE needs a graphics card that a machine without a window may lack
            put(render, engine="CYCLES")
        if render.engine == "CYCLES":
            put(scene.cycles, samples=wanted.samples, use_denoising=True, device="GPU" if has_gpu() else "CPU")
        put(
            render,
            filepath=str(path),
            use_file_extension=False,
            film_transparent=True,
            resolution_x=max(1, round(wanted.meta.width * share)),
            resolution_y=max(1, round(wanted.meta.height * share)),
            resolution_percentage=100,
            use_border=False,
            use_compositing=False,
            use_sequencer=False,
            use_motion_blur=False,
        )
        put(view, view_transform="Standard", look="None", exposure=0.0, gamma=1.0, use_curve_mapping=False)
        names = ("media_type", "file_format", "color_mode", "color_depth")
        for name in reversed([name for name in names if hasattr(picture, name)]):  # put back in their own order
            stack.callback(setattr, picture, name, getattr(picture, name))
        compat.write_png(picture)
        picture.color_mode, picture.color_depth = "RGBA", "8"
        stack.enter_context(without_results())
        yield


def _rendered(scene: bpy.types.Scene, path: Path) -> np.ndarray:
    """(H,W,4) uint8 of the scene's frame, straight alpha, the top row first."""
    try:
        bpy.ops.render.render(write_still=True, scene=scene.name)
        image: Any = bpy.data.images.load(str(path))
    except RuntimeError as error:
        what = " ".join(str(error).removeprefix("Error: ").split())
        raise Ani3DError(
            "pictures.render", said("Blender could not render: {what}.", what=what), "Try to render the scene."
        ) from error
    try:
        width, height = image.size
        values = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(values)
    finally:
        bpy.data.images.remove(image)
    return (values.reshape(height, width, 4)[::-1] * 255 + 0.5).clip(0, 255).astype(np.uint8)
