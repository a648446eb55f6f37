"""Misuse of characters: what is deleted, renamed, edited or broken between Bind and Export."""

from __future__ import annotations

import json

import bpy
import numpy as np
import pytest
import rigs
from unharmed import exported, refused, unchanged

pytestmark = pytest.mark.usefixtures("unharmed")


def _objects(shot) -> list[str]:
    return [entry["name"] for entry in rigs.meta(shot)["objects"]]


def _export_refused(tmp_path) -> str:
    text = refused(bpy.ops.ani3d.export_shot, filepath=str(tmp_path / "shot.npz"))
    assert not (tmp_path / "shot.npz").exists()
    return text


def test_a_mesh_deleted_after_bind(bound, tmp_path):
    bpy.data.objects.remove(bpy.data.objects["Skirt"])
    assert _objects(exported(tmp_path)) == ["Body"]


def test_all_meshes_deleted_after_bind(bound, tmp_path):
    for name in ("Body", "Skirt"):
        bpy.data.objects.remove(bpy.data.objects[name])
    assert "No mesh follows the armature 'Rig'" in _export_refused(tmp_path)


@pytest.mark.parametrize("how", ["removed", "unlinked", "data removed"])
def test_the_armature_deleted_after_bind(bound, tmp_path, how):
    if how == "removed":
        bpy.data.objects.remove(bound)
    elif how == "unlinked":
        bpy.ops.object.delete()  # the scene's pointer keeps the object
    else:
        bpy.data.armatures.remove(bound.data)
    text = _export_refused(tmp_path)
    assert ("'Rig' is not in the view layer" if how == "unlinked" else "No character is bound") in text


