"""Small scenes of one lamp or world over a white floor, and what Cycles makes of them.

Run as a script (`.venv-blender/bin/python tests/blender/lamp_cases.py`) it writes `tests/rendering/cycles_lights.json`:
the exported arrays of each case, places on the floor, and Cycles' radiance there, with which the engine's tests compare
its own light.
"""

from __future__ import annotations

import json
import sys
import tempfile
import types
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import bpy
import numpy as np

SIZE = 6  # pixels along a side; the floor that is seen is as many metres wide
PLACES = np.stack(np.meshgrid(np.arange(SIZE) + 0.5 - SIZE / 2, np.arange(SIZE) + 0.5 - SIZE / 2, [0.0]), -1)
PLACES = PLACES.reshape(-1, 3)  # pixel centres, the bottom row first


def white_floor() -> None:
    """A white matte floor in an empty file, seen from above, under a black world."""
    scene = bpy.context.scene
    bpy.ops.mesh.primitive_plane_add(size=60)
    material = bpy.data.materials.new("White")
    if material.node_tree is None:
        material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    white, output = nodes.new("ShaderNodeBsdfDiffuse"), nodes.new("ShaderNodeOutputMaterial")
    white.inputs["Color"].default_value = (1, 1, 1, 1)
    material.node_tree.links.new(white.outputs[0], output.inputs[0])
    bpy.context.object.data.materials.append(material)
    lens = bpy.data.cameras.new("Eye")
    lens.type, lens.ortho_scale = "ORTHO", SIZE
    eye = bpy.data.objects.new("Eye", lens)
    eye.location = 0, 0, 20
    scene.collection.objects.link(eye)
    scene.camera = eye
    scene.world = bpy.data.worlds.new("World")
    background().inputs["Color"].default_value = (0, 0, 0, 1)


def background() -> Any:
    world = bpy.context.scene.world
    if world.node_tree is None:
        world.use_nodes = True
    return world.node_tree.nodes["Background"]


def rendered(samples: int = 256) -> np.ndarray:
    """(SIZE * SIZE, 3) Cycles' radiance at `PLACES`."""
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", samples, False
    scene.cycles.use_adaptive_sampling, scene.cycles.pixel_filter_type = False, "BLACKMAN_HARRIS"
    scene.cycles.filter_width, scene.cycles.max_bounces = 0.01, 0
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.render.resolution_percentage, scene.view_settings.view_transform = 100, "Raw"
    scene.render.image_settings.file_format = "OPEN_EXR"
    with tempfile.TemporaryDirectory() as folder:
        scene.render.filepath = str(Path(folder) / "floor.exr")
        bpy.ops.render.render(write_still=True)
        picture = bpy.data.images.load(scene.render.filepath)
        picture.colorspace_settings.name = "Non-Color"
        return np.array(picture.pixels[:]).reshape(-1, 4)[:, :3]


def lamp(kind: str, energy: float, place: tuple[float, ...] = (0.6, -0.4, 2.0), **settings: Any) -> bpy.types.Object:
    """A lamp with settings of its data, turned a little."""
    data: Any = bpy.data.lights.new(kind.title(), kind)
    item = bpy.data.objects.new(kind.title(), data)
    bpy.context.scene.collection.objects.link(item)
    item.location, item.rotation_euler = place, (0.3, 0.2, 0.5)
    data.energy, data.color = energy, (1.0, 0.5, 0.25)
    for name, value in settings.items():
        setattr(data, name, value)
    return item


def _stretched_spot() -> None:
    lamp("SPOT", 200, spot_size=1.2, spot_blend=0.5, shadow_soft_size=0.0).scale = (2, 1, 1)


def _scaled_area() -> None:
    lamp("AREA", 60, shape="SQUARE", size=0.5).scale = (3, 1, 2)


def _warm() -> None:
    lamp("POINT", 60, use_temperature=True, temperature=3000, exposure=1.0)


def _nodes() -> None:
    data: Any = lamp("AREA", 60, size=0.4).data
    if data.node_tree is None:
        data.use_nodes = True
    emission = next(node for node in data.node_tree.nodes if node.type == "EMISSION")
    emission.inputs["Color"].default_value, emission.inputs["Strength"].default_value = (0.2, 0.9, 0.4, 1), 1.7


