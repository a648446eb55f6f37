"""Hair that Blender itself does not move with the skin follows it in the shot, and where Blender moves it, as there."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs
from posed import export, posed

from ani3d_formats.shot_meta import ShotMeta

POINTS = 10  # of each strand in a shot
ROOTS = 12


def deforming_nodes(item: bpy.types.Object) -> None:
    """What Blender's own Add > Curve > Empty Hair puts on curves: Deform Curves on Surface."""
    tree = bpy.data.node_groups.new("Deform", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    start, end, move = (
        tree.nodes.new(name) for name in ("NodeGroupInput", "NodeGroupOutput", "GeometryNodeDeformCurvesOnSurface")
    )
    tree.links.new(start.outputs[0], move.inputs[0])
    tree.links.new(move.outputs[0], end.inputs[0])
    item.modifiers.new("Deform", "NODES").node_group = tree
    item.data.surface.add_rest_position_attribute = True


def mapped(body: bpy.types.Object) -> None:
    """A UV map of the tube by angle and height, with no two places alike."""
    layer = body.data.uv_layers[0].data
    for polygon in body.data.polygons:
        angles = []
        for loop in polygon.loop_indices:
            point = body.data.vertices[body.data.loops[loop].vertex_index].co
            angles.append(np.arctan2(point.y, point.x) / (2 * np.pi) % 1)
        for loop, angle in zip(polygon.loop_indices, angles, strict=True):
            height = body.data.vertices[body.data.loops[loop].vertex_index].co.z / 1.5
            layer[loop].uv = (angle + (1 if max(angles) - angle > 0.5 else 0), height)


def fringe(body: bpy.types.Object, attached: bool = True, high: float = 1.2) -> bpy.types.Object:
    """Curves that grow straight out of the tube at `high`, attached by its UV map, hanging on the mesh as on Add."""
    mapped(body)
    data = bpy.data.hair_curves.new("Fringe")
    data.add_curves([5] * ROOTS)
    angles = (np.arange(ROOTS) + 0.5) * 2 * np.pi / ROOTS  # in the middles of the faces, which are flat
    inner = 0.15 * np.cos(np.pi / 12)
    outwards = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1)
    lines = outwards[:, None] * np.linspace(inner, inner + 0.1, 5)[None, :, None] + [0, 0, high]
    data.points.foreach_set("position", lines.astype(np.float32).ravel())
    if attached:
        where = data.attributes.new("surface_uv_coordinate", "FLOAT2", "CURVE")
        places = np.stack([angles / (2 * np.pi), np.full(ROOTS, high / 1.5)], 1)
        where.data.foreach_set("vector", places.astype(np.float32).ravel())
        data.surface_uv_map = body.data.uv_layers[0].name
    data.surface = body
    item = bpy.data.objects.new("Fringe", data)
    bpy.context.scene.collection.objects.link(item)
    item.parent = body
    return item


def strands(shot, name: str = "Fringe") -> np.ndarray:
    """(T,S,P,3) middles of the ribbons of an object as a reader of the shot gets them."""
    rows = next(o for o in ShotMeta.read(rigs.meta(shot)).objects if o.name == name).rows
    points = posed(shot)[:, rows]
    return points.reshape(len(points), -1, POINTS, 2, 3).mean(3)


def skin_under(body: bpy.types.Object, places: np.ndarray) -> np.ndarray:
    """Distance of points (T,N,3) from the body as Blender shows it, at each frame of the scene."""
    far = []
    for frame, points in zip(range(3, 3 + len(places)), places, strict=True):
        bpy.context.scene.frame_set(frame)
        evaluated = body.evaluated_get(bpy.context.evaluated_depsgraph_get())
        inverse = evaluated.matrix_world.inverted()
        local = [inverse @ bpy_vector(point) for point in points]
        far.append([(evaluated.closest_point_on_mesh(p)[1] - p).length for p in local])
    return np.array(far)


def bpy_vector(point):
    from mathutils import Vector

    return Vector(point.tolist())


@pytest.fixture
def body(addon) -> bpy.types.Object:
    rigs.character()
    return bpy.data.objects["Body"]


@pytest.mark.parametrize("attached", [True, False])
def test_curves_without_a_deforming_node_move_as_blender_would_move_them_with_one(body, part, attached):
    rig, item = bpy.data.objects["Rig"], fringe(body, attached)
    ours, warnings = export(part, rig)
    assert [w for w in warnings if "leaves the hair of 'Fringe' behind" in w]
    assert np.ptp(strands(ours)[:, 0, 0], axis=0).max() > 0.1 and skin_under(body, strands(ours)[:, :, 0]).max() < 2e-3
    if not attached:
        fringe_with_places = fringe(body)  # what Blender needs to do it
        bpy.data.objects.remove(item)
        item, fringe_with_places.name = fringe_with_places, "Fringe"
    deforming_nodes(item)
    blender, warnings = export(part, rig)
    assert not [w for w in warnings if "behind" in w]
    assert np.abs(strands(ours) - strands(blender)).max() < 4e-3  # of 1.5 m: what strands are compared to


def test_the_surface_carries_curves_exactly_as_the_node_does(body, part):
    """Where skinning cannot say it: a shape key bulges the surface."""
    body.shape_key_add(name="Basis")
    bulge = body.shape_key_add(name="Bulge")
    for point in bulge.data:
        point.co.x *= 1.5
    for frame, value in ((3, 0), (10, 1)):
        bulge.value = value
        bulge.keyframe_insert("value", frame=frame)
    rig, item = bpy.data.objects["Rig"], fringe(body)
    ours, _ = export(part, rig)
    deforming_nodes(item)
    blender, warnings = export(part, rig)
    assert not [w for w in warnings if "behind" in w]
    np.testing.assert_allclose(strands(ours), strands(blender), atol=2e-4)
    assert np.abs(np.diff(strands(ours), axis=0)).max() > 0.05