@pytest.mark.parametrize("edit", ["renamed", "added", "removed", "all removed", "none deforms"])
def test_bones_edited_after_bind(bound, tmp_path, edit):
    bpy.ops.object.mode_set(mode="EDIT")
    bones = bound.data.edit_bones
    if edit == "added":
        bone = bones.new("tail")
        bone.head, bone.tail = (0, 0, 0), (0, -1, 0)
    elif edit == "removed":
        bones.remove(bones["head"])
    elif edit == "all removed":
        for bone in list(bones):
            bones.remove(bone)
    bpy.ops.object.mode_set(mode="OBJECT")
    if edit == "renamed":
        bound.data.bones["head"].name = "skull"
    elif edit == "none deforms":
        for bone in bound.data.bones:
            bone.use_deform = False
    shot = exported(tmp_path)
    names = rigs.meta(shot)["bones"]
    expected = {
        "renamed": ["hips", "spine", "skull"],
        "added": ["hips", "spine", "head", "tail"],
        "removed": ["hips", "spine"],
        "all removed": ["object:Body", "object:Skirt"],
        "none deforms": ["object:Body", "object:Skirt"],
    }[edit]
    assert [name for name in names if name in expected] == expected
    assert len(shot["bone_pose"]) == 3
    np.testing.assert_allclose(shot["weight_values"].sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("edit", ["replaced", "vertices added", "emptied", "made one vertex"])
def test_mesh_data_edited_after_bind(bound, tmp_path, edit):
    skirt = bpy.data.objects["Skirt"]
    if edit == "replaced":
        skirt.data = bpy.data.objects["Body"].data.copy()
    elif edit == "vertices added":
        skirt.data.vertices.add(5)
    elif edit == "emptied":
        skirt.data.clear_geometry()
    else:
        skirt.data.clear_geometry()
        skirt.data.vertices.add(1)
    shot = exported(tmp_path)
    counts = {entry["name"]: entry["vertex_count"] for entry in rigs.meta(shot)["objects"]}
    assert (
        counts
        == {
            "replaced": {"Body": 108, "Skirt": 108},
            "vertices added": {"Body": 108, "Skirt": 113},
            "emptied": {"Body": 108},
            "made one vertex": {"Body": 108},
        }[edit]
    )


def test_objects_renamed_after_bind(bound, tmp_path):
    bpy.data.objects["Skirt"].name = "Kleid"
    bound.name = "Ada"
    shot = exported(tmp_path)
    assert _objects(shot) == ["Body", "Kleid"] and rigs.meta(shot)["name"] == "Ada"
    assert shot["region_ids"][-1] == 3  # what Bind took for a garment stays one


@pytest.mark.parametrize(
    ("who", "mode"),
    [
        ("Rig", "EDIT"), ("Rig", "POSE"), ("Body", "EDIT"), ("Body", "SCULPT"), ("Body", "WEIGHT_PAINT"),
        ("Body", "VERTEX_PAINT"), ("Body", "TEXTURE_PAINT"), ("Skirt", "PARTICLE_EDIT"),
    ],
)  # fmt: skip
def test_other_modes(bound, tmp_path, who, mode):
    item = bpy.data.objects[who]
    rigs.select(item)
    if mode == "PARTICLE_EDIT":
        item.modifiers.new("Hair", "PARTICLE_SYSTEM")
        item.particle_systems[0].settings.type = "HAIR"
        item.particle_systems[0].settings.count = 5
        bpy.context.view_layer.update()
    bpy.ops.object.mode_set(mode=mode)
    if mode == "EDIT":
        for operator in (bpy.ops.ani3d.bind_character, bpy.ops.ani3d.paint_pins):
            assert f"'{who}' is in Edit Mode. Leave Edit Mode first." in refused(operator)
        assert f"'{who}' is in Edit Mode. Leave Edit Mode first." in _export_refused(tmp_path)
    else:
        bpy.ops.ani3d.bind_character()
        assert item.mode == mode
        assert _objects(exported(tmp_path))[:2] == ["Body", "Skirt"]
        assert item.mode == mode


def test_rest_position(bound, tmp_path):
    bound.data.pose_position = "REST"
    assert "'Rig' is held in rest position" in _export_refused(tmp_path)
    assert "'Rig' is held in rest position" in refused(bpy.ops.ani3d.bind_character)


def test_two_armature_objects_share_their_data(bound, tmp_path):
    twin = bpy.data.objects.new("Twin", bound.data)
    bpy.context.scene.collection.objects.link(twin)
    twin.location = (5, 0, 0)
    body = rigs.tube("Second", twin, 0.1, 0.0, 1.5)
    bpy.context.view_layer.update()
    assert _objects(exported(tmp_path)) == ["Body", "Skirt"]
    rigs.select(twin)
    bpy.ops.ani3d.bind_character()
    shot = exported(tmp_path)
    assert _objects(shot) == ["Second"]
    np.testing.assert_allclose(rigs.skinned(shot, 0), rigs.evaluated_vertices(body), atol=1e-5)


def test_two_objects_share_a_mesh_and_one_is_not_on_the_rig(bound, tmp_path):
    other = bpy.data.objects.new("Statue", bpy.data.objects["Body"].data)
    bpy.context.scene.collection.objects.link(other)
    assert _objects(exported(tmp_path)) == ["Body", "Skirt"]
    modifier = other.modifiers.new("Armature", "ARMATURE")
    modifier.object = bound
    assert _objects(exported(tmp_path)) == ["Body", "Skirt", "Statue"]


@pytest.mark.parametrize("kind", ["ARMATURE", "SHRINKWRAP", "MIRROR", "BOOLEAN", "SURFACE_DEFORM", "LATTICE", "NODES"])
def test_a_modifier_that_points_to_a_deleted_object(bound, tmp_path, kind):
    target = bpy.data.objects.new("Gone", bpy.data.meshes.new("Gone"))
    modifier = bpy.data.objects["Body"].modifiers.new("Broken", kind)
    if kind in ("SHRINKWRAP", "SURFACE_DEFORM"):
        modifier.target = target
    elif kind == "MIRROR":
        modifier.mirror_object = target
    elif kind == "BOOLEAN":
        modifier.object = target
    bpy.data.objects.remove(target)
    assert _objects(exported(tmp_path)) == ["Body", "Skirt"]


def test_a_driver_with_a_broken_expression(bound, tmp_path):
    bpy.data.objects["Body"].driver_add("location", 0).driver.expression = "1 / nothing("
    assert _objects(exported(tmp_path)) == ["Body", "Skirt"]


@pytest.mark.parametrize("where", ["bone", "armature", "camera", "lens", "mesh"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_keys_that_are_no_numbers(bound, tmp_path, where, value):
    camera = bpy.context.scene.camera
    owner = {"bone": bound.pose.bones["head"], "armature": bound, "camera": camera, "lens": camera.data}.get(
        where, bpy.data.objects["Body"]
    )
    path, index = ("lens", -1) if where == "lens" else ("location", 0)
    owner.keyframe_insert(path, index=index, frame=4)
    data = owner.id_data.animation_data
    curve = (
        data.action.layers[0]
        .strips[0]
        .channelbag(data.action_slot)
        .fcurves.find(owner.path_from_id(path), index=max(index, 0))
    )
    curve.keyframe_points[0].co.y = value
    bpy.context.scene.frame_set(3)
    text = _export_refused(tmp_path)
    assert {"bone": "head", "lens": "Camera", "camera": "Camera", "armature": "Rig", "mesh": "Body"}[where] in text


def test_vertices_that_are_no_numbers(bound, tmp_path):
    bpy.data.objects["Body"].data.vertices[7].co = (float("nan"), 0, 0)
    text = _export_refused(tmp_path)
    assert "'Body'" in text and "vertex 7" in text
    assert "'Body'" in refused(bpy.ops.ani3d.bind_character)


def test_texture_coordinates_that_are_no_numbers(bound, tmp_path):
    bpy.data.objects["Body"].data.uv_layers[0].data[3].uv = (float("nan"), float("inf"))
    assert np.isfinite(exported(tmp_path)["face_uvs"]).all()


def test_weights_that_are_locked_or_no_numbers(bound, tmp_path):
    body = bpy.data.objects["Body"]
    for group in body.vertex_groups:
        group.lock_weight = True
    body.vertex_groups["hips"].add([0], float("nan"), "REPLACE")
    bpy.ops.ani3d.paint_pins(object="Skirt")
    bpy.ops.object.mode_set(mode="OBJECT")
    values = exported(tmp_path)["weight_values"]
    np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-6)


def test_two_thousand_bones(bound, tmp_path):
    bpy.ops.object.mode_set(mode="EDIT")
    for number in range(2000):
        bone = bound.data.edit_bones.new(f"extra {number}")
        bone.head, bone.tail = (0, 0, number / 1000), (0, 0.01, number / 1000)
    bpy.ops.object.mode_set(mode="OBJECT")
    assert exported(tmp_path)["bone_pose"].shape == (3, 2003, 4, 4)


def test_names_of_255_bytes(bound, tmp_path):
    most = 255 if bpy.app.version >= (5, 0) else 63  # bytes that a name may have
    for item, letter in ((bound, "r"), (bpy.data.objects["Body"], "b"), (bpy.data.objects["Skirt"], "é")):
        item.name = letter * (255 // len(letter.encode()))
    bound.data.bones["head"].name = "k" * 255
    shot = exported(tmp_path)
    assert _objects(shot) == ["b" * most, "é" * (most // 2)]
    assert "k" * 63 in rigs.meta(shot)["bones"][2]


@pytest.mark.parametrize("name", ["nothing", "Body", "Camera", "../Rig", "R" * 300])
def test_bind_what_is_no_armature(bound, name):
    assert "armature" in refused(bpy.ops.ani3d.bind_character, armature=name)


def test_bind_another_character_and_the_first_again(bound, tmp_path):
    second = rigs.armature()
    rigs.tube("Other", second, 0.1, 0.0, 1.5)
    bpy.ops.ani3d.bind_character(armature=second.name)
    assert _objects(exported(tmp_path)) == ["Other"]
    bpy.ops.ani3d.bind_character(armature="Rig")
    assert _objects(exported(tmp_path)) == ["Body", "Skirt"]


def test_an_instance_of_a_collection_that_was_emptied(addon, tmp_path):
    rig = rigs.character(frames=3)
    hero = bpy.data.collections.new("Hero")
    for item in (rig, bpy.data.objects["Body"], bpy.data.objects["Skirt"]):
        hero.objects.link(item)
        bpy.context.scene.collection.objects.unlink(item)
    empty = bpy.data.objects.new("Hero", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", hero
    bpy.context.scene.collection.objects.link(empty)
    rigs.select(empty)
    bpy.ops.ani3d.bind_character()
    assert _objects(exported(tmp_path)) == ["Body", "Skirt"]
    (tmp_path / "shot.npz").unlink()
    for item in list(hero.objects):
        hero.objects.unlink(item)
    assert "'Rig' is not in the view layer" in _export_refused(tmp_path)
    bpy.context.scene.ani3d.armature = None
    assert "No armature is selected" in refused(bpy.ops.ani3d.bind_character)


def test_armatures_that_are_parents_of_each_other_through_constraints(bound, tmp_path):
    """A cycle of dependencies, which Blender itself only warns of."""
    body = bpy.data.objects["Body"]
    body.constraints.new("COPY_LOCATION").target = bpy.data.objects["Skirt"]
    bpy.data.objects["Skirt"].constraints.new("COPY_LOCATION").target = body
    assert _objects(exported(tmp_path)) == ["Body", "Skirt"]


@pytest.mark.parametrize("operator", ["paint_region", "paint_pins"])
@pytest.mark.parametrize("case", ["unknown", "camera", "hidden", "empty", "nothing bound"])
def test_paint_what_cannot_be_painted(addon, operator, case):
    rigs.character(frames=3)
    if case == "hidden":
        bpy.data.objects["Body"].hide_set(True)
    if case != "nothing bound":
        bpy.ops.ani3d.bind_character()
    name = {"unknown": "nobody", "camera": "Camera", "hidden": "Body", "empty": ""}.get(case, "Body")
    if case == "empty":
        bpy.context.scene.ani3d.parts.clear()
    if case == "nothing bound" and operator == "paint_region":
        return  # a region may be painted before Bind
    assert refused(getattr(bpy.ops.ani3d, operator), object=name)


def test_the_active_part_was_deleted(bound):
    bpy.data.objects.remove(bpy.data.objects["Body"])
    bpy.context.scene.ani3d.active_part = 0
    assert refused(bpy.ops.ani3d.paint_region)
    bpy.context.scene.ani3d.active_part = 99
    assert refused(bpy.ops.ani3d.paint_pins)
    with unchanged():
        assert json.dumps([part.name for part in bpy.context.scene.ani3d.parts])
    assert refused(bpy.ops.ani3d.use_guess)
