"""What only leads or is put on a character is no part of it, and is told; what has no size breaks nothing."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from posed import assert_as_blender_shows, ball, export, names, on_bone


@pytest.fixture
def rig(addon) -> bpy.types.Object:
    return rigs.character()


def path(rig: bpy.types.Object) -> bpy.types.Object:
    """A curve without thickness that hangs on the armature."""
    data = bpy.data.curves.new("Path", "CURVE")
    data.dimensions = "3D"
    spline = data.splines.new("BEZIER")
    spline.bezier_points.add(1)
    spline.bezier_points[1].co = (0, 0.2, 1.5)
    item = bpy.data.objects.new("Path", data)
    bpy.context.scene.collection.objects.link(item)
    item.parent = rig
    return item


def bends(rig, item):
    ball("Tail", (0, 0, 0)).modifiers.new("Bend", "CURVE").object = item


def is_followed(rig, item):
    ball("Bird", (0, 0, 1)).constraints.new("FOLLOW_PATH").target = item


def clamps(rig, item):
    ball("Bead", (0, 0, 1)).constraints.new("CLAMP_TO").target = item


def moves_bones(rig, item):
    constraint = rig.pose.bones["head"].constraints.new("SPLINE_IK")
    constraint.target, constraint.chain_count = item, 2


def shapes_another(rig, item):
    other = path(rig)
    other.name, other.data.bevel_mode, other.data.bevel_object = "Cable", "OBJECT", item


@pytest.mark.parametrize("lead", [bends, is_followed, clamps, moves_bones, shapes_another])
def test_a_curve_that_leads_something_is_no_hair(rig, part, lead):
    lead(rig, path(rig))
    shot, warnings = export(part, rig)
    assert "Path" not in names(shot)
    assert [text for text in warnings if text.startswith("'Path' is left out: something else goes along it")]


def test_a_curve_that_leads_nothing_is_hair(rig, part):
    path(rig)
    assert "Path" in names(export(part, rig)[0])


def on_points(realized: bool) -> None:
    """Nodes that put a ball on each point of the body."""
    leaf = ball("Leaf", (0, 0, 0))
    leaf.hide_render = True
    tree = bpy.data.node_groups.new("Leaves", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    start, end, join, info, points, realize = (
        tree.nodes.new(name)
        for name in (
            "NodeGroupInput", "NodeGroupOutput", "GeometryNodeJoinGeometry", "GeometryNodeObjectInfo",
            "GeometryNodeInstanceOnPoints", "GeometryNodeRealizeInstances",
        )
    )  # fmt: skip
    info.inputs[0].default_value = leaf
    tree.links.new(start.outputs[0], points.inputs["Points"])
    tree.links.new(info.outputs["Geometry"], points.inputs["Instance"])
    tree.links.new(start.outputs[0], join.inputs[0])
    tree.links.new(points.outputs[0], join.inputs[0])
    last = join
    if realized:
        tree.links.new(join.outputs[0], realize.inputs[0])
        last = realize
    tree.links.new(last.outputs[0], end.inputs[0])
    bpy.data.objects["Body"].modifiers.new("Leaves", "NODES").node_group = tree


@pytest.mark.parametrize("realized", [True, False])
def test_instances_by_nodes_are_taken_where_they_are_real_and_told_where_not(rig, part, realized):
    on_points(realized)
    shot, warnings = export(part, rig)
    count = {item["name"]: item["vertex_count"] for item in rigs.meta(shot)["objects"]}["Body"]
    told = [text for text in warnings if "'Body (instances)' is left out" in text and "Realize Instances" in text]
    assert (count > 1000, len(told)) == ((True, 0) if realized else (False, 1))
    if realized:
        assert_as_blender_shows(shot)


def test_bind_tells_of_instances_and_leads_too(rig, session):
    on_points(False)
    bends(rig, path(rig))
    bpy.ops.ani3d.bind_character(armature="Rig")
    told = " ".join(session.warnings["Bind Character"])
    assert "'Body (instances)'" in told and "'Path'" in told


@pytest.mark.parametrize("kind", ["curves", "particles"])
def test_hair_that_shrinks_to_nothing_breaks_nothing(rig, part, kind):
    body = bpy.data.objects["Body"]
    if kind == "curves":
        data = bpy.data.hair_curves.new("Tuft")
        data.add_curves([3])
        data.points.foreach_set("position", np.float32([0, 0, 1.5, 0, 0, 1.6, 0, 0, 1.7]))
        data.surface = body
        item = bpy.data.objects.new("Tuft", data)
        bpy.context.scene.collection.objects.link(item)
        item.parent = body
    else:
        item = ball("Wig", (0, 0, 1.5))
        on_bone(item, rig, "head")
        bpy.context.view_layer.objects.active = item
        bpy.ops.object.particle_system_add()
        settings = item.particle_systems[-1].settings
        settings.type, settings.count, settings.hair_length = "HAIR", 10, 0.1
    for frame, size in ((3, 1.0), (10, 0.0)):
        item.scale = (size, size, size)
        item.keyframe_insert("scale", frame=frame)
    shot, _ = export(part, rig)
    assert any(o.get("strands") for o in rigs.meta(shot)["objects"])
    assert all(np.isfinite(array).all() for array in shot.values() if array.dtype.kind == "f")
