# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera for a scene that has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np
from mathutils import Vector

MARGIN = 1.6  # of the character's height that is seen


@contextmanager
def some_camera(context: bpy.types.Context, armature: bpy.types.Object) -> Iterator[None]:
    """Where the scene has no camera, put one before the character (on its -Y side), meanwhile."""
    scene = context.scene
    if scene.camera is not None:
        yield
        return
    context.view_layer.update()
    data = bpy.data.cameras.new("Ani3D take")
    item = bpy.data.objects.new("Ani3D take", data)
    try:
        points = np.array([p for b in armature.pose.bones for p in (b.head, b.tail)])
        world = np.array(armature.matrix_world)
        points = points @ world[:3, :3].T + world[:3, 3]
        middle, size = (points.min(0) + points.max(0)) / 2, np.ptp(points, axis=0).max()
        away = np.array([0.0, -MARGIN * size * data.lens / data.sensor_width, 0.1 * size])
        item.location = middle + away
        item.rotation_euler = (Vector(middle) - item.location).to_track_quat("-Z", "Y").to_euler()
        scene.collection.objects.link(item)
        scene.camera = item
        yield
    finally:
        scene.camera = None
        bpy.data.objects.remove(item)
        bpy.data.cameras.remove(data)