@pytest.mark.parametrize("parent", ["none", "armature"])
def test_curves_follow_the_surface_that_they_name_wherever_they_hang(body, part, parent):
    item = fringe(body)
    item.parent = bpy.data.objects["Rig"] if parent == "armature" else None
    shot, _ = export(part, bpy.data.objects["Rig"])
    assert skin_under(body, strands(shot)[:, :, 0]).max() < 2e-3


def test_curves_on_a_bone_stay_on_the_bone(body, part):
    rig, item = bpy.data.objects["Rig"], fringe(body)
    bpy.context.scene.frame_set(3)
    item.parent, item.parent_type, item.parent_bone = rig, "BONE", "head"
    shot, warnings = export(part, rig)
    assert not [w for w in warnings if "behind" in w]
    for t, frame in enumerate(range(3, 11)):
        bpy.context.scene.frame_set(frame)
        world = np.array(item.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world)
        root = np.array(item.data.points[0].position) @ world[:3, :3].T + world[:3, 3]
        np.testing.assert_allclose(strands(shot)[t, 0, 0], root, atol=1e-4)


def test_curves_follow_a_surface_that_is_not_rendered(body, part):
    """A scalp made only to grow hair on."""
    scalp = body.copy()
    scalp.name, scalp.hide_render = "Scalp", True
    bpy.context.scene.collection.objects.link(scalp)
    item = fringe(body)
    item.data.surface = item.parent = scalp
    shot, _ = export(part, bpy.data.objects["Rig"])
    assert "Scalp" not in [o["name"] for o in rigs.meta(shot)["objects"]]
    assert skin_under(body, strands(shot)[:, :, 0]).max() < 2e-3


def test_curves_follow_a_rigid_head_that_hangs_on_a_bone(body, part):
    rig = bpy.data.objects["Rig"]
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.2, location=(0, 0, 1.6), segments=12, ring_count=8)
    head = bpy.context.object
    head.name = "Head"
    bpy.context.scene.frame_set(3)
    bpy.context.view_layer.update()
    world = head.matrix_world.copy()
    head.parent, head.parent_type, head.parent_bone = rig, "BONE", "head"
    head.matrix_world = world
    data = bpy.data.hair_curves.new("Tuft")
    data.add_curves([3])
    data.points.foreach_set("position", np.array([[0, 0, 1.8], [0, 0, 1.9], [0, 0, 2.0]], np.float32).ravel())
    data.surface = head
    item = bpy.data.objects.new("Tuft", data)
    bpy.context.scene.collection.objects.link(item)
    shot, _ = export(part, rig)
    roots = strands(shot, "Tuft")[:, :, 0]
    assert skin_under(head, roots).max() < 1e-3 and np.ptp(roots, axis=0).max() > 0.1


def test_threads_that_touch_their_parent_follow_it_and_others_keep_their_place(body, part):
    data = bpy.data.curves.new("Threads", "CURVE")
    data.dimensions = "3D"
    spline = data.splines.new("POLY")
    spline.points.add(3)
    line = np.c_[np.linspace(0.15, 0.35, 4), np.zeros(4), np.full(4, 1.2), np.ones(4)]
    spline.points.foreach_set("co", line.astype(np.float32).ravel())
    near = bpy.data.objects.new("Threads", data)
    far = bpy.data.objects.new("Far", data.copy())
    for item, place in ((near, (0, 0, 0)), (far, (0.5, 0, 0))):
        bpy.context.scene.collection.objects.link(item)
        item.parent, item.location = body, place
    shot, warnings = export(part, bpy.data.objects["Rig"])
    assert skin_under(body, strands(shot, "Threads")[:, :, 0]).max() < 5e-3
    assert [w for w in warnings if "behind" in w] == [w for w in warnings if "'Threads' behind" in w] != []
    still = strands(shot, "Far")
    np.testing.assert_allclose(still, np.broadcast_to(still[:1], still.shape), atol=1e-5)


@pytest.mark.parametrize("order", ["before", "after"])
def test_particle_hair_follows_its_emitter_wherever_its_modifier_stands(body, part, order):
    """Before the armature Blender shows the hair where the body was; nobody means that."""
    bpy.context.view_layer.objects.active = body
    bpy.ops.object.particle_system_add()
    settings = body.particle_systems[-1].settings
    settings.type, settings.count, settings.hair_length = "HAIR", 20, 0.1
    body.vertex_groups.new(name="Scalp").add([v.index for v in body.data.vertices if v.co.z > 1.0], 1, "REPLACE")
    body.particle_systems[-1].vertex_group_density = "Scalp"
    if order == "before":
        body.modifiers.move(len(body.modifiers) - 1, 0)
    shot, _ = export(part, bpy.data.objects["Rig"])
    assert skin_under(body, strands(shot, "Body hair")[:, :, 0]).max() < 3e-3


def test_a_shot_as_in_blender_has_the_hair_where_blender_has_it(body, part):
    item = fringe(body)
    shot, _ = export(part, bpy.data.objects["Rig"], evaluate=True)
    rows = next(o for o in ShotMeta.read(rigs.meta(shot)).objects if o.name == "Fringe").rows
    roots = shot["evaluated_vertices"][:, rows].reshape(8, ROOTS, POINTS, 2, 3)[:, :, 0].mean(2)
    np.testing.assert_allclose(roots, np.broadcast_to(roots[:1], roots.shape), atol=1e-5)
    assert item.data.surface == body
