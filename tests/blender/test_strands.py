"""Hair is read as strands: particles with and without children, hair curves, curves without thickness."""

from __future__ import annotations

import bpy
import numpy as np
import pytest


@pytest.fixture
def strands(part):
    return part("export.hair")


def ball(location=(0.0, 0.0, 1.6)) -> bpy.types.Object:
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.1, location=location)
    return bpy.context.object


def particle_hair(item: bpy.types.Object, count: int = 40, children: str = "NONE") -> bpy.types.ParticleSettings:
    bpy.context.view_layer.objects.active = item
    bpy.ops.object.particle_system_add()
    settings = item.particle_systems[-1].settings
    settings.type, settings.count, settings.hair_length, settings.child_type = "HAIR", count, 0.2, children
    return settings


def hair_curves(lines: list[np.ndarray], name: str = "Hair") -> bpy.types.Object:
    data = bpy.data.hair_curves.new(name)
    data.add_curves([len(line) for line in lines])
    data.points.foreach_set("position", np.concatenate(lines).astype(np.float32).ravel())
    item = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(item)
    return item


def lines_down(count: int = 5, points: int = 4, length: float = 0.3) -> list[np.ndarray]:
    return [np.c_[np.full((points, 2), 0.01 * k), np.linspace(0, -length, points)] for k in range(count)]


def read(strands, item, **limits):
    return strands.read_strands(item, bpy.context.evaluated_depsgraph_get(), **limits)


def lengths(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff(points, axis=1), axis=2).sum(1)


def test_particle_hair_grows_out_of_its_emitter(addon, strands):
    item = ball()
    settings = particle_hair(item)
    settings.root_radius, settings.tip_radius, settings.radius_scale = 1.0, 0.5, 0.002
    (hair,) = read(strands, item)
    assert hair.points.shape == (40, strands.POINTS, 3) and hair.surface == item
    away = np.linalg.norm(hair.points - [0, 0, 1.6], axis=2)
    np.testing.assert_allclose(away[:, 0], 0.1, atol=0.004)
    assert (np.diff(away, axis=1) > 0).all(), "root first"
    np.testing.assert_allclose(lengths(hair.points), 0.2, rtol=0.35)  # Blender's own lengths vary
    np.testing.assert_allclose(hair.thickness[:, [0, -1]], [[0.002, 0.001]] * 40, rtol=1e-4)


def test_children_are_read_and_thinned_out(addon, strands):
    item = ball()
    settings = particle_hair(item, 30, "SIMPLE")
    settings.child_percent, settings.radius_scale, settings.tip_radius = 10, 0.001, 1.0
    (hair,) = read(strands, item)
    assert len(hair.points) == 300
    (few,) = read(strands, item, limit=100)
    assert len(few.points) == 100
    np.testing.assert_allclose(few.thickness, 3 * 0.001, rtol=1e-4)  # each stands for three
    settings.radius_scale = 0.003
    (thick,) = read(strands, item, limit=10)
    assert thick.thickness.max() == pytest.approx(strands.WIDEST), "but not as wide as ropes"


def test_particle_hair_moves_with_its_emitter(addon, strands):
    item = ball()
    particle_hair(item)
    before = read(strands, item)[0].points
    item.location, item.rotation_euler = (1, 2, 3), (0, 0, np.pi / 2)
    bpy.context.view_layer.update()
    after = read(strands, item)[0].points
    turned = (before - [0, 0, 1.6]) @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]) + [1, 2, 3]
    np.testing.assert_allclose(after, turned, atol=1e-4)


def test_what_is_no_hair_has_no_strands(addon, strands):
    item = ball()
    assert read(strands, item) == []
    bpy.ops.object.particle_system_add()  # an emitter
    assert read(strands, item) == []
    settings = item.particle_systems[0].settings
    settings.type, settings.render_type = "HAIR", "OBJECT"
    assert read(strands, item) == []
    settings.render_type = "PATH"
    item.modifiers[0].show_viewport = False
    assert read(strands, item) == []
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "SUN"))
    bpy.context.scene.collection.objects.link(lamp)
    assert read(strands, lamp) == []


def test_two_systems_on_one_head_are_two_heads_of_hair(addon, strands):
    item = ball()
    particle_hair(item, 10)
    second = particle_hair(item, 20)
    for name in ("Skin", "Beard"):
        item.data.materials.append(bpy.data.materials.new(name))
    second.material = 2
    hairs = read(strands, item)
    assert [len(hair.points) for hair in hairs] == [10, 20] and hairs[1].slot == 1


