"""Exported lights shade as Cycles does; what cannot be exported is said in one sentence."""

from __future__ import annotations

import warnings

import bpy
import lamp_cases
import mathutils
import numpy as np
import pytest
import rigs
from lamp_cases import PLACES, rendered

NORMAL = np.array([0.0, 0.0, 1.0])


@pytest.fixture
def floor(addon):
    """A white floor that a camera looks down on, a sun and a black world; the sun."""
    lamp_cases.white_floor()
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    bpy.context.scene.collection.objects.link(sun)
    sun.rotation_euler, sun.data.energy, sun.data.color = (0.5, 0.2, 0.0), 0.4, (1.0, 0.5, 0.25)
    bpy.context.view_layer.update()
    return sun


def _read(part, notes: list[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of the scene's lights at its frame."""
    bpy.context.view_layer.update()
    scene, lights = bpy.context.scene, part("export.lights")
    said = [] if notes is None else notes
    reader = lights.Lights(scene, bpy.context.evaluated_depsgraph_get(), said.append)
    return lights.light_arrays([reader.read(scene, bpy.context.evaluated_depsgraph_get())], np.zeros(3))


def _shaded(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """(N,3) radiance of the white floor at `PLACES` under exported lights, by what docs/conventions says of them."""
    suns = np.maximum(0, -arrays["sun_directions"] @ NORMAL) @ arrays["sun_colors"] / np.pi
    result = np.tile(suns, (len(PLACES), 1))
    names = ("lamp_kinds", "lamp_matrices", "lamp_colors", "lamp_shapes")
    for kind, matrix, color, shape in zip(*(arrays.get(name, ()) for name in names), strict=True):
        result += _lamp(kind, matrix, shape)[:, None] * color
    if "ambient_sh" not in arrays:
        return result + arrays["ambient"]
    upwards = np.zeros(9)  # harmonics of +Z times what a cosine keeps of each degree
    upwards[[0, 2, 6]] = np.sqrt(1 / (4 * np.pi)), 2 / 3 * np.sqrt(3 / (4 * np.pi)), 1 / 4 * np.sqrt(5 / (4 * np.pi))
    return result + upwards @ arrays["ambient_sh"]


def _lamp(kind: int, matrix: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """(N,) what a lamp of one watt makes the floor send on: areas by the midpoint rule, in full sight."""
    width, height, cone, blend, _ = shape
    spots = matrix[None, :3, 3]
    if kind >= 2:
        ticks = (np.arange(60) + 0.5) / 60 - 0.5
        grid = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
        grid = grid[(grid**2).sum(1) <= 0.25] if kind == 3 else grid
        spots = spots + grid * (width, height) @ matrix[:3, :2].T
    towards = spots[None] - PLACES[:, None]
    square = (towards**2).sum(-1)
    facing = np.clip(towards[..., 2] / np.sqrt(square), 0, 1)
    stretch = np.linalg.norm(matrix[:3, :3], axis=0)
    local = -towards @ (matrix[:3, :3] / stretch) / stretch
    along = np.maximum(-local[..., 2] / np.linalg.norm(local, axis=-1), 1e-9)
    if kind >= 2:
        leaves = along
        if cone < np.pi - 1e-3:
            tangent = np.tan(cone / 2)
            leaves = along * np.maximum(tangent - np.sqrt(1 - along**2) / along, 0) / (tangent - cone / 2)
        return (facing * leaves / square).mean(1) / np.pi**2
    result = facing / (square + width**2 / 4) / (4 * np.pi**2)
    if kind == 1:
        inner = np.clip((along - np.cos(cone / 2)) / max((1 - np.cos(cone / 2)) * blend, 1e-7), 0, 1)
        result = result * inner**2 * (3 - 2 * inner)
    return result[:, 0]


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of 5.2
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
def test_suns_light_as_they_do_in_cycles(floor, part, change):
    lamp_cases.background().inputs["Color"].default_value = (0.2, 0.2, 0.2, 1)
    change(floor)
    np.testing.assert_allclose(_shaded(_read(part))[0], rendered(32).mean(axis=0), atol=4e-3)


@pytest.mark.parametrize("name", lamp_cases.CASES)
def test_lamps_and_worlds_light_as_they_do_in_cycles(addon, part, name):
    lamp_cases.white_floor()
    lamp_cases.CASES[name]()
    notes: list[str] = []
    images = len(bpy.data.images)
    shaded = _shaded(_read(part, notes))
    assert len(bpy.data.images) == images
    expected = rendered(64)
    if name in lamp_cases.WORLDS:  # the same everywhere, but for noise
        expected[:] = expected.mean(axis=0)
    error = 0.02 if name == "sky texture" else 0.01
    np.testing.assert_allclose(shaded, expected, atol=error * expected.max())
    assert not notes and len(bpy.data.scenes) == 1 and len(bpy.data.worlds) == 1 and len(bpy.data.cameras) == 1


def test_a_sun_in_a_picture_of_the_sky_is_a_sun_of_the_shot(addon, part):
    lamp_cases.white_floor()
    lamp_cases.CASES["picture with a sun"]()
    arrays = _read(part)
    assert arrays["sun_directions"].shape == (1, 3) and arrays["sun_shapes"][0, 0] < 0.2
    way = -arrays["sun_directions"][0]
    bright = np.array([_world_at(way), _world_at(-way)]).mean(axis=1)
    assert bright[0] > 100 and bright[1] < 1


def _world_at(way: np.ndarray) -> np.ndarray:
    """(3,) what Cycles draws of the world in a direction."""
    scene = bpy.context.scene
    lens = scene.camera.data
    lens.type, lens.angle = "PERSP", 0.002
    scene.camera.rotation_euler = mathutils.Vector(way).to_track_quat("-Z", "Y").to_euler()
    scene.camera.location = 0, 0, 20
    bpy.data.objects["Plane"].hide_render = True
    return rendered(1).mean(axis=0)


def test_the_camera_sees_its_own_backdrop(addon, part):
    lamp_cases.white_floor()
    lamp_cases.CASES["camera sees another"]()
    np.testing.assert_allclose(_read(part)["background"], [0, 1, 0], atol=1e-3)


@pytest.mark.parametrize("kind", ["SUN", "POINT", "SPOT", "AREA"])
@pytest.mark.parametrize("scale", [(0, 0, 0), (1, 1, 0)])
def test_a_light_without_size_is_left_out_and_named(floor, part, scale, kind):
    bpy.data.objects.remove(floor)
    lamp_cases.lamp(kind, 1.0).scale = scale
    notes: list[str] = []
    arrays = _read(part, notes)
    assert len(arrays["sun_directions"]) == 0 and "lamp_kinds" not in arrays
    assert any(f"'{kind.title()}' is left out" in note for note in notes)


def test_nodes_that_cannot_be_read_are_named(floor, part):
    _nodes(floor)
    tree = floor.data.node_tree
    emission = next(node for node in tree.nodes if node.type == "EMISSION")
    tree.links.new(tree.nodes.new("ShaderNodeTexNoise").outputs[0], emission.inputs["Strength"])
    notes: list[str] = []
    np.testing.assert_allclose(_read(part, notes)["sun_colors"], [[0.4, 0.2, 0.1]], rtol=1e-5)
    assert [note for note in notes if "The nodes of the light 'Sun' are not exported" in note]


def test_what_lights_in_blender_alone_is_named(floor, part):
    floor.light_linking.receiver_collection = bpy.data.collections.new("Lit")
    bpy.ops.mesh.primitive_cube_add()
    glow = bpy.data.materials.new("Glow")
    tree = part("compat").node_tree(glow)
    emission, output = tree.nodes.new("ShaderNodeEmission"), next(n for n in tree.nodes if n.type == "OUTPUT_MATERIAL")
    emission.inputs["Strength"].default_value = 5.0
    tree.links.new(emission.outputs[0], output.inputs[0])
    bpy.context.object.data.materials.append(glow)
    notes: list[str] = []
    _read(part, notes)
    assert any("light linking of 'Sun'" in note for note in notes)
    assert any("emit light" in note and "Cube" in note for note in notes)


def test_shadows_that_are_switched_off_stay_off(floor, part):
    floor.data.use_shadow, floor.data.angle = False, 0.3
    lamp_cases.lamp("SPOT", 10.0).data.use_shadow = False
    lamp_cases.lamp("AREA", 10.0)
    arrays = _read(part)
    np.testing.assert_allclose(arrays["sun_shapes"], [[0.3, 0]], rtol=1e-6)
    np.testing.assert_array_equal(arrays["lamp_shapes"][:, 4], [0, 1])


@pytest.mark.parametrize("moving", [True, False])
def test_lights_that_change_have_an_axis_of_frames(addon, part, moving):
    rig = rigs.character(frames=4)
    sun = bpy.data.objects["Sun"]
    for frame, energy in ((3, 3.0), (6, 6.0 if moving else 3.0)):
        sun.data.energy = energy
        sun.data.keyframe_insert("energy", frame=frame)
    lamp = lamp_cases.lamp("SPOT", 100.0)
    for frame, height in ((3, 2.0), (6, 5.0 if moving else 2.0)):
        lamp.location.z = height
        lamp.keyframe_insert("location", frame=frame)
    warnings: list[str] = []
    shot = part("export").export_shot(bpy.context, rig, on_warning=warnings.append)
    frames = len(shot["bone_pose"])
    assert not warnings and shot["sun_directions"].shape == (1, 3) and shot["lamp_colors"].shape == (1, 3)
    if moving:
        assert shot["sun_colors"].shape == (frames, 1, 3) and shot["lamp_matrices"].shape == (frames, 1, 4, 4)
        np.testing.assert_allclose(shot["sun_colors"][[0, -1], 0, 0], [3, 6], rtol=1e-5)
        np.testing.assert_allclose(shot["lamp_matrices"][[0, -1], 0, 2, 3], [2, 5], rtol=1e-5)
    else:
        np.testing.assert_allclose(shot["sun_colors"], [[3, 3, 3]], rtol=1e-6)
        assert shot["lamp_matrices"].shape == (1, 4, 4)


def test_a_light_that_is_there_in_some_frames_is_black_in_the_others(addon, part):
    rig = rigs.character(frames=4)
    lamp = lamp_cases.lamp("POINT", 100.0)
    for frame, hidden in ((3, True), (5, False)):
        lamp.hide_render = hidden
        lamp.keyframe_insert("hide_render", frame=frame)
    shot = part("export").export_shot(bpy.context, rig)
    np.testing.assert_allclose(shot["lamp_colors"][:, 0, 0], [0, 0, 100, 100], rtol=1e-5)


def test_lamps_are_relative_to_the_origin_of_the_shot(addon, part):
    rig = rigs.character()
    for item in [item for item in bpy.context.scene.objects if item.parent is None]:
        item.location.x += 3000
    lamp_cases.lamp("POINT", 100.0, (3001.0, 0, 2))
    shot = part("export").export_shot(bpy.context, rig)
    assert np.abs(shot["vertices"]).max() < 50
    np.testing.assert_allclose(shot["lamp_matrices"][0, :3, 3], [1, 0, 2], atol=50)
    assert abs(shot["lamp_matrices"][0, 0, 3]) < 50
