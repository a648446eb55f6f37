# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's camera as a film camera: its way, its shutter and its lens."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import bpy
import numpy as np
from mathutils import Vector

from ani3d_formats.film_camera import Film, FilmMeta

from ..export.camera import check_camera, picture_size, read_camera

POSITIONS = {"START": "start", "CENTER": "center", "END": "end"}


def film_meta(scene: bpy.types.Scene, frame_start: int, samples: int) -> FilmMeta:
    """Picture size and shutter of the scene's renders. Raises `Ani3DError` ``camera.*``."""
    check_camera(scene)
    render: Any = scene.render
    width, height = picture_size(scene)
    kind = "orthographic" if scene.camera.data.type == "ORTHO" else "perspective"
    shutter = min(render.motion_blur_shutter, 10.0) if render.use_motion_blur else 0.0
    return FilmMeta(width, height, frame_start, kind, samples, shutter, POSITIONS[render.motion_blur_position])


def frames_touched(frames: range, meta: FilmMeta) -> range:
    """All frames whose places the shutter mixes into `frames`."""
    reach = math.ceil(meta.shutter)
    return range(frames.start - reach, frames.stop + reach)


def film_steps(
    context: bpy.types.Context, frames: range, samples: int
) -> Generator[tuple[int, int, float], None, Film]:
    """Yields (frames read, frames in all, 0) and returns the camera of all `frames`; the scene is left at the last one.

    Raises:
        Ani3DError: ``camera.*``.
    """
    scene = context.scene
    meta = film_meta(scene, frames.start, samples)
    views, Ks, lenses = [], [], []
    for number, frame in enumerate(frames, start=1):
        scene.frame_set(frame)
        depsgraph = context.evaluated_depsgraph_get()
        camera = read_camera(scene, depsgraph)
        views.append(camera.viewmat)
        Ks.append(camera.K)
        lenses.append(lens_at(scene, depsgraph))
        yield number, len(frames), 0.0
    return Film(meta, np.stack(views), np.stack(Ks), np.array(lenses, np.float64))


def lens_at(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> tuple[float, float]:
    """Radius of the aperture and distance of what is sharp, in metres; (0, 0) where all is."""
    camera = scene.camera.evaluated_get(depsgraph)
    data: Any = camera.data
    if not data.dof.use_dof or data.type != "PERSP":
        return 0.0, 0.0
    distance = data.dof.focus_distance
    if (aim := data.dof.focus_object) is not None:
        place = aim.evaluated_get(depsgraph).matrix_world
        bone = aim.pose.bones.get(data.dof.focus_subtarget) if aim.pose else None
        point = place @ bone.matrix.translation if bone else place.translation
        forward = (camera.matrix_world.to_quaternion() @ Vector((0, 0, -1))).normalized()
        distance = abs((point - camera.matrix_world.translation).dot(forward))
    return data.lens / 1000 / (2 * data.dof.aperture_fstop), max(distance, 1e-3)
