# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender cameras as OpenCV ones: x right, y down, z forward, pixel centres at +0.5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError

from ..sentence import said
from .members import FARTHEST_PLACE
from .still import camera_stands_still

LARGEST = 65536  # pixels a side
SMALLEST_FOCAL, LARGEST_FOCAL = 1e-6, 1e9  # pixels
SHEARED = 1e-3  # a camera's axes further than this from a right angle are no rounding error
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
        what = (
            said("looks through '{name}', which is no camera", name=scene.camera.name)
            if scene.camera
            else said("has no camera")
        )
        raise Ani3DError(
            "camera.missing",
            said("The scene '{name}' {what}.", name=scene.name, what=what),
            "Add a camera and make it the active one.",
        )
    width, height = picture_size(scene)
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        text = said(
            "Pictures of the scene '{name}' are {width} x {height} pixels large.",
            name=scene.name,
            width=width,
            height=height,
        )
        hint = said("Change the resolution or its percentage; a side may have 1 to {most:,} pixels.", most=LARGEST)
        raise Ani3DError("camera.size", text, hint)
    if scene.camera.data.type not in ("PERSP", "ORTHO"):
        raise Ani3DError(
            "camera.type",
            said("The camera '{name}' is of the type {type}.", name=scene.camera.name, type=scene.camera.data.type),
            "Use a perspective or an orthographic camera.",
        )


def read_camera(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> Camera:
    """The scene's active camera as evaluated now; a marker may have switched it."""
    check_camera(scene)
    evaluated = scene.camera.evaluated_get(depsgraph)
    pose = _unscaled(scene, np.array(evaluated.matrix_world, np.float64))
    viewmat = np.eye(4)
    viewmat[:3, :3] = pose[:3, :3].T  # the inverse of a turn and a move
    viewmat[:3, 3] = -pose[:3, :3].T @ pose[:3, 3]
    viewmat = _FLIP @ viewmat
    data = cast(bpy.types.Camera, evaluated.data)
    K = intrinsics(scene, data)
    if not ((np.abs(K) < LARGEST_FOCAL).all() and min(K[0, 0], K[1, 1]) > SMALLEST_FOCAL):
        raise _pose_error(scene, "has no usable lens, shift or scale", "Give it ones within reason.")
    return Camera(viewmat, K, _kind(data))


class Cameras:
    """Reads the scene's cameras, those that stand still once."""

    def __init__(self) -> None:
        self._known: dict[bpy.types.Object, Camera] = {}

    def read(self, scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> Camera:
        """As `read_camera`."""
        known = self._known.get(scene.camera)
        if known is None:
            known = read_camera(scene, depsgraph)
            if camera_stands_still(scene):
                self._known[scene.camera] = known
        return known


def _unscaled(scene: bpy.types.Scene, pose: np.ndarray) -> np.ndarray:
    """World matrix (4,4) of the camera without its scale, which Blender ignores.

    Raises:
        Ani3DError: ``camera.pose`` where no scale makes it a turn and a move.
    """
    lengths = np.linalg.norm(pose[:3, :3], axis=0)
    if not (np.abs(pose) < FARTHEST_PLACE).all() or lengths.min() < 1e-12:
        raise _pose_error(scene, "has no size or no place", "Give it a scale other than 0, and a place nearer by.")
    pose[:3, :3] /= lengths
    if np.abs(pose[:3, :3].T @ pose[:3, :3] - np.eye(3)).max() < 1e-7 and np.linalg.det(pose[:3, :3]) > 0:
        return pose
    left, stretch, right = np.linalg.svd(pose[:3, :3])
    if np.linalg.det(pose[:3, :3]) < 0:
        raise _pose_error(scene, "is mirrored", "Make its scale and that of its parents positive.")
    if np.abs(stretch - 1).max() > SHEARED:
        raise _pose_error(
            scene, "is sheared by its parents", "Apply their scale, or clear the parent and keep the place."
        )
    pose[:3, :3] = left @ right
    return pose


def _pose_error(scene: bpy.types.Scene, what: str, hint: str) -> Ani3DError:
    text = said(
        "The camera '{name}' {what} at frame {frame}.",
        name=scene.camera.name,
        what=said(what),
        frame=scene.frame_current,
    )
    return Ani3DError("camera.pose", text, hint)


def warn_if_unseen(
    cameras: Sequence[Camera], points: np.ndarray, size: tuple[int, int], warn: Callable[[str], None]
) -> None:
    """Say so where no camera has any of the character in its picture or near it: the engine then restores nothing.

    Args:
        cameras: of T frames.
        points: (T,P,3) places on the character, world metres.
        size: of the picture, pixels.
    """
    half = np.array(size) / 2
    for camera, places in zip(cameras, points, strict=True):
        local = places @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        if camera.kind == "perspective":
            local = local[local[:, 2] > 0]
            local = local / local[:, 2:]
        pixels = local[:, :2] @ camera.K[:2, :2].T + camera.K[:2, 2]
        if (np.abs(pixels - half) < 4 * half).all(axis=1).any():  # or near it: the character may lie between points
            return
    warn(
        "The camera never sees the character: nothing of it can be restored. Turn the camera to it, or choose another."
    )


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
