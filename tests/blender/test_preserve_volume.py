"""Dual quaternion skinning of an exported shot equals Blender's Armature modifier with Preserve Volume."""

from __future__ import annotations

from math import radians

import bpy
import numpy as np
import pytest
import rigs

from ani3d_formats.skinning import skin

TOLERANCE = 5e-5  # metres


def _preserving(item: bpy.types.Object) -> bpy.types.Object:
    item.modifiers["Armature"].use_deform_preserve_volume = True
    return item


def _key(rig: bpy.types.Object, frame: int) -> None:
    for bone in rig.pose.bones:
        for channel in ("rotation_quaternion", "location", "scale"):
            bone.keyframe_insert(channel, frame=frame)


def _posed(shot: dict[str, np.ndarray], preserve_volume: np.ndarray) -> np.ndarray:
    """(T,V,3) the shot's vertices as the rigid layer has them."""
    transforms = shot["bone_pose"].astype(np.float64) @ np.linalg.inv(shot["bone_rest"].astype(np.float64))
    return skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], transforms, preserve_volume)


def _blenders(items: list[bpy.types.Object], frames: int) -> np.ndarray:
    """(T,V,3) world vertices as Blender evaluates them."""
    result = []
    for frame in range(1, frames + 1):
        bpy.context.scene.frame_set(frame)
        result.append(np.concatenate([rigs.evaluated_vertices(item) for item in sorted(items, key=lambda o: o.name)]))
    return np.stack(result)


def _marked(shot: dict[str, np.ndarray]) -> np.ndarray:
    """(V,) bool by what the exporter noted of each object."""
    return np.concatenate(
        [np.full(o["vertex_count"], o.get("preserve_volume", False)) for o in rigs.meta(shot)["objects"]]
    )


def _export(part, rig: bpy.types.Object, frames: int) -> dict[str, np.ndarray]:
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, frames
    return part("export").export_shot(bpy.context, rig)


def test_a_twisted_arm(addon, part):
    rig = rigs.armature()
    arm = _preserving(rigs.tube("Arm", rig, 0.08, 0, 1.5))
    rigs.camera()
    for frame, angle in enumerate((0, 60, 120, 170), start=1):
        bone = rig.pose.bones["spine"]
        bone.rotation_mode = "QUATERNION"
        half = radians(angle) / 2
        bone.rotation_quaternion = (np.cos(half), 0, np.sin(half), 0)
        _key(rig, frame)
    shot = _export(part, rig, 4)
    expected = _blenders([arm], 4)
    assert _marked(shot).all()
    assert np.abs(_posed(shot, _marked(shot)) - expected).max() < TOLERANCE
    assert np.abs(_posed(shot, ~_marked(shot)) - expected).max() > 0.02, "linear blending must be told apart"


@pytest.mark.parametrize("scale", [False, True])
def test_random_poses_of_a_travelling_armature_that_is_scaled(addon, part, scale):
    rig = rigs.armature(transform=True)
    body, skirt = rigs.tube("Body", rig, 0.15, 0, 1.5), rigs.tube("Skirt", rig, 0.2, 0.1, 0.8, flare=0.2)
    skirt.location, skirt.rotation_euler, skirt.scale = (0.1, 0, 0.05), (0.1, -0.2, 0.5), (1.1, 0.7, 1.0)
    rigs.camera()
    _preserving(body), _preserving(skirt)
    bpy.context.view_layer.update()
    rng = np.random.default_rng(3)
    for frame in range(1, 11):
        rigs.random_pose(rig, rng, scale)
        _key(rig, frame)
        rig.location.x, rig.rotation_euler.z, rig.scale = 0.2 * frame, 0.2 * frame, [1.3 + 0.02 * frame] * 3
        for channel in ("location", "rotation_euler", "scale"):
            rig.keyframe_insert(channel, frame=frame)
    shot = _export(part, rig, 10)
    posed, expected = _posed(shot, _marked(shot)), _blenders([body, skirt], 10)
    assert np.ptp(posed, axis=0).max() > 0.1, "the poses must move the mesh, or the comparison says nothing"
    assert np.abs(posed - expected).max() < TOLERANCE


def test_each_object_by_its_own_modifier(addon, part):
    rig = rigs.armature()
    body, skirt = rigs.tube("Body", rig, 0.15, 0, 1.5), rigs.tube("Skirt", rig, 0.2, 0.1, 0.8, flare=0.2)
    _preserving(body)
    rigs.camera()
    rng = np.random.default_rng(5)
    for frame in range(1, 6):
        rigs.random_pose(rig, rng)
        _key(rig, frame)
    shot = _export(part, rig, 5)
    body_entry, skirt_entry = rigs.meta(shot)["objects"]
    assert body_entry["preserve_volume"] is True and "preserve_volume" not in skirt_entry
    expected = _blenders([body, skirt], 5)
    assert np.abs(_posed(shot, _marked(shot)) - expected).max() < TOLERANCE


def test_nothing_is_warned_of(addon, part):
    rig = rigs.character()
    _preserving(bpy.data.objects["Body"])
    warnings = []
    part("export").export_shot(bpy.context, rig, on_warning=warnings.append)
    assert warnings == []
