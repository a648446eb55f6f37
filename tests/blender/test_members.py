"""Everything that visibly moves with a character is in the shot, where Blender shows it."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from mathutils import Vector
from posed import assert_as_blender_shows, ball, export, names, on_bone, posed, shown_by_blender


def test_objects_on_bones_and_on_those(addon, part):
    """A hat on the head, a feather on the hat, a sign with text on a constraint, a mirrored pin on the feather."""
    rig = rigs.character()
    hat, feather, ring = ball("Hat", (0, 0, 1.5)), ball("Feather", (0, 0, 1.7)), ball("Ring", (0.3, 0, 0.9))
    on_bone(hat, rig, "head")
    feather.parent, feather.matrix_parent_inverse = hat, hat.matrix_world.inverted()
    feather.scale = (1, -1, 0.5)
    follow = ring.constraints.new("CHILD_OF")
    follow.target, follow.subtarget = rig, "spine"
    empty = bpy.data.objects.new("Handle", None)
    bpy.context.scene.collection.objects.link(empty)
    on_bone(empty, rig, "hips")
    badge = ball("Badge", (0, 0.2, 0.2))
    badge.constraints.new("COPY_TRANSFORMS").target = empty
    ball("Rock", (2, 0, 0))
    rigs.select(rig)
    bpy.ops.ani3d.bind_character()
    shot, warnings = export(part, rig)
    assert names(shot) == ["Badge", "Body", "Feather", "Hat", "Ring", "Skirt"]
    assert warnings == []
    bones, parents = rigs.meta(shot)["bones"], shot["bone_parents"]
    assert bones == ["hips", "spine", "head", "object:Badge", "object:Feather", "object:Hat", "object:Ring"]
    assert parents[3:].tolist() == [0, 2, 2, 1]
    assert_as_blender_shows(shot)
    assert "recorded_vertices" not in shot
    assert np.ptp(posed(shot)[:, -300:], axis=0).max() > 0.1, "they must move, or this says nothing"


@pytest.mark.parametrize("kind", ["CURVE", "FONT", "META", "SURFACE"])
def test_other_kinds_of_objects_become_meshes(addon, part, kind):
    rig = rigs.character()
    if kind == "CURVE":
        bpy.ops.curve.primitive_bezier_circle_add(radius=0.3, location=(0, 0, 1))
        bpy.context.object.data.bevel_depth = 0.03
    elif kind == "FONT":
        bpy.ops.object.text_add(location=(0, -0.3, 1))
    elif kind == "META":
        bpy.ops.object.metaball_add(radius=0.3, location=(0, 0, 1.6))
    else:
        bpy.ops.surface.primitive_nurbs_surface_sphere_add(radius=0.2, location=(0, 0, 1.6))
    item = bpy.context.object
    on_bone(item, rig, "head")
    rigs.select(rig)
    bpy.ops.ani3d.bind_character()
    shot, _ = export(part, rig)
    entry = next(each for each in rigs.meta(shot)["objects"] if each["name"] == item.name)
    rows = slice(entry["vertex_start"], entry["vertex_start"] + entry["vertex_count"])
    for t, frame in enumerate(range(3, 11)):
        bpy.context.scene.frame_set(frame)
        evaluated = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
        mesh = evaluated.to_mesh()
        world = np.array(evaluated.matrix_world)
        local = np.array([v.co for v in mesh.vertices])
        assert np.abs(posed(shot)[t, rows] - (local @ world[:3, :3].T + world[:3, 3])).max() < 1e-4
        evaluated.to_mesh_clear()


def test_a_curve_that_the_armature_bends_is_recorded(addon, part):
    rig = rigs.character()
    curve = bpy.data.curves.new("Ribbon", "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", 0.02
    spline = curve.splines.new("POLY")
    spline.points.add(5)
    for row, point in enumerate(spline.points):
        point.co = (0.1, 0, 0.2 + 0.2 * row, 1)
    ribbon = bpy.data.objects.new("Ribbon", curve)
    bpy.context.scene.collection.objects.link(ribbon)
    ribbon.parent = rig
    modifier = ribbon.modifiers.new("Armature", "ARMATURE")
    modifier.object, modifier.use_bone_envelopes = rig, True
    shot, _ = export(part, rig)
    entry = next(each for each in rigs.meta(shot)["objects"] if each["name"] == "Ribbon")
    assert entry["motion"] == "recorded"
    bpy.context.scene.frame_set(7)
    evaluated = ribbon.evaluated_get(bpy.context.evaluated_depsgraph_get())
    expected = np.array([ribbon.matrix_world @ v.co for v in evaluated.to_mesh().vertices])
    found = posed(shot)[4, entry["vertex_start"] : entry["vertex_start"] + entry["vertex_count"]]
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("frames", [(3, 6), (5, 10)], ids=["first", "last"])
def test_a_size_of_zero_in_some_frames(addon, part, frames):
    """As of a character that pops in or out."""
    rig = rigs.character()
    hat = ball("Hat", (0, 0, 1.5))
    on_bone(hat, rig, "head")
    for frame in range(3, 11):
        rig.scale = [0.0 if frames[0] <= frame <= frames[1] else 1.0] * 3
        rig.keyframe_insert("scale", frame=frame)
    rigs.select(rig)
    bpy.ops.ani3d.bind_character()
    shot, warnings = export(part, rig)
    assert warnings == []
    assert np.abs(np.linalg.det(shot["bone_rest"][:, :3, :3])).min() > 1e-3
    assert_as_blender_shows(shot)


def test_a_size_of_zero_in_all_frames(addon, part):
    rig = rigs.character()
    hat = ball("Hat", (0, 0, 1.5))
    on_bone(hat, rig, "head")
    hat.scale = (0, 1, 1)
    shot, warnings = export(part, rig)
    assert names(shot) == ["Body", "Skirt"]
    assert warnings == ["'Hat' is left out: it is scaled to zero in all frames."]
    rig.scale = (0, 0, 0)
    with pytest.raises(part("export.character").Ani3DError, match="'Rig' is scaled to zero in all frames"):
        export(part, rig)


def test_far_from_the_origin_places_are_relative_to_the_character(addon, part):
    rig = rigs.character()
    camera = bpy.context.scene.camera
    near, _ = export(part, rig)
    for item in (rig, camera):
        item.location += Vector((20_000.0, -65_536.0, 512.0))
    far, _ = export(part, rig)
    origin = rigs.meta(far)["origin"]
    assert np.abs(np.array(origin) - (20_000, -65_536, 512)).max() < 1
    assert np.abs(far["vertices"] - near["vertices"]).max() < 0.02  # Blender itself has steps of 8 mm there
    assert np.abs(far["viewmats"] - near["viewmats"]).max() < 0.02
    assert np.abs(posed(far) - shown_by_blender(far)).max() < 1e-4 * 1.5


def test_a_tiny_character_and_one_whose_bones_walk_away_have_an_origin_too(addon, part):
    rig = rigs.character()
    rig.scale, rig.location = (0.01, 0.01, 0.01), (8, 0, 0)
    tiny, _ = export(part, rig)
    assert np.abs(np.array(rigs.meta(tiny)["origin"]) - (8, 0, 0)).max() < 0.02
    assert np.abs(posed(tiny) - shown_by_blender(tiny)).max() < 2e-6
    rig.scale, rig.location = (1, 1, 1), (0, 0, 0)
    rig.pose.bones["control"].location = (0, 4000, 0)
    away, _ = export(part, rig)
    assert np.linalg.norm(rigs.meta(away)["origin"]) > 3990
    assert np.abs(away["vertices"] + rigs.meta(away)["origin"]).max() < 3, "the rest pose stays at home"
    assert np.abs(away["bone_pose"][..., :3, 3]).max() < 3


def test_hidden_collections_and_objects_export_the_same(addon, part):
    rig = rigs.character()
    collection, outer = bpy.data.collections.new("Hero"), bpy.data.collections.new("Cast")
    bpy.context.scene.collection.children.link(outer)
    outer.children.link(collection)
    for name in ("Rig", "Body", "Skirt"):
        item = bpy.data.objects[name]
        collection.objects.link(item)
        bpy.context.scene.collection.objects.unlink(item)
    expected, _ = export(part, rig)
    layer = bpy.context.view_layer.layer_collection.children["Cast"]
    for owner in (outer, collection, layer, layer.children["Hero"]):
        owner.hide_viewport = True
        found, _ = export(part, rig)
        assert owner.hide_viewport
        owner.hide_viewport = False
        for name in expected:
            assert found[name].tobytes() == expected[name].tobytes(), (owner, name)


def test_what_renders_do_not_show_is_left_out_with_a_reason(addon, part):
    rig = rigs.character()
    proxy = rigs.tube("Proxy", rig, 0.2, 0.0, 1.5)
    proxy.hide_render = True
    shot, warnings = export(part, rig)
    assert names(shot) == ["Body", "Skirt"]
    assert warnings == ["'Proxy' is left out: it is hidden in renders."]


def test_props_that_are_instances_on_a_bone(addon, part):
    """A sword as an instance of its own collection, in the hand."""
    rig = rigs.character()
    sword = bpy.data.collections.new("Sword")
    blade = ball("Blade", (0, 0, 0.3))
    bpy.context.scene.collection.objects.unlink(blade)
    sword.objects.link(blade)
    empty = bpy.data.objects.new("Sword", None)
    empty.instance_type, empty.instance_collection, empty.location = "COLLECTION", sword, (0.3, 0, 1.0)
    bpy.context.scene.collection.objects.link(empty)
    bpy.context.view_layer.update()
    on_bone(empty, rig, "head")
    shot, _ = export(part, rig)
    assert sorted(names(shot)) == ["Blade", "Body", "Skirt"]
    entry = next(each for each in rigs.meta(shot)["objects"] if each["name"] == "Blade")
    rows = slice(entry["vertex_start"], entry["vertex_start"] + entry["vertex_count"])
    bpy.context.scene.frame_set(8)
    bpy.context.view_layer.update()
    each = next(
        (i.matrix_world.copy(), np.array([v.co for v in i.object.data.vertices]))
        for i in bpy.context.evaluated_depsgraph_get().object_instances
        if i.object.name == "Blade"
    )
    world = np.array(each[0])
    assert np.abs(posed(shot)[5, rows] - (each[1] @ world[:3, :3].T + world[:3, 3])).max() < 1e-4


def test_a_child_rig_moves_its_own_meshes(addon, part):
    """A tail with an armature of its own that sits on the hips of the first."""
    rig = rigs.character()
    tail = rigs.armature()
    tail.name, tail.location = "Tail", (0, 0.3, 0.3)
    on_bone(tail, rig, "hips")
    fur = rigs.tube("Fur", tail, 0.05, 0.0, 1.5)
    bone = tail.pose.bones["spine"]
    bone.rotation_mode, bone.rotation_euler = "XYZ", (0.8, 0, 0.3)
    rigs.select(rig)
    bpy.ops.ani3d.bind_character()
    shot, warnings = export(part, rig)
    assert names(shot) == ["Body", "Fur", "Skirt"]
    assert rigs.meta(shot)["bones"] == ["hips", "spine", "head", "Tail:hips", "Tail:spine", "Tail:head"]
    assert fur.name in names(shot) and warnings == []
    assert_as_blender_shows(shot)
    assert "recorded_vertices" not in shot


def test_a_robot_of_rigid_parts(addon, part):
    """No bone deforms anything; parts hang on bones."""
    rig = rigs.character()
    for name in ("Body", "Skirt"):
        bpy.data.objects.remove(bpy.data.objects[name])
    for bone in rig.data.bones:
        bone.use_deform = False
    for bone, height in (("hips", 0.2), ("spine", 0.8), ("head", 1.4)):
        on_bone(ball(f"Part {bone}", (0, 0, height)), rig, bone)
    rigs.select(rig)
    bpy.ops.ani3d.bind_character()
    shot, warnings = export(part, rig)
    assert warnings == []
    assert rigs.meta(shot)["bones"][:3] == ["hips", "spine", "head"]
    assert_as_blender_shows(shot)


def test_odd_meshes_are_left_out_and_the_rest_goes_on(addon, part):
    rig = rigs.character()
    for name, points, edges in (("Nothing", [], []), ("Wire", [(0, 0, 1), (0, 0, 2)], [(0, 1)])):
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata(points, edges, [])
        item = bpy.data.objects.new(name, mesh)
        bpy.context.scene.collection.objects.link(item)
        item.parent = rig
    shot, warnings = export(part, rig)
    assert names(shot) == ["Body", "Skirt"]
    assert warnings == ["'Nothing' is left out: it has no faces.", "'Wire' is left out: it has no faces."]
    for name in ("Body", "Skirt"):
        bpy.data.objects.remove(bpy.data.objects[name])
    with pytest.raises(part("export.character").Ani3DError, match="have no faces: 'Nothing', 'Wire'"):
        export(part, rig)


@pytest.mark.parametrize("place", [float("nan"), float("inf"), 1e30, -1e9])
def test_a_vertex_without_a_finite_place_is_named(addon, part, place):
    rig = rigs.character()
    bpy.data.objects["Skirt"].data.vertices[5].co.x = place
    error = part("export.character").Ani3DError
    with pytest.raises(error, match=r"'Skirt' \(1 of 108\) have no finite place .* vertex 5"):
        export(part, rig)


def test_an_excluded_collection_is_named(addon, part):
    rig = rigs.character()
    collection = bpy.data.collections.new("Hero")
    bpy.context.scene.collection.children.link(collection)
    for name in ("Rig", "Body", "Skirt"):
        collection.objects.link(bpy.data.objects[name])
        bpy.context.scene.collection.objects.unlink(bpy.data.objects[name])
    bpy.context.view_layer.layer_collection.children["Hero"].exclude = True
    with pytest.raises(part("export.character").Ani3DError, match="'Rig' is not in the view layer 'ViewLayer'"):
        export(part, rig)


def test_the_character_need_not_be_selected_where_there_is_one(addon, part):
    rig = rigs.character()
    rigs.select(bpy.context.scene.camera)
    bpy.ops.ani3d.bind_character()
    assert bpy.context.scene.ani3d.armature == rig
