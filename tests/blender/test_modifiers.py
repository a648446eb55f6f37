"""Whatever modifiers do to a mesh, the shot has it as Blender shows it."""

from __future__ import annotations

import bpy
import pytest
import rigs
from posed import assert_as_blender_shows, ball, export, names, nearest, posed


def subdivided(item):
    item.modifiers.new("Fine", "SUBSURF").levels = 1


def mirrored(item):
    item.modifiers.new("Mirror", "MIRROR").use_axis = (True, False, False)


def thick(item):
    item.modifiers.new("Thick", "SOLIDIFY").thickness = 0.02


def welded(item):
    item.modifiers.new("Weld", "WELD").merge_threshold = 0.106


def masked(item):
    item.modifiers.new("Mask", "MASK").vertex_group = "spine"


def all_of_them(item):
    for add in (mirrored, subdivided, thick, welded):
        add(item)


@pytest.mark.parametrize("add", [subdivided, mirrored, thick, welded, masked, all_of_them])
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_modifiers_that_make_vertices(addon, part, add, first):
    """Before the armature they are only followed; after it the object is recorded, where that differs.

    Vertices that a modifier merges in some poses alone are kept, so Blender's are among the shot's.
    """
    rig = rigs.character()
    skirt = bpy.data.objects["Skirt"]
    add(skirt)
    if first:
        skirt.modifiers.move(0, len(skirt.modifiers) - 1)
    before = [(m.name, m.show_viewport, getattr(m, "use_mirror_merge", None)) for m in skirt.modifiers]
    bpy.ops.ani3d.bind_character()
    shot, warnings = export(part, rig)
    assert warnings == []
    assert before == [(m.name, m.show_viewport, getattr(m, "use_mirror_merge", None)) for m in skirt.modifiers]
    if first:
        assert rigs.meta(shot)["objects"][1]["vertex_count"] != 108
        assert "recorded_vertices" not in shot
        assert_as_blender_shows(shot)
    for t, frame in enumerate(range(3, 11)):
        bpy.context.scene.frame_set(frame)
        away = nearest(rigs.evaluated_vertices(skirt), posed(shot)[t])
        assert away.max() < (0.106 if add in (welded, all_of_them) else 1.1e-3)  # within what is merged


def test_vertices_that_come_and_go_follow_the_weights_with_a_warning(addon, part):
    rig = rigs.character()
    lump = ball("Lump", (0, 0, 0.9))
    lump.scale = (2, 2, 6)
    lump.vertex_groups.new(name="spine").add(range(len(lump.data.vertices)), 1.0, "REPLACE")
    lump.modifiers.new("Armature", "ARMATURE").object = rig
    remesh = lump.modifiers.new("Remesh", "REMESH")
    remesh.mode, remesh.voxel_size = "VOXEL", 0.01
    shot, warnings = export(part, rig)
    assert len(warnings) == 1 and "The modifiers of 'Lump' ('Remesh' is among them) make other vertices" in warnings[0]
    assert remesh.show_viewport
    entry = next(each for each in rigs.meta(shot)["objects"] if each["name"] == "Lump")
    assert entry.get("motion", "skinned") == "skinned"
    bpy.context.scene.frame_set(9)
    away = nearest(rigs.evaluated_vertices(lump), posed(shot)[6, entry["vertex_start"] :][: entry["vertex_count"]])
    assert away.max() < 0.05  # a voxel is 0.06 m high


def two_armatures(rig, item):
    item.modifiers.new("Second", "ARMATURE").object = rig


def limited(rig, item):
    item.modifiers["Armature"].vertex_group = "spine"


def envelopes(rig, item):
    item.modifiers["Armature"].use_bone_envelopes = True
    item.modifiers["Armature"].use_vertex_groups = False


def moving_keys(rig, item):
    item.shape_key_add(name="Basis")
    wide = item.shape_key_add(name="Wide")
    for point in wide.data:
        point.co.x *= 1.5
    driver = wide.driver_add("value").driver
    driver.type, driver.expression = "SCRIPTED", "(frame - 3) / 7"


def bendy(rig, item):
    rig.data.bones["spine"].bbone_segments = 6
    rig.pose.bones["spine"].bbone_curveinx = 0.4


def wavy(rig, item):
    item.modifiers.new("Wave", "WAVE").height = 0.1


def stretched(rig, item):
    rig.pose.bones["spine"].scale = (1.0, 1.6, 0.7)


def squashed_parent(rig, item):
    """The rig sheared by a turned parent of uneven scale."""
    empty = bpy.data.objects.new("Squash", None)
    bpy.context.scene.collection.objects.link(empty)
    empty.scale, empty.rotation_euler = (1, 1.5, 0.8), (0, 0.4, 0.3)
    rig.parent = empty


def sliding(rig, item):
    for frame in (3, 10):
        item.location.x = 0.02 * frame
        item.keyframe_insert("location", frame=frame)


def without_weights(rig, item):
    for group in item.vertex_groups:
        group.remove(range(10))


def parented_only(rig, item):
    item.modifiers.clear()
    item.parent_type = "ARMATURE"


def volume(rig, item):
    item.modifiers["Armature"].use_deform_preserve_volume = True
    rig.pose.bones["spine"].scale = (-1.0, 1.6, 0.7)


def surface_deformed(rig, item):
    item.modifiers.clear()
    item.parent = None
    item.location.x += 0.01
    follow = item.modifiers.new("Follow", "SURFACE_DEFORM")
    follow.target = bpy.data.objects["Body"]
    rig.data.pose_position = "REST"
    bpy.context.view_layer.update()
    with bpy.context.temp_override(object=item, active_object=item, selected_objects=[item]):
        bpy.ops.object.surfacedeform_bind(modifier="Follow")
    rig.data.pose_position = "POSE"
    assert follow.is_bound


def smooth_by_angle(rig, item):
    tree = bpy.data.node_groups.new("Smooth by Angle", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    smooth = tree.nodes.new("GeometryNodeSetShadeSmooth")
    tree.links.new(tree.nodes.new("NodeGroupInput").outputs[0], smooth.inputs[0])
    tree.links.new(smooth.outputs[0], tree.nodes.new("NodeGroupOutput").inputs[0])
    item.modifiers.new("Smooth by Angle", "NODES").node_group = tree
    item.modifiers.move(1, 0)


EITHER = [
    (two_armatures, True), (limited, None), (envelopes, True), (moving_keys, True), (bendy, True), (wavy, True),
    (stretched, False), (squashed_parent, False), (sliding, True), (without_weights, False), (parented_only, False),
    (volume, None), (surface_deformed, True), (smooth_by_angle, False),
]  # fmt: skip


@pytest.mark.parametrize(("change", "recorded"), EITHER, ids=[change.__name__ for change, _ in EITHER])
def test_however_it_moves_the_shot_has_it(addon, part, change, recorded):
    """`recorded`: whether skinning cannot express it; None where either may be."""
    rig = rigs.character()
    change(rig, bpy.data.objects["Skirt"])
    rigs.select(rig)
    bpy.ops.ani3d.bind_character()
    shot, warnings = export(part, rig)
    assert warnings == []
    assert names(shot) == ["Body", "Skirt"]
    assert_as_blender_shows(shot)
    skirt = rigs.meta(shot)["objects"][1]
    if recorded is not None:
        assert (skirt.get("motion") == "recorded") == recorded
