# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender cameras as OpenCV ones: x right, y down, z forward, pixel centres at +0.5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError

_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])  # Blender's camera looks along -z with y up


@dataclass(frozen=True)
class Camera:
    """World-to-camera `viewmat` (4,4), pixel intrinsics `K` (3,3); an orthographic K maps metres to pixels."""

    viewmat: np.ndarray
    K: np.ndarray
    kind: str


def picture_size(scene: bpy.types.Scene) -> tuple[int, int]:
    """(width, height) in pixels that a render of `scene` has."""
    render = scene.render
    percentage = render.resolution_percentage
    return render.resolution_x * percentage // 100, render.resolution_y * percentage // 100


def check_camera(scene: bpy.types.Scene) -> None:
    """Raise `Ani3DError` unless `scene` has a camera that can be exported."""
    if scene.camera is None or scene.camera.type != "CAMERA":
        raise Ani3DError(
            "camera.missing",
            f"The scene '{scene.name}' has no camera.",
            "Add one and make it the active camera.",
        )
    if scene.camera.data.type not in ("PERSP", "ORTHO"):
        raise Ani3DError(
            "camera.type",
            f"The camera '{scene.camera.name}' is of the type {scene.camera.data.type}.",
            "Use a perspective or an orthographic camera.",
        )


def read_camera(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> Camera:
    """The scene's active camera as evaluated now; a marker may have switched it."""
    check_camera(scene)
    evaluated = scene.camera.evaluated_get(depsgraph)
    pose = np.array(evaluated.matrix_world, np.float64)
    pose[:3, :3] /= np.linalg.norm(pose[:3, :3], axis=0)  # Blender ignores a camera's scale
    viewmat = _FLIP @ np.linalg.inv(pose)
    data = cast(bpy.types.Camera, evaluated.data)
    return Camera(viewmat, intrinsics(scene, data), _kind(data))


def _kind(camera: bpy.types.Camera) -> str:
    return "orthographic" if camera.type == "ORTHO" else "perspective"


def intrinsics(scene: bpy.types.Scene, camera: bpy.types.Camera) -> np.ndarray:
    """K (3,3) of `camera` for the render size of `scene`.

    The sensor is fitted to one side of the picture; that side, in units of pixel widths, is also what shifts
    are measured in. Pixels may be oblong (`pixel_aspect_x`, `pixel_aspect_y`).
    """
    width, height = picture_size(scene)
    oblong = scene.render.pixel_aspect_y / scene.render.pixel_aspect_x  # height of a pixel over its width
    horizontal = camera.sensor_fit == "HORIZONTAL" or (camera.sensor_fit == "AUTO" and width >= height * oblong)
    fitted = width if horizontal else height * oblong
    if camera.type == "ORTHO":
        focal = fitted / camera.ortho_scale
    else:
        sensor = camera.sensor_height if camera.sensor_fit == "VERTICAL" else camera.sensor_width
        focal = fitted * camera.lens / sensor
    return np.array(
        [
            [focal, 0.0, width / 2 - camera.shift_x * fitted],
            [0.0, focal / oblong, height / 2 + camera.shift_y * fitted / oblong],
            [0.0, 0.0, 1.0],
        ]
    )
