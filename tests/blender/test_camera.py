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


def _export(part, rig) -> tuple[dict[str, np.ndarray], list[str]]:
    warnings: list[str] = []
    return part("export").export_shot(bpy.context, rig, on_warning=warnings.append), warnings


def _parented(item: bpy.types.Object, scale, turn) -> None:
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.scale, parent.rotation_euler = scale, turn
    item.parent = parent


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda item: setattr(item, "scale", (-1, 1, 1)), "is mirrored"),
        (lambda item: setattr(item, "scale", (-2, -2, -2)), "is mirrored"),
        (lambda item: _parented(item, (-1, 1, 1), (0, 0, 0)), "is mirrored"),
        (lambda item: _parented(item, (1, 2, 1), (0, 0.5, 0.4)), "is sheared"),
        (lambda item: setattr(item, "scale", (0, 0, 0)), "has no size"),
        (lambda item: setattr(item, "scale", (1, 0, 1)), "has no size"),
        (lambda item: setattr(item.data, "type", "PANO"), "of the type PANO"),
    ],
)
def test_a_camera_that_cannot_be_exported_is_refused_by_name(addon, part, spoil, what):
    rig = rigs.character(frames=3)
    spoil(bpy.context.scene.camera)
    bpy.context.view_layer.update()
    with pytest.raises(Exception, match=what) as caught:
        _export(part, rig)
    assert caught.value.code.startswith("camera.") and "'Camera'" in str(caught.value)


def test_a_camera_mirrored_at_some_frame_is_refused_with_the_frame(addon, part):
    rig = rigs.character(frames=4)
    item = bpy.context.scene.camera
    for frame, size in ((3, 1), (6, -1)):
        item.scale = (size, 1, 1)
        item.keyframe_insert("scale", frame=frame)
    with pytest.raises(Exception, match=r"is mirrored at frame [56]"):
        _export(part, rig)


@pytest.mark.parametrize("scale", [(-1, -1, 1), (3, 0.2, 7)])
def test_scales_that_leave_the_picture_alone_are_no_matter(addon, part, scale):
    rig, scene = rigs.character(frames=3), bpy.context.scene
    scene.camera.scale = scale
    shot, _ = _export(part, rig)
    scene.frame_set(4)
    pixels = _our_pixels(shot["viewmats"][1], shot["Ks"][1], "perspective")
    assert np.abs(pixels - _blender_pixels(scene, 64, 96)).max() < 0.1


@pytest.mark.parametrize("hide", ["excluded", "hidden collection", "eye", "monitor"])
def test_a_hidden_camera_moves_all_the_same(addon, part, hide):
    rig, scene = rigs.character(frames=4), bpy.context.scene
    item = scene.camera
    hidden = bpy.data.collections.new("Cameras")
    scene.collection.children.link(hidden)
    hidden.objects.link(item)
    scene.collection.objects.unlink(item)
    for frame, x in ((3, 0.0), (6, 0.6)):
        item.location.x, item.data.shift_x = x, x / 3
        item.keyframe_insert("location", frame=frame)
        item.data.keyframe_insert("shift_x", frame=frame)
    if hide == "excluded":
        bpy.context.view_layer.layer_collection.children["Cameras"].exclude = True
    elif hide == "hidden collection":
        hidden.hide_viewport = hidden.hide_render = True
    elif hide == "eye":
        item.hide_set(True)
    else:
        item.hide_viewport = item.hide_render = True
    shot, _ = _export(part, rig)
    places = [np.linalg.inv(view)[0, 3] for view in shot["viewmats"]]
    np.testing.assert_allclose([places[0], places[-1]], [0, 0.6], atol=1e-5)
    assert shot["Ks"][0, 0, 2] == pytest.approx(32)
    assert shot["Ks"][-1, 0, 2] == pytest.approx(32 - 0.2 * 96)  # shifts count in widths of the longer side


def test_markers_switch_cameras(addon, part):
    rig, scene = rigs.character(frames=6), bpy.context.scene
    first = scene.camera
    second = rigs.camera((-4, 0, 1))
    second.data.lens = 80
    for frame, item in ((1, first), (6, second)):
        scene.timeline_markers.new(item.name, frame=frame).camera = item
    scene.frame_set(3)
    shot, warnings = _export(part, rig)
    for row, item in ((0, first), (2, first), (3, second), (5, second)):
        scene.frame_set(3 + row)
        assert scene.camera == item
        pixels = _our_pixels(shot["viewmats"][row], shot["Ks"][row], "perspective")
        assert np.abs(pixels - _blender_pixels(scene, 64, 96)).max() < 0.1
    assert not any("camera" in warning for warning in warnings)


@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
def test_a_camera_that_never_sees_the_character_is_said(addon, part, kind):
    rig, scene = rigs.character(frames=3), bpy.context.scene
    scene.camera.data.type = kind
    scene.camera.data.ortho_scale = 2.5
    assert not [warning for warning in _export(part, rig)[1] if "never sees" in warning]
    scene.camera.rotation_euler.z += np.pi / 2
    _shot, warnings = _export(part, rig)
    assert [warning for warning in warnings if "never sees the character" in warning]


def test_the_preview_range_is_not_that_of_the_shot_and_this_is_said(addon, part):
    rig, scene = rigs.character(frames=6), bpy.context.scene
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end, scene.frame_step = True, 4, 5, 2
    shot, warnings = _export(part, rig)
    assert len(shot["viewmats"]) == 6
    assert "The preview range, 4 to 5, is not that of the shot, which has the scene's frames 3 to 8." in warnings


def test_a_picture_without_pixels_is_refused(addon, part):
    rig, scene = rigs.character(frames=3), bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_percentage = 40, 1
    with pytest.raises(Exception, match="are 0 x 0 pixels large"):
        _export(part, rig)
