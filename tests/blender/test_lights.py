"""Exported lights shade as Cycles does; what cannot be exported is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs

NORMAL = np.array([0.0, 0.0, 1.0])


@pytest.fixture
def floor(addon):
    """A white floor that a camera looks down on, a sun and a black world; the sun."""
    scene = bpy.context.scene
    bpy.ops.mesh.primitive_plane_add(size=20)
    material = bpy.data.materials.new("White")
    if material.node_tree is None:
        material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    white, output = nodes.new("ShaderNodeBsdfDiffuse"), nodes.new("ShaderNodeOutputMaterial")
    white.inputs["Color"].default_value = (1, 1, 1, 1)
    material.node_tree.links.new(white.outputs[0], output.inputs[0])
    bpy.context.object.data.materials.append(material)
    eye = rigs.camera((0, 0, 5))
    eye.rotation_euler = (0, 0, 0)
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    scene.collection.objects.link(sun)
    sun.rotation_euler, sun.data.energy, sun.data.color = (0.5, 0.2, 0.0), 0.4, (1.0, 0.5, 0.25)
    scene.world = bpy.data.worlds.new("World")
    scene.world.color = (0, 0, 0)
    if scene.world.node_tree:
        scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0, 0, 0, 1)
    bpy.context.view_layer.update()
    return sun


def _rendered(tmp_path: Path) -> np.ndarray:
    """What Cycles makes of the floor: its radiance (3,)."""
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 4, False
    scene.render.resolution_x = scene.render.resolution_y = 8
    scene.render.resolution_percentage, scene.view_settings.view_transform = 100, "Raw"
    scene.render.image_settings.file_format, scene.render.filepath = "OPEN_EXR", str(tmp_path / "floor.exr")
    bpy.ops.render.render(write_still=True)
    picture = bpy.data.images.load(str(tmp_path / "floor.exr"))
    picture.colorspace_settings.name = "Non-Color"
    return np.array(picture.pixels[:]).reshape(-1, 4)[:, :3].mean(axis=0)


def _read(part):
    return part("export.lights").read_lights(bpy.context.scene, bpy.context.evaluated_depsgraph_get())


def _shaded(lighting) -> np.ndarray:
    """Radiance (3,) of the white floor under the exported suns, by Lambert's law."""
    cosines = np.maximum(0, -lighting.sun_directions @ NORMAL)
    return cosines @ lighting.sun_colors / np.pi


def _in_collection(sun: bpy.types.Object) -> bpy.types.Collection:
    collection = bpy.data.collections.new("Lights")
    bpy.context.scene.collection.children.link(collection)
    collection.objects.link(sun)
    bpy.context.scene.collection.objects.unlink(sun)
    return collection


def _temperature(sun):
    sun.data.use_temperature, sun.data.temperature = True, 3000


def _exposure(sun):
    sun.data.exposure = 1.5


def _nodes(sun):
    if sun.data.node_tree is None:
        sun.data.use_nodes = True
    emission = next(node for node in sun.data.node_tree.nodes if node.type == "EMISSION")
    emission.inputs["Color"].default_value, emission.inputs["Strength"].default_value = (0.2, 0.9, 0.4, 1), 1.7


def _nodes_switched_off(sun):
    _nodes(sun)
    if bpy.app.version < (5, 3):
        sun.data.use_nodes = False


def _mirrored(sun):
    sun.scale = (-1, 1, 1)


def _from_below(sun):
    sun.scale = (1, 1, -1)


def _stretched(sun):
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.scale, sun.parent = (1, 4, 0.5), parent


def _hidden_by_collection(sun):
    _in_collection(sun).hide_render = True


def _excluded(sun):
    _in_collection(sun)
    bpy.context.view_layer.layer_collection.children["Lights"].exclude = True


def _hidden_in_renders(sun):
    sun.hide_render = True


def _hidden_in_the_viewport(sun):
    sun.hide_viewport = True


def _closed_eye(sun):
    sun.hide_set(True)


def _instanced(sun):
    collection = _in_collection(sun)
    bpy.context.scene.collection.children.unlink(collection)
    empty = bpy.data.objects.new("Rig of lights", None)
    empty.instance_type, empty.instance_collection, empty.rotation_euler = "COLLECTION", collection, (0.3, 0, 0)
    bpy.context.scene.collection.objects.link(empty)


def _second(sun):
    other = bpy.data.objects.new("Second", bpy.data.lights.new("Second", "SUN"))
    other.data.energy, other.rotation_euler = 0.2, (0, -0.6, 0)
    bpy.context.scene.collection.objects.link(other)


def _plain(_sun):
    pass


@pytest.mark.parametrize(
    "change",
    [
        _plain, _temperature, _exposure, _nodes, _nodes_switched_off, _mirrored, _from_below, _stretched, _instanced,
        _hidden_by_collection, _excluded, _hidden_in_renders, _hidden_in_the_viewport, _closed_eye, _second,
    ],
)  # fmt: skip
def test_suns_light_as_they_do_in_cycles(floor, part, tmp_path, change):
    change(floor)
    bpy.context.view_layer.update()
    np.testing.assert_allclose(_shaded(_read(part)), _rendered(tmp_path), atol=2e-3)


@pytest.mark.parametrize("scale", [(0, 0, 0), (1, 1, 0)])
def test_a_sun_without_size_is_left_out_and_named(floor, part, tmp_path, scale):
    floor.scale = scale
    bpy.context.view_layer.update()
    lighting = _read(part)
    assert len(lighting.sun_directions) == 0 and np.isfinite(lighting.ambient).all()
    assert any("'Sun' is left out" in note for note in lighting.notes)
    np.testing.assert_allclose(_rendered(tmp_path), 0, atol=1e-6)


def test_nodes_that_cannot_be_read_are_named(floor, part):
    _nodes(floor)
    tree = floor.data.node_tree
    emission = next(node for node in tree.nodes if node.type == "EMISSION")
    tree.links.new(tree.nodes.new("ShaderNodeTexNoise").outputs[0], emission.inputs["Strength"])
    lighting = _read(part)
    np.testing.assert_allclose(lighting.sun_colors, [[0.4, 0.2, 0.1]], rtol=1e-5)
    assert [note for note in lighting.notes if "The nodes of the light 'Sun' are not exported" in note]


@pytest.mark.parametrize("moving", [True, False])
def test_lights_that_change_are_exported_as_at_the_first_frame_and_said(addon, part, moving):
    rig = rigs.character(frames=4)
    sun = bpy.data.objects["Sun"]
    for frame, energy in ((3, 3.0), (6, 5.0 if moving else 3.0)):
        sun.data.energy = energy
        sun.data.keyframe_insert("energy", frame=frame)
    warnings: list[str] = []
    shot = part("export").export_shot(bpy.context, rig, on_warning=warnings.append)
    np.testing.assert_allclose(shot["sun_colors"], [[3, 3, 3]], rtol=1e-6)
    assert bool([warning for warning in warnings if "move or change" in warning]) == moving


def test_light_linking_is_said(floor, part):
    floor.light_linking.receiver_collection = bpy.data.collections.new("Lit")
    assert [note for note in _read(part).notes if "light linking of 'Sun'" in note]
