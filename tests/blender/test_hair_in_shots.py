"""Hair on a character reaches the shot: as strands with a region, pins at the roots and the weights of the scalp."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs

from ani3d_formats.shot import Shot


def haired(part, evaluate=False):
    rig = bpy.data.objects["Rig"]
    warnings: list[str] = []
    arrays = part("export").export_shot(bpy.context, rig, on_warning=warnings.append, evaluate=evaluate)
    shot = Shot.from_arrays(arrays)
    return shot, {item.name: item for item in shot.meta.objects}, warnings


def particle_hair(name="Body", count=30):
    item = bpy.data.objects[name]
    bpy.context.view_layer.objects.active = item
    bpy.ops.object.particle_system_add()
    settings = item.particle_systems[-1].settings
    settings.type, settings.count, settings.hair_length = "HAIR", count, 0.1
    group = item.vertex_groups.new(name="Scalp")
    group.add([v.index for v in item.data.vertices if v.co.z > 1.3], 1, "REPLACE")
    item.particle_systems[-1].vertex_group_density = "Scalp"
    return item


@pytest.fixture
def rig(addon):
    return rigs.character()


def test_particle_hair_is_an_object_of_strands(rig, part):
    particle_hair()
    shot, items, warnings = haired(part)
    hair = items["Body hair"]
    assert hair.strands == 10 and hair.vertex_count == 30 * 10 * 2
    assert (shot["region_ids"][hair.rows] == 2).all() and (shot["region_ids"][items["Body"].rows] != 2).all()
    pins = shot["pin_weights"][hair.rows].reshape(30, 10, 2)
    np.testing.assert_array_equal(pins[:, :4, 0], np.tile([1, 0.5, 0.25, 0], (30, 1)))
    assert not [w for w in warnings if "hair" in w]
    weights = shot["weight_values"][hair.rows].reshape(30, 20, -1)
    assert (weights == weights[:, :1]).all(), "a strand hangs on what its root hangs on"
    roots = shot["vertices"][hair.rows].reshape(30, 10, 2, 3).mean(2)[:, 0]
    assert roots[:, 2].min() > 1.1 and np.abs(np.hypot(roots[:, 0], roots[:, 1]) - 0.15).max() < 0.02
    assert len(bpy.data.meshes) == 2


def test_bind_lists_hair_beside_the_body_that_it_grows_on(rig):
    particle_hair()
    for _ in range(2):
        bpy.ops.ani3d.bind_character(armature=rig.name)
        rows = [(p.name, p.strands, p.region) for p in bpy.context.scene.ani3d.parts if not p.left_out]
        assert rows == [("Body", False, "body"), ("Body", True, "hair"), ("Skirt", False, "garment")]


def test_its_motion_is_that_of_blender(rig, part):
    particle_hair()
    shot, items, _ = haired(part, evaluate=True)
    hair = items["Body hair"]
    rows = hair.rows
    shown = shot["evaluated_vertices"][:, rows]
    skinned = np.stack([rigs.skinned(shot.arrays, t)[rows] for t in range(shot.frames)])
    height = np.ptp(shot["vertices"], axis=0).max()
    assert np.abs(np.diff(shown, axis=0)).max() > 0.02
    assert hair.motion == "recorded" or np.abs(shown - skinned).max() < 0.05 * height


def test_hair_curves_on_the_character_are_strands(rig, part):
    data = bpy.data.hair_curves.new("Fringe")
    data.add_curves([5] * 6)
    lines = [np.c_[np.full(5, 0.02 * k), np.full(5, -0.16), np.linspace(1.45, 1.2, 5)] for k in range(6)]
    data.points.foreach_set("position", np.concatenate(lines).astype(np.float32).ravel())
    data.surface = bpy.data.objects["Body"]
    data.attributes.new("ani3d_pin", "FLOAT", "POINT").data.foreach_set("value", np.tile([1, 1, 1, 0, 0], 6))
    item = bpy.data.objects.new("Fringe", data)
    bpy.context.scene.collection.objects.link(item)
    item.parent, item.parent_type, item.parent_bone = rig, "BONE", "head"
    bpy.context.view_layer.update()
    item.matrix_world.identity()
    bpy.context.view_layer.update()
    shot, items, _ = haired(part, evaluate=True)
    fringe = items["Fringe"]
    assert fringe.strands == 10 and (shot["region_ids"][fringe.rows] == 2).all()
    pins = shot["pin_weights"][fringe.rows].reshape(6, 10, 2)
    assert (pins[:, :5] == 1).all() and (pins[:, 7:] == 0).all()
    skinned = np.stack([rigs.skinned(shot.arrays, t)[fringe.rows] for t in range(shot.frames)])
    if fringe.motion == "skinned":
        np.testing.assert_allclose(skinned, shot["evaluated_vertices"][:, fringe.rows], atol=1e-4)


def test_an_emitter_that_is_not_rendered_leaves_only_its_hair(rig, part):
    item = particle_hair("Skirt", 10)
    item.show_instancer_for_render = False
    _, items, _ = haired(part)
    assert set(items) == {"Body", "Skirt hair"}


def test_two_heads_of_hair_have_two_names(rig, part):
    particle_hair(count=5)
    particle_hair(count=6)
    _, items, _ = haired(part)
    counts = sorted(item.vertex_count for item in items.values() if item.strands)
    assert counts == [100, 120] and len(items) == 4


def test_a_shot_of_some_objects_alone_has_no_hair(rig, part):
    particle_hair()
    body = bpy.data.objects["Body"]
    shot = Shot.from_arrays(part("export").export_shot(bpy.context, rig, only=[body]))
    assert [item.name for item in shot.meta.objects] == ["Body"]


@pytest.mark.parametrize("node", ["ShaderNodeBsdfHairPrincipled", "ShaderNodeBsdfPrincipled"])
def test_hair_has_the_colour_of_its_material(rig, part, node):
    item = particle_hair()
    for name in ("Skin", "Strands"):
        item.data.materials.append(bpy.data.materials.new(name))
    material = item.data.materials[1]
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    tree = material.node_tree
    shader = tree.nodes.new(node)
    shader.inputs[0].default_value = (0.4, 0.1, 0.02, 1)
    tree.links.new(shader.outputs[0], next(n for n in tree.nodes if n.type == "OUTPUT_MATERIAL").inputs[0])
    item.particle_systems[0].settings.material = 2
    shot, items, _ = haired(part)
    rows = items["Body hair"].rows
    own = (shot["faces"][:, 0] >= rows.start) & (shot["faces"][:, 0] < rows.stop)
    used = {shot.meta.materials[m] for m in np.unique(shot["face_materials"][own])}
    assert len(used) == 1 and next(iter(used)).name.startswith("Strands")
    color = next(iter(used)).base_color
    np.testing.assert_allclose(color, (0.4, 0.1, 0.02), atol=0.02)
