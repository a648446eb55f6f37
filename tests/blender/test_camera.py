"""Exported cameras project points where Blender's own camera does."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

POINTS = np.random.default_rng(5).uniform((-0.6, -0.6, 0), (0.6, 0.6, 1.5), (40, 3))


def _blender_pixels(scene: bpy.types.Scene, width: int, height: int) -> np.ndarray:
    views = [world_to_camera_view(scene, scene.camera, Vector(point)) for point in POINTS]
    return np.array([(view.x * width, (1 - view.y) * height) for view in views])


def _our_pixels(viewmat: np.ndarray, K: np.ndarray, kind: str) -> np.ndarray:
    local = POINTS @ viewmat[:3, :3].T + viewmat[:3, 3]
    plane = local[:, :2] if kind == "orthographic" else local[:, :2] / local[:, 2:]
    return plane @ K[:2, :2].T + K[:2, 2]


@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
@pytest.mark.parametrize("size", [(480, 832), (832, 480), (500, 500)])
@pytest.mark.parametrize("aspect", [(1.0, 1.0), (1.0, 1.4), (1.6, 1.0)])
def test_projection(addon, part, kind, fit, size, aspect):
    scene = bpy.context.scene
    lens = rigs.camera((1.5, -3.5, 2.0)).data
    lens.type, lens.sensor_fit, lens.ortho_scale, lens.lens = kind, fit, 3.3, 42.0
    lens.sensor_width, lens.sensor_height = 36.0, 20.0
    lens.shift_x, lens.shift_y = 0.13, -0.21
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = *size, 100
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = aspect
    bpy.context.view_layer.update()
    ours = part("export.camera").read_camera(scene, bpy.context.evaluated_depsgraph_get())
    difference = _our_pixels(ours.viewmat, ours.K, ours.kind) - _blender_pixels(scene, *size)
    assert np.abs(difference).max() < 0.1


def test_depth_is_positive_in_front_and_scale_is_ignored(addon, part):
    item = rigs.camera()
    item.scale = (2, 0.5, 3)
    bpy.context.view_layer.update()
    camera = part("export.camera").read_camera(bpy.context.scene, bpy.context.evaluated_depsgraph_get())
    rotation = camera.viewmat[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert ((POINTS @ rotation.T + camera.viewmat[:3, 3])[:, 2] > 0).all()


def test_animated_camera_and_resolution_percentage(addon, part):
    rig = rigs.character()
    scene = bpy.context.scene
    scene.render.resolution_percentage = 50
    lens, item = scene.camera.data, scene.camera
    for frame, length in ((3, 30.0), (10, 80.0)):
        lens.lens, item.location.x = length, frame * 0.1
        lens.keyframe_insert("lens", frame=frame)
        item.keyframe_insert("location", frame=frame)
    shot = part("export").export_shot(bpy.context, rig)
    assert (rigs.meta(shot)["width"], rigs.meta(shot)["height"]) == (32, 48)
    for row in (0, 4, 7):
        scene.frame_set(3 + row)
        pixels = _our_pixels(shot["viewmats"][row], shot["Ks"][row], "perspective")
        assert np.abs(pixels - _blender_pixels(scene, 32, 48)).max() < 0.1
    assert shot["Ks"][0, 0, 0] < shot["Ks"][-1, 0, 0]