def _even_world() -> None:
    background().inputs["Color"].default_value, background().inputs["Strength"].default_value = (0.3, 0.5, 0.7, 1), 1.5


def _tree() -> Any:
    return bpy.context.scene.world.node_tree


def _gradient() -> None:
    """Brighter to one side, bluer above."""
    nodes, links = _tree().nodes, _tree().links
    where, scaled = nodes.new("ShaderNodeTexCoord"), nodes.new("ShaderNodeVectorMath")
    scaled.operation = "MULTIPLY_ADD"
    scaled.inputs[1].default_value, scaled.inputs[2].default_value = (0.4, 0.1, 0.3), (0.5, 0.4, 0.3)
    links.new(where.outputs["Generated"], scaled.inputs[0])
    links.new(scaled.outputs[0], background().inputs["Color"])


def _picture(sun: bool = True) -> Any:
    """An equirectangular picture with a coloured side and a small sun, turned about the vertical."""
    image: Any = bpy.data.images.new("Sky", 128, 64, float_buffer=True)
    pixels = np.ones((64, 128, 4), np.float32)
    pixels[..., :3] = 0.2, 0.25, 0.3
    pixels[:, 20:50, 0] += 0.5
    if sun:
        pixels[48:50, 90:93, :3] = 900, 800, 600
    image.pixels.foreach_set(pixels.ravel())
    image.pack()
    nodes, links = _tree().nodes, _tree().links
    texture, mapping, where = (nodes.new(f"ShaderNode{n}") for n in ("TexEnvironment", "Mapping", "TexCoord"))
    texture.image, mapping.inputs["Rotation"].default_value = image, (0.2, 0.0, 1.1)
    links.new(where.outputs["Generated"], mapping.inputs["Vector"])
    links.new(mapping.outputs["Vector"], texture.inputs["Vector"])
    links.new(texture.outputs["Color"], background().inputs["Color"])
    return texture


def _picture_without_sun() -> None:
    _picture(sun=False)


def _camera_sees_another() -> None:
    """The common trick: a plain backdrop for the camera, a picture for the light."""
    _picture(sun=False)
    nodes, links = _tree().nodes, _tree().links
    path, mix, plain = (nodes.new(f"ShaderNode{n}") for n in ("LightPath", "MixShader", "Background"))
    plain.inputs["Color"].default_value = (0.0, 1.0, 0.0, 1)
    output = next(node for node in nodes if node.type == "OUTPUT_WORLD")
    links.new(path.outputs["Is Camera Ray"], mix.inputs["Fac"])
    links.new(background().outputs[0], mix.inputs[1])
    links.new(plain.outputs[0], mix.inputs[2])
    links.new(mix.outputs[0], output.inputs["Surface"])


def _sky_texture() -> None:
    nodes, links = _tree().nodes, _tree().links
    texture = nodes.new("ShaderNodeTexSky")
    texture.sun_elevation = 0.7
    links.new(texture.outputs["Color"], background().inputs["Color"])
    background().inputs["Strength"].default_value = 0.1


def _two_worlds() -> None:
    """A mixed shader, whose parts are in a group."""
    group: Any = bpy.data.node_groups.new("Both", "ShaderNodeTree")
    group.interface.new_socket("Shader", in_out="OUTPUT", socket_type="NodeSocketShader")
    mix, end = group.nodes.new("ShaderNodeMixShader"), group.nodes.new("NodeGroupOutput")
    for number, color in ((1, (0.6, 0.2, 0.2, 1)), (2, (0.2, 0.2, 0.8, 1))):
        part = group.nodes.new("ShaderNodeBackground")
        part.inputs["Color"].default_value = color
        group.links.new(part.outputs[0], mix.inputs[number])
    group.links.new(mix.outputs[0], end.inputs[0])
    node = _tree().nodes.new("ShaderNodeGroup")
    node.node_tree = group
    output = next(node for node in _tree().nodes if node.type == "OUTPUT_WORLD")
    _tree().links.new(node.outputs[0], output.inputs["Surface"])


