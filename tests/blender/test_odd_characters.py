"""Odd things on a character are taken as Blender shows them, or one sentence tells of them."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from posed import assert_as_blender_shows, ball, export, names


@pytest.fixture
def rig(addon) -> bpy.types.Object:
    return rigs.character(frames=4)


def told(warnings: list[str], *words: str) -> list[str]:
    return [text for text in warnings if all(word in text for word in words)]


@pytest.mark.parametrize("kind", ["VERTS", "FACES"])
@pytest.mark.parametrize("rendered", [True, False])
def test_a_mesh_that_repeats_its_children_is_kept_where_it_is_rendered(rig, part, kind, rendered):
    body, stud = bpy.data.objects["Body"], ball("Stud", (0, 0, 0))
    stud.parent, body.instance_type, body.show_instancer_for_render = body, kind, rendered
    rigs.select(rig)
    shot, warnings = export(part, rig)
    assert names(shot) == (["Body", "Skirt"] if rendered else ["Skirt"])
    assert told(warnings, "'Stud' is left out", "'Body' repeats it")
    assert len(told(warnings, "'Body' is left out", "not rendered itself")) == (not rendered)
    assert len(warnings) == 2 - rendered
    assert_as_blender_shows(shot)


def test_objects_that_particles_show_are_told_as_particles(rig, part):
    body, drop = bpy.data.objects["Body"], ball("Drop", (0, 0, 0))
    body.modifiers.new("Rain", "PARTICLE_SYSTEM")
    settings = body.particle_systems[0].settings
    settings.render_type, settings.instance_object, settings.count = "OBJECT", drop, 10
    settings.frame_start, settings.frame_end = 1, 2
    rigs.select(rig)
    _, warnings = export(part, rig)
    assert told(warnings, "'Body (particles)' is left out", "Make Instances Real")
    assert not told(warnings, "Geometry Nodes")


def test_what_is_hidden_at_some_frames_or_from_the_camera_is_told(rig, part):
    skirt, body = bpy.data.objects["Skirt"], bpy.data.objects["Body"]
    for frame, hidden in ((3, False), (5, True)):
        skirt.hide_render = hidden
        skirt.keyframe_insert("hide_render", frame=frame)
    body.visible_camera = False
    bpy.context.scene.frame_set(3)
    shot, warnings = export(part, rig)
    assert names(shot) == ["Body", "Skirt"]
    assert told(warnings, "'Skirt' is hidden in renders at 2 of 4 frames, first at 5")
    assert told(warnings, "'Body' is hidden from the camera")


@pytest.mark.parametrize("envelopes", [True, False])
def test_a_mesh_without_weights_stays_and_is_told(rig, part, envelopes):
    body = bpy.data.objects["Body"]
    body.vertex_groups.clear()
    body.modifiers["Armature"].use_bone_envelopes = envelopes
    shot, warnings = export(part, rig)
    assert len(told(warnings, "'Body' has no weights for bones of 'Rig'")) == (not envelopes)
    assert not told(warnings, "'Skirt'")
    assert_as_blender_shows(shot)


def test_the_thickness_of_the_bodys_collision_is_kept(rig, part):
    body, skirt = bpy.data.objects["Body"], bpy.data.objects["Skirt"]
    for item in (body, skirt):
        item.modifiers.new("Collision", "COLLISION")
    skirt.collision.thickness_outer = 0.5  # of a garment: not for itself
    entries = {item["name"]: item for item in rigs.meta(export(part, rig)[0])["objects"]}
    assert "thickness" not in entries["Skirt"], "nobody chose the body's"
    body.collision.thickness_outer = 0.03
    entries = {item["name"]: item for item in rigs.meta(export(part, rig)[0])["objects"]}
    assert entries["Skirt"]["thickness"] == pytest.approx(0.03) and "thickness" not in entries["Body"]
    skirt.modifiers.new("Cloth", "CLOTH").collision_settings.distance_min = 0.04
    entries = {item["name"]: item for item in rigs.meta(export(part, rig)[0])["objects"]}
    assert entries["Skirt"]["thickness"] == pytest.approx(0.04), "the cloth asks for more"


def test_hair_is_named_as_such_when_it_is_bound(rig, capfd):
    body = bpy.data.objects["Body"]
    body.modifiers.new("Hair", "PARTICLE_SYSTEM")
    settings = body.particle_systems[0].settings
    settings.type, settings.count = "HAIR", 3
    bpy.ops.ani3d.bind_character()
    assert "in Body, Body hair, Skirt." in capfd.readouterr().out


def test_an_armature_without_bones_that_deform_is_told(rig, part):
    for bone in rig.data.bones:
        bone.use_deform = False
    _, warnings = export(part, rig)
    assert len(told(warnings, "has no weights for bones of 'Rig'")) == 2


def test_a_modifier_that_renders_do_not_show_has_its_weights(rig, part):
    modifier = bpy.data.objects["Body"].modifiers["Armature"]
    modifier.show_render = False
    shot, warnings = export(part, rig)
    assert warnings == [] and "recorded_vertices" not in shot
    assert not modifier.show_render and modifier.show_viewport
    assert_as_blender_shows(shot)


def test_a_text_is_no_instance_of_itself(rig, part):
    bpy.ops.object.text_add(location=(0, -0.3, 1))
    bpy.context.object.parent = rig
    rigs.select(rig)
    shot, warnings = export(part, rig)
    assert names(shot) == ["Body", "Skirt", "Text"] and warnings == []


def deformed_by_two(rig):
    other = rigs.armature()
    other.name = "Second"
    for row, frame in enumerate(range(3, 7)):
        head = other.pose.bones["head"]
        head.rotation_mode, head.rotation_euler = "XYZ", (0, 0.2 * row, 0)
        head.keyframe_insert("rotation_euler", frame=frame)
    bpy.data.objects["Body"].modifiers.new("Second", "ARMATURE").object = other


def mirrored_by_parents(rig):
    top = bpy.data.objects.new("Top", None)
    bpy.context.scene.collection.objects.link(top)
    top.scale, top.rotation_euler, rig.parent = (-1, 1, 1.5), (0.1, 0.2, 0.3), top


def weights_that_are_no_numbers(rig):
    body = bpy.data.objects["Body"]
    body.vertex_groups["head"].add(list(range(5)), float("nan"), "REPLACE")


def driven(rig):
    bone = rig.pose.bones["head"]
    bone.rotation_mode = "XYZ"
    bone.driver_add("rotation_euler", 0).driver.expression = "sin(frame/3)"
    rig.driver_add("scale", 2).driver.expression = "1+frame/50"


def strips(rig):
    data = rig.animation_data
    action = data.action
    track = data.nla_tracks.new()
    strip = track.strips.new("Slow", 3, action)
    strip.scale, strip.use_reverse = 2.0, True
    data.action = None


def no_slot(rig):
    if hasattr(rig.animation_data, "action_slot"):
        rig.animation_data.action_slot = None


def scaled_while_it_moves(rig):
    for frame, scale in ((3, (1, 1, 1)), (6, (0.2, 3, -1))):
        rig.scale = scale
        rig.keyframe_insert("scale", frame=frame)
    skirt = bpy.data.objects["Skirt"]
    for frame, scale in ((3, (1, 1, 1)), (6, (2, 1, 0.5))):
        skirt.scale = scale
        skirt.keyframe_insert("scale", frame=frame)


def shape_keys_by_time(rig):
    skirt = bpy.data.objects["Skirt"]
    skirt.shape_key_add(name="Long")
    for point in skirt.shape_key_add(name="Short").data:
        point.co.z += 0.1
    keys = skirt.data.shape_keys
    keys.use_relative = False
    for frame, time in ((3, 0), (6, 10)):
        keys.eval_time = time
        keys.keyframe_insert("eval_time", frame=frame)


def slots_that_are_not(rig):
    body, skirt = bpy.data.objects["Body"].data, bpy.data.objects["Skirt"].data
    body.materials.append(None)
    skirt.polygons.foreach_set("material_index", [7] * len(skirt.polygons))


KINDS = (
    deformed_by_two, mirrored_by_parents, weights_that_are_no_numbers, driven, strips, no_slot, scaled_while_it_moves,
    shape_keys_by_time, slots_that_are_not,
)  # fmt: skip


@pytest.mark.parametrize("make", KINDS)
def test_odd_characters_are_as_blender_shows_them(rig, part, make):
    make(rig)
    rigs.select(rig)
    bpy.ops.ani3d.bind_character()
    shot, warnings = export(part, rig)
    assert names(shot) == ["Body", "Skirt"] and warnings == []
    assert all(np.isfinite(array).all() for name, array in shot.items() if array.dtype.kind == "f")
    assert_as_blender_shows(shot)
