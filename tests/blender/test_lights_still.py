"""Lights and cameras that nothing can move or change while the scene plays are read once; others frame by frame."""

from __future__ import annotations

import bpy
import numpy as np
import pytest


@pytest.fixture
def lamp(addon) -> bpy.types.Object:
    item = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    item.data.energy, item.location = 100.0, (0, 0, 3)
    scene = bpy.context.scene
    scene.collection.objects.link(item)
    scene.world = bpy.data.worlds.new("World")
    scene.frame_start, scene.frame_end = 1, 3
    return item


def other(kind: str, data=None) -> bpy.types.Object:
    item = bpy.data.objects.new(kind, data)
    bpy.context.scene.collection.objects.link(item)
    return item


def keyed(owner, path: str, values, index: int = -1) -> None:
    for frame, value in zip((1, 3), values, strict=True):
        if index < 0:
            setattr(owner, path, value)
        else:
            getattr(owner, path)[index] = value
        owner.keyframe_insert(path, index=index, frame=frame)


def moved(lamp):
    keyed(lamp, "location", (0.0, 1.0), 0)


def dimmed(lamp):
    keyed(lamp.data, "energy", (100.0, 50.0))


def hidden(lamp):
    keyed(lamp, "hide_render", (False, True))


def driven(lamp):
    lamp.driver_add("location", 0).driver.expression = "frame"


def on_a_moving_parent(lamp):
    above, lamp.parent = other("Above"), other("Parent")
    lamp.parent.parent = above
    keyed(above, "location", (0.0, 1.0), 0)


def constrained(lamp):
    target = other("Target")
    keyed(target, "location", (0.0, 1.0), 0)
    lamp.constraints.new("COPY_LOCATION").target = target


def on_a_vertex(lamp):
    mesh = bpy.data.meshes.new("Mesh")
    mesh.from_pydata([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [], [(0, 1, 2)])
    carrier = other("Carrier", mesh)
    carrier.shape_key_add(name="Basis")
    key = carrier.shape_key_add(name="Aside")
    for point in key.data:
        point.co.x += 1
    keyed(key, "value", (0.0, 1.0))
    lamp.parent, lamp.parent_type, lamp.parent_vertices = carrier, "VERTEX", (0, 0, 0)


def by_a_track(lamp):
    moved(lamp)
    data = lamp.animation_data
    data.nla_tracks.new().strips.new("Strip", 1, data.action)
    data.action = None


def by_a_script(lamp):
    bpy.app.handlers.frame_change_post.append(_script)


def _script(scene, _depsgraph=None):
    bpy.data.objects["Lamp"].location.x = float(scene.frame_current)


def world_keyed(_lamp):
    world = bpy.context.scene.world
    if bpy.app.version < (5, 0):
        world.use_nodes = True
    background = next((n for n in world.node_tree.nodes if n.type == "BACKGROUND"), None)
    if background is None:
        background = world.node_tree.nodes.new("ShaderNodeBackground")
        output = world.node_tree.nodes.new("ShaderNodeOutputWorld")
        world.node_tree.links.new(background.outputs[0], output.inputs["Surface"])
    keyed(background.inputs["Strength"], "default_value", (1.0, 2.0))


CHANGES = (moved, dimmed, hidden, driven, on_a_moving_parent, constrained, on_a_vertex, by_a_track, by_a_script,
           world_keyed)  # fmt: skip


def lit(part, frames=(1, 3)):
    scene, lights = bpy.context.scene, part("export.lights")
    scene.frame_set(1)
    reader = lights.Lights(scene, bpy.context.evaluated_depsgraph_get(), lambda _text: None)
    found = []
    for frame in frames:
        scene.frame_set(frame)
        found.append(reader.read(scene, bpy.context.evaluated_depsgraph_get()))
    return found


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_light_is_noticed(lamp, part, change):
    try:
        change(lamp)
        first, last = lit(part)
        assert not part("export.still").lights_stand_still(bpy.context.scene, bpy.context.view_layer)
        differs = [
            not np.array_equal(first.sky.ambient, last.sky.ambient),
            first.lamps.keys() != last.lamps.keys(),
            *(not np.array_equal(first.lamps[k].matrix, last.lamps[k].matrix) for k in first.lamps if k in last.lamps),
            *(not np.array_equal(first.lamps[k].color, last.lamps[k].color) for k in first.lamps if k in last.lamps),
        ]
        assert any(differs)
    finally:
        bpy.app.handlers.frame_change_post[:] = [h for h in bpy.app.handlers.frame_change_post if h is not _script]


def test_lights_that_nothing_moves_are_read_once(lamp, part):
    lamp.parent = other("Parent")
    lamp.animation_data_create()  # without any animation, as it is left when keys are deleted
    assert part("export.still").lights_stand_still(bpy.context.scene, bpy.context.view_layer)
    first, last = lit(part)
    assert first is last and len(first.lamps) == 1


def lens_keyed(camera):
    keyed(camera.data, "lens", (50.0, 80.0))


def marked(camera):
    second = other("Second", bpy.data.cameras.new("Second"))
    second.location = (1, 0, 0)
    for frame, item in ((1, camera), (3, second)):
        bpy.context.scene.timeline_markers.new(f"At {frame}", frame=frame).camera = item


@pytest.mark.parametrize("change", [moved, lens_keyed, marked, on_a_moving_parent, constrained, on_a_vertex])
def test_cameras_that_change_are_read_frame_by_frame(addon, part, change):
    item = other("View", bpy.data.cameras.new("View"))
    scene = bpy.context.scene
    scene.camera = item
    change(item)
    reader, found = part("export.camera").Cameras(), []
    for frame in (1, 3):
        scene.frame_set(frame)
        found.append(reader.read(scene, bpy.context.evaluated_depsgraph_get()))
        direct = part("export.camera").read_camera(scene, bpy.context.evaluated_depsgraph_get())
        np.testing.assert_array_equal(found[-1].viewmat, direct.viewmat)
        np.testing.assert_array_equal(found[-1].K, direct.K)
    assert not (np.array_equal(found[0].viewmat, found[1].viewmat) and np.array_equal(found[0].K, found[1].K))


def test_a_camera_that_nothing_moves_is_read_once(addon, part):
    scene = bpy.context.scene
    scene.camera = other("View", bpy.data.cameras.new("View"))
    reader = part("export.camera").Cameras()
    first, second = (reader.read(scene, bpy.context.evaluated_depsgraph_get()) for _ in range(2))
    assert first is second
