"""Linear blend skinning of the exported arrays equals what Blender's armature modifier makes."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs

TOLERANCE = 1e-4  # metres


def _poses_differ(part, rig: bpy.types.Object, items: list[bpy.types.Object]) -> float:
    """The largest distance between Blender's vertices and ours over ten random poses, keyed as ten frames."""
    rng = np.random.default_rng(3)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 10
    for frame in range(1, 11):
        rigs.random_pose(rig, rng)
        for bone in rig.pose.bones:
            for channel in ("rotation_quaternion", "location", "scale"):
                bone.keyframe_insert(channel, frame=frame)
    shot = part("export").export_shot(bpy.context, rig)
    worst = 0.0
    for row, frame in enumerate(range(1, 11)):
        scene.frame_set(frame)
        expected = np.concatenate([rigs.evaluated_vertices(item) for item in sorted(items, key=lambda o: o.name)])
        worst = max(worst, np.abs(rigs.skinned(shot, row) - expected).max())
    moved = np.ptp(np.stack([rigs.skinned(shot, row) for row in range(10)]), axis=0).max()
    assert moved > 0.1, "the poses must move the mesh, or the comparison says nothing"
    return worst


def test_several_meshes_on_a_plain_armature(addon, part):
    rig = rigs.armature()
    items = [rigs.tube("Body", rig, 0.15, 0, 1.5), rigs.tube("Skirt", rig, 0.2, 0.1, 0.8, flare=0.2)]
    rigs.camera()
    assert _poses_differ(part, rig, items) < TOLERANCE


def test_transformed_armature_and_meshes(addon, part):
    rig = rigs.armature(transform=True)
    body, skirt = rigs.tube("Body", rig, 0.15, 0, 1.5), rigs.tube("Skirt", rig, 0.2, 0.1, 0.8, flare=0.2)
    skirt.location, skirt.rotation_euler, skirt.scale = (0.1, 0, 0.05), (0.1, -0.2, 0.5), (1.1, 0.7, 1.0)
    rigs.camera()
    bpy.context.view_layer.update()
    assert _poses_differ(part, rig, [body, skirt]) < TOLERANCE


def test_armature_object_that_travels(addon, part):
    rig = rigs.armature()
    body = rigs.tube("Body", rig, 0.15, 0, 1.5)
    rigs.camera()
    for frame in (1, 10):
        rig.location, rig.rotation_euler = (0.2 * frame, 0, 0), (0, 0, 0.2 * frame)
        rig.keyframe_insert("location", frame=frame)
        rig.keyframe_insert("rotation_euler", frame=frame)
    assert _poses_differ(part, rig, [body]) < TOLERANCE


def test_groups_of_bones_that_do_not_deform_have_no_part(addon, part):
    rig = rigs.armature()
    body = rigs.tube("Body", rig, 0.15, 0, 1.5)
    body.vertex_groups.new(name="control").add(list(range(60)), 1.0, "REPLACE")
    body.vertex_groups.new(name="no bone").add(list(range(60)), 1.0, "REPLACE")
    rigs.camera()
    assert _poses_differ(part, rig, [body]) < TOLERANCE


def test_shape_keys_are_mixed_into_the_bind_pose(addon, part):
    rig = rigs.armature()
    body = rigs.tube("Body", rig, 0.15, 0, 1.5)
    body.shape_key_add(name="Basis")
    for name, value, limit in (("Wide", 0.4, ""), ("Muted", 0.9, ""), ("Top", 0.7, "head")):
        key = body.shape_key_add(name=name)
        key.value, key.vertex_group, key.mute = value, limit, name == "Muted"
        for point in key.data:
            point.co.x *= 1.5
            point.co.y += 0.05
    rigs.camera()
    assert _poses_differ(part, rig, [body]) < TOLERANCE


@pytest.mark.parametrize("frames", [(1, 10)])
def test_weights_add_up_to_one(addon, part, frames):
    rig = rigs.armature()
    rigs.tube("Body", rig, 0.15, 0, 1.5)
    rigs.camera()
    shot = part("export").export_shot(bpy.context, rig, *frames)
    np.testing.assert_allclose(shot["weight_values"].sum(axis=1), 1, atol=1e-6)
    assert shot["weight_values"].shape[1] == 3  # the largest number of bones on one vertex
    assert rigs.meta(shot)["bones"] == list(rigs.BONES)  # 'control' does not deform
    assert shot["bone_parents"].tolist() == [-1, 0, 1]