def _missing_picture() -> None:
    texture = _tree().nodes.new("ShaderNodeTexEnvironment")
    image: Any = bpy.data.images.new("Gone", 4, 4)
    image.source, image.filepath = "FILE", "//nowhere/gone.exr"
    texture.image = image
    _tree().links.new(texture.outputs["Color"], background().inputs["Color"])


LAMPS: dict[str, Callable[[], Any]] = {
    "sun": lambda: lamp("SUN", 3, angle=0.02),
    "wide sun": lambda: lamp("SUN", 3, angle=0.6),
    "point": lambda: lamp("POINT", 100, shadow_soft_size=0.0),
    "large point": lambda: lamp("POINT", 100, shadow_soft_size=0.5),
    "spot": lambda: lamp("SPOT", 200, spot_size=1.4, spot_blend=0.3, shadow_soft_size=0.05),
    "spot without blend": lambda: lamp("SPOT", 200, spot_size=1.9, spot_blend=0.0, shadow_soft_size=0.0),
    "stretched spot": _stretched_spot,
    "square": lambda: lamp("AREA", 60, shape="SQUARE", size=1.0),
    "rectangle": lambda: lamp("AREA", 60, shape="RECTANGLE", size=2.0, size_y=0.3),
    "disk": lambda: lamp("AREA", 60, shape="DISK", size=1.0),
    "ellipse": lambda: lamp("AREA", 60, shape="ELLIPSE", size=0.4, size_y=1.4),
    "scaled area": _scaled_area,
    "narrow area": lambda: lamp("AREA", 60, shape="SQUARE", size=0.5, spread=1.2),
    "warm": _warm,
    "nodes": _nodes,
}  # fmt: skip
WORLDS: dict[str, Callable[[], Any]] = {
    "even world": _even_world,
    "gradient": _gradient,
    "picture": _picture_without_sun,
    "picture with a sun": _picture,
    "camera sees another": _camera_sees_another,
    "sky texture": _sky_texture,
    "two worlds": _two_worlds,
    "missing picture": _missing_picture,
}
if "normalize" in bpy.types.Light.bl_rna.properties:
    LAMPS |= {
        "area by radiance": lambda: lamp("AREA", 60, shape="RECTANGLE", size=0.7, size_y=0.3, normalize=False),
        "disk by radiance": lambda: lamp("AREA", 60, shape="DISK", size=0.7, normalize=False),
        "point by radiance": lambda: lamp("POINT", 100, shadow_soft_size=0.3, normalize=False),
        "spot by radiance": lambda: lamp(
            "SPOT", 100, shadow_soft_size=0.3, spot_size=3.0, spot_blend=0, normalize=False
        ),
        "sun by radiance": lambda: lamp("SUN", 300, angle=0.1, normalize=False),
    }
CASES = {**LAMPS, **WORLDS}


def write(path: Path) -> None:
    """Write what Cycles makes of all cases, with the arrays that the extension of this checkout exports."""
    root = Path(__file__).resolve().parents[2]
    sys.path.insert(0, str(root))
    for name, folder in (("blender_addon", ""), ("blender_addon.export", "export")):
        package = types.ModuleType(name)  # without what else the extension imports when it is switched on
        package.__path__ = [str(root / "blender_addon" / folder)]
        sys.modules[name] = package
    lights = import_module("blender_addon.export.lights")
    cases = {}
    for name, make in CASES.items():
        bpy.ops.wm.read_factory_settings(use_empty=True)
        white_floor()
        make()
        bpy.context.view_layer.update()
        scene = bpy.context.scene
        reader = lights.Lights(scene, bpy.context.evaluated_depsgraph_get(), print)
        arrays = lights.light_arrays([reader.read(scene, bpy.context.evaluated_depsgraph_get())], np.zeros(3))
        radiance = rendered()
        if name in WORLDS:  # the same everywhere but for noise
            radiance[:] = radiance.mean(axis=0)
        cases[name] = {
            "arrays": {key: np.round(array, 5).tolist() for key, array in arrays.items()},
            "radiance": np.round(radiance, 4).tolist(),
        }
    path.write_text(json.dumps({"places": PLACES.tolist(), "cases": cases}) + "\n")


if __name__ == "__main__":
    write(Path(__file__).resolve().parents[1] / "rendering" / "cycles_lights.json")