def test_hair_curves_are_read_in_world_space_with_their_radii(addon, strands):
    item = hair_curves(lines_down())
    scalp = ball()
    item.data.surface = scalp
    item.location, item.scale = (0, 0, 2), (2, 2, 2)
    radii = item.data.attributes.new("radius", "FLOAT", "POINT")
    radii.data.foreach_set("value", np.full(20, 0.0004, np.float32))
    bpy.context.view_layer.update()
    (hair,) = read(strands, item)
    assert hair.points.shape == (5, strands.POINTS, 3) and hair.surface == scalp
    np.testing.assert_allclose(hair.points[3, 0], [0.06, 0.06, 2], atol=1e-6)
    np.testing.assert_allclose(hair.points[3, -1], [0.06, 0.06, 1.4], atol=1e-6)
    np.testing.assert_allclose(hair.thickness, 2 * 0.0004 * 2, rtol=1e-4)


def test_hair_curves_of_different_lengths_and_after_their_modifiers(addon, strands):
    item = hair_curves([*lines_down(2, 3), *lines_down(2, 9, 0.6), np.zeros((1, 3))])
    group = bpy.data.node_groups.new("Up", "GeometryNodeTree")
    group.is_modifier = True
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    start, end, move = (
        group.nodes.new(f"{name}") for name in ("NodeGroupInput", "NodeGroupOutput", "GeometryNodeTransform")
    )
    move.inputs["Translation"].default_value = (0, 0, 1)
    group.links.new(start.outputs[0], move.inputs[0])
    group.links.new(move.outputs[0], end.inputs[0])
    item.modifiers.new("Up", "NODES").node_group = group
    (hair,) = read(strands, item)
    np.testing.assert_allclose(lengths(hair.points), [0.3, 0.3, 0.6, 0.6], atol=1e-5)
    np.testing.assert_allclose(hair.points[:, 0, 2], 1, atol=1e-6)
    assert hair.thickness == pytest.approx(strands.DEFAULT_THICKNESS), "without radii as Cycles draws them"


def test_curves_without_thickness_are_strands_and_tubes_are_not(addon, strands):
    data = bpy.data.curves.new("Fringe", "CURVE")
    data.dimensions = "3D"
    for k in range(4):
        spline = data.splines.new("POLY")
        spline.points.add(5)
        line = np.c_[np.full(6, 0.1 * k), np.zeros(6), np.linspace(0, -0.5, 6), np.ones(6)]
        spline.points.foreach_set("co", line.astype(np.float32).ravel())
    item = bpy.data.objects.new("Fringe", data)
    bpy.context.scene.collection.objects.link(item)
    item.location = (0, 0, 1)
    bpy.context.view_layer.update()
    meshes = len(bpy.data.meshes)
    (hair,) = read(strands, item)
    np.testing.assert_allclose(hair.points[:, 0], [[0.1 * k, 0, 1] for k in range(4)], atol=1e-6)
    np.testing.assert_allclose(lengths(hair.points), 0.5, atol=1e-5)
    assert len(bpy.data.meshes) == meshes and (hair.thickness > 0).all()
    data.bevel_depth = 0.01
    bpy.context.view_layer.update()
    assert read(strands, item) == []


def test_curves_without_points_are_no_hair(addon, strands):
    assert read(strands, hair_curves([np.zeros((1, 3))])) == []
    empty = bpy.data.objects.new("Empty", bpy.data.hair_curves.new("Empty"))
    bpy.context.scene.collection.objects.link(empty)
    assert read(strands, empty) == []


def test_hair_curves_are_pinned_at_their_roots_and_where_their_points_say_so(addon, strands):
    item = hair_curves(lines_down(2, 4))
    assert read(strands, item)[0].pins is None
    pins = item.data.attributes.new("ani3d_pin", "FLOAT", "POINT")
    pins.data.foreach_set("value", np.array([0, np.nan, 0, 0, 1, 1, 2, 0.5], np.float32))
    (hair,) = read(strands, item)
    held = hair.pin_weights().reshape(2, strands.POINTS, 2)
    np.testing.assert_array_equal(held[..., 0], held[..., 1])
    np.testing.assert_allclose(held[0, :4, 0], [1, 0.5, 0.25, 0], err_msg="roots")
    assert (held[1, :7] == 1).all() and held[1, -1, 0] == 0.5, "within 0..1, and between points by their shares"


def test_pins_of_another_kind_are_not_those_of_points(addon, strands):
    item = hair_curves(lines_down(2, 4))
    item.data.attributes.new("ani3d_pin", "FLOAT", "CURVE")
    assert read(strands, item)[0].pins is None
