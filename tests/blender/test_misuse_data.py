"""Misuse of data: meshes, bones, materials, lights and attributes that hold what nobody would expect."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs
from unharmed import exported, refused

pytestmark = pytest.mark.usefixtures("unharmed")
ODD = (float("nan"), float("inf"), -5.0, 1e30)


def _exported(folder: Path) -> dict[str, np.ndarray]:
    """The shot that Export Shot writes, all of whose numbers are finite."""
    shot = exported(folder)
    assert [name for name, array in shot.items() if array.dtype.kind == "f" and not np.isfinite(array).all()] == []
    return shot


def _objects(shot) -> list[str]:
    return [entry["name"] for entry in rigs.meta(shot)["objects"]]


def _mesh(points, faces, name: str = "Odd") -> bpy.types.Object:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points, [], faces)
    item = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(item)
    item.parent = bpy.data.objects["Rig"]
    item.modifiers.new("Armature", "ARMATURE").object = bpy.data.objects["Rig"]
    return item


@pytest.mark.parametrize(
    "kind",
    ["a point", "one triangle", "no area", "a large n-gon", "loose edges", "flat", "twins", "no size", "tiny", "huge"],
)
def test_meshes_of_odd_shapes(bound, tmp_path, kind):
    angles = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    circle = [(0.2 * np.cos(a), 0.2 * np.sin(a), 1) for a in angles]
    triangle = [(0, 0, 1), (0.1, 0, 1), (0, 0.1, 1)]
    points, faces = {
        "a point": ([(0, 0, 1)] * 3, [(0, 1, 2)]),
        "one triangle": (triangle, [(0, 1, 2)]),
        "no area": ([(0, 0, 1), (0, 0, 1.1), (0, 0, 1.2)], [(0, 1, 2)]),
        "a large n-gon": (circle, [tuple(range(1000))]),
        "loose edges": (triangle, []),
        "flat": ([(x, y, 1.0) for x in range(5) for y in range(5)], [(i, i + 1, i + 6, i + 5) for i in (0, 1, 5, 6)]),
        "twins": (triangle, [(0, 1, 2), (0, 2, 1)]),
        "no size": (triangle, [(0, 1, 2)]),
        "tiny": ([(1e-20 * x, 1e-20 * y, 1e-20 * z) for x, y, z in triangle], [(0, 1, 2)]),
        "huge": ([(1e5 * x, 1e5 * y, 1e5 * z) for x, y, z in triangle], [(0, 1, 2)]),
    }[kind]
    item = _mesh(points, faces)
    if kind == "no size":
        item.scale = (0, 0, 0)
    bpy.ops.ani3d.bind_character()
    shot = _exported(tmp_path)
    left_out = kind in ("loose edges", "no size")
    assert ("Odd" in _objects(shot)) != left_out


@pytest.mark.parametrize("what", ["tint", "pin", "region", "shape key", "uv", "normal"])
def test_attributes_that_hold_odd_numbers(bound, tmp_path, what):
    for value in ODD:
        _set_attribute(what, value)
        shot = _exported(tmp_path)
        assert _objects(shot) == ["Body", "Skirt"]
        if "pin_weights" in shot:
            assert shot["pin_weights"].min() >= -1 and shot["pin_weights"].max() <= 1


def _set_attribute(what: str, value: float) -> None:
    body, skirt = bpy.data.objects["Body"], bpy.data.objects["Skirt"]
    if what == "tint":
        colours = body.data.color_attributes.get("ani3d_tint")
        colours = colours or body.data.color_attributes.new("ani3d_tint", "FLOAT_COLOR", "POINT")
        colours.data[0].color = (value, value, value, value)
    elif what in ("pin", "region"):
        name = "ani3d_pin" if what == "pin" else "ani3d_hair"
        group = skirt.vertex_groups.get(name) or skirt.vertex_groups.new(name=name)
        group.add([0, 1], value, "REPLACE")
    elif what == "shape key":
        if not body.data.shape_keys:
            body.shape_key_add(name="Basis")
        key = body.shape_key_add(name="Odd")
        key.value = 0.0
        key.data[0].co = (value, 0, 0)
    elif what == "uv":
        body.data.uv_layers[0].data[0].uv = (value, value)
    else:
        body.data.normals_split_custom_set([(value, 0, 0)] * len(body.data.loops))


@pytest.mark.parametrize("what", ["sun", "sun colour", "world", "base", "alpha", "camera sensor", "camera shift"])
def test_light_and_material_of_odd_strength(bound, tmp_path, what):
    """Blender takes such numbers; the shot has finite ones, or says what is wrong."""
    for value in ODD:
        _set_strength(what, value)
        if what.startswith("camera") and not abs(value) < 1e6:
            assert "'Camera'" in refused(bpy.ops.ani3d.export_shot, filepath=str(tmp_path / "shot.npz"))
        else:
            _exported(tmp_path)


@pytest.mark.parametrize("kind", ["POINT", "SPOT", "AREA", "SUN"])
def test_lights_of_odd_sizes(bound, tmp_path, kind):
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", kind))
    bpy.context.scene.collection.objects.link(lamp)
    names = {"SUN": ["angle"], "AREA": ["size", "spread"], "SPOT": ["spot_size", "shadow_soft_size", "spot_blend"]}
    for name in ("energy", "exposure", *names.get(kind, ["shadow_soft_size"])):
        if hasattr(lamp.data, name):
            usual = getattr(lamp.data, name)
            for value in ODD:
                setattr(lamp.data, name, value)
                _exported(tmp_path)
            setattr(lamp.data, name, usual)
    for value in ODD:
        lamp.location = (value, 0, 0)
        _exported(tmp_path)


def _set_strength(what: str, value: float) -> None:
    scene = bpy.context.scene
    if what == "sun":
        bpy.data.lights["Sun"].energy = value
    elif what == "sun colour":
        bpy.data.lights["Sun"].color = (value, 0, 0)
    elif what == "world":
        scene.world.color = (value, value, value)
    elif what in ("base", "alpha"):
        material = bpy.data.materials.get("Skin") or bpy.data.materials.new("Skin")
        if not bpy.data.objects["Body"].data.materials:
            bpy.data.objects["Body"].data.materials.append(material)
        if what == "base":
            material.diffuse_color = (value, value, value, 1)
        if not material.node_tree:
            material.use_nodes = True
        shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
        if what == "base":
            shader.inputs["Base Color"].default_value = (value, value, value, 1)
        else:
            shader.inputs["Alpha"].default_value = value
    elif what == "camera sensor":
        scene.camera.data.sensor_width = value
    else:
        scene.camera.data.shift_x = value


@pytest.mark.parametrize("name", ["object:Body", " ", "a/b", "\u202e", "人" * 21])
def test_bones_with_odd_names(bound, tmp_path, name):
    bound.data.bones["head"].name = name
    hat = _mesh([(0, 0, 1.5), (0.1, 0, 1.5), (0, 0.1, 1.5)], [(0, 1, 2)], "Hat")
    hat.modifiers.clear()
    hat.parent_type, hat.parent_bone = "BONE", bound.data.bones[-1].name
    bpy.data.objects["Body"].vertex_groups.clear()
    bpy.ops.ani3d.bind_character()
    shot = _exported(tmp_path)
    names = rigs.meta(shot)["bones"]
    assert len(set(names)) == len(names) == len(shot["bone_rest"]) >= 4
    assert "Hat" in _objects(shot)


def test_a_character_whose_library_is_gone(addon, tmp_path):
    rigs.character(frames=3)
    hero = bpy.data.collections.new("Hero")
    for name in ("Rig", "Body", "Skirt"):
        hero.objects.link(bpy.data.objects[name])
    bpy.context.scene.collection.children.link(hero)
    library = tmp_path / "hero.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.collections = ["Hero"]
    bpy.context.scene.collection.children.link(bpy.data.collections["Hero"])
    rigs.camera()
    bpy.ops.ani3d.bind_character(armature="Rig")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    library.unlink()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "film.blend"))
    assert refused(bpy.ops.ani3d.export_shot, filepath=str(tmp_path / "shot.npz"))
    assert refused(bpy.ops.ani3d.bind_character)
    assert refused(bpy.ops.ani3d.bind_character, armature="Rig")


@pytest.mark.parametrize("how", ["missing", "no pixels", "not a picture", "empty node", "generated"])
def test_pictures_that_cannot_be_read(bound, tmp_path, how):
    material = bpy.data.materials.new("Skin")
    if not material.node_tree:
        material.use_nodes = True
    bpy.data.objects["Body"].data.materials.append(material)
    node = material.node_tree.nodes.new("ShaderNodeTexImage")
    shader = next(n for n in material.node_tree.nodes if n.type == "BSDF_PRINCIPLED")
    material.node_tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    if how == "generated":
        node.image = bpy.data.images.new("Made", 8, 8)
    elif how != "empty node":
        file = tmp_path / "skin.png"
        file.write_bytes(b"" if how == "no pixels" else b"hello")
        node.image = bpy.data.images.load(str(file))
        if how == "missing":
            file.unlink()
    assert _objects(_exported(tmp_path)) == ["Body", "Skirt"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"folder": "/proc/sys/x"}, "Cannot"),
        ({"folder": "//takes"}, "never been saved"),
        ({"folder": "x" * 300}, "long"),
    ],
)
def test_takes_that_cannot_be_recorded(bound, arguments, sentence):
    assert sentence in refused(bpy.ops.ani3d.record_takes, takes=1, frames=2, **arguments)


def test_takes_without_cloth_or_character(addon, tmp_path):
    assert refused(bpy.ops.ani3d.record_takes, folder=str(tmp_path))
    rig = rigs.character(frames=3)
    bpy.data.objects.remove(bpy.data.objects["Skirt"])
    rigs.select(rig)
    bpy.ops.ani3d.bind_character()
    assert refused(bpy.ops.ani3d.record_takes, folder=str(tmp_path), takes=1, frames=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["REGIONS", "PINS"])
def test_colours_are_shown_of_what_was_deleted(bound, part, what):
    kind = {"REGIONS": part("overlay").REGIONS_SHOWN, "PINS": part("overlay").PINS_SHOWN}[what]
    for name in ("Body", "Skirt", "Rig"):
        bpy.data.objects.remove(bpy.data.objects[name])
    assert refused(bpy.ops.ani3d.show_overlay, what=kind)
    bpy.ops.ani3d.dismiss_warnings(operator="nobody's")
    bpy.ops.ani3d.dismiss_warnings()
