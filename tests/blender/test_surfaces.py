"""Exported colours beside Blender's own: a plane in even white light, rendered by Cycles, and as the shot has it."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from paints import CLEAR, OPAQUE, Tree, constant_alpha, saved_picture

PIXELS, FINE = 32, 4  # of the render along a side, and points looked up a pixel


def _plane(quads: int = 1) -> bpy.types.Object:
    """`quads` x `quads` faces over -1..1, UVs 0..1, with a material without gloss."""
    steps = np.linspace(-1, 1, quads + 1)
    points = [(x, y, 0.0) for y in steps for x in steps]
    corners = [(r * (quads + 1) + c) for r in range(quads) for c in range(quads)]
    mesh = bpy.data.meshes.new("Plane")
    mesh.from_pydata(points, [], [(a, a + 1, a + quads + 2, a + quads + 1) for a in corners])
    layer = mesh.uv_layers.new(name="UVMap")
    for loop in mesh.loops:
        place = mesh.vertices[loop.vertex_index].co
        layer.data[loop.index].uv = ((place.x + 1) / 2, (place.y + 1) / 2)
    item = bpy.data.objects.new("Plane", mesh)
    bpy.context.scene.collection.objects.link(item)
    material = bpy.data.materials.new("Paint")
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    mesh.materials.append(material)
    principled = material.node_tree.nodes["Principled BSDF"]
    principled.inputs["Specular IOR Level"].default_value, principled.inputs["Roughness"].default_value = 0, 1
    return item


def _faces(part, item: bpy.types.Object, mesh: bpy.types.Mesh | None = None):
    mesh = mesh or item.data
    mesh.calc_loop_triangles()
    found = {}
    for name, width in (("vertices", 3), ("loops", 3), ("material_index", 1)):
        values = np.empty(len(mesh.loop_triangles) * width, np.int32)
        mesh.loop_triangles.foreach_get(name, values)
        found[name] = values.reshape(-1, width)
    slots = found["material_index"][:, 0]
    return part("export.surfaces").MeshFaces(item, mesh, found["vertices"], found["loops"], slots)


def _decoded(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _encoded(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * np.maximum(values, 1e-9) ** (1 / 2.4) - 0.055)


def _looked_up(texture: np.ndarray, uvs: np.ndarray) -> np.ndarray:
    """Premultiplied linear colours, smoothed as Cycles does: before decoding."""
    height, width = texture.shape[:2]
    values = texture / 255.0
    values[..., :3] *= values[..., 3:]
    x, y = uvs[:, 0] * width - 0.5, (1 - uvs[:, 1]) * height - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    mixed = np.zeros((len(uvs), 4))
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - right - (x - left)) * np.abs(1 - down - (y - top))
            mixed += weight[:, None] * values[(top + down) % height, (left + right) % width]
    mixed[:, :3] = _decoded(mixed[:, :3] / np.maximum(mixed[:, 3:], 1e-9)) * mixed[:, 3:]
    return mixed


def _exported(faces, surfaces) -> np.ndarray:
    """(PIXELS,PIXELS,4) premultiplied linear, seen from above."""
    steps = (np.arange(PIXELS * FINE) + 0.5) / (PIXELS * FINE) * 2 - 1
    points = np.stack(np.meshgrid(steps, -steps), axis=-1).reshape(-1, 2)
    result = np.zeros((len(points), 4))
    places = np.array([v.co[:2] for v in faces.mesh.vertices])[faces.triangles]
    for number, (a, b, c) in enumerate(places):
        along = np.linalg.solve(np.array([b - a, c - a]).T, (points - a).T).T
        weights = np.c_[1 - along.sum(1), along]
        inside = (weights >= -1e-9).all(1)
        entry = surfaces.entries[surfaces.face_materials[number]]
        if entry["texture"] >= 0:
            texture = surfaces.textures[entry["texture"]]
            result[inside] = _looked_up(texture, weights[inside] @ surfaces.face_uvs[number])
        else:
            result[inside] = (*entry["base_color"], 1)
    return result.reshape(PIXELS, FINE, PIXELS, FINE, 4).mean((1, 3))


def _rendered(folder: Path) -> np.ndarray:
    """(PIXELS,PIXELS,4) premultiplied linear, as Cycles draws the scene in even white light."""
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(camera)
    scene.camera, camera.location = camera, (0, 0, 5)
    camera.data.type, camera.data.ortho_scale = "ORTHO", 2
    world = scene.world = bpy.data.worlds.new("World")
    if bpy.app.version < (5, 0):
        world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (1, 1, 1, 1)
    render, cycles = scene.render, scene.cycles
    render.engine, cycles.samples, cycles.use_denoising, cycles.diffuse_bounces = "CYCLES", 32, False, 0
    cycles.pixel_filter_type, cycles.filter_width, render.film_transparent = "BOX", 1, True
    render.resolution_x = render.resolution_y = PIXELS
    render.resolution_percentage, render.threads_mode, render.threads = 100, "FIXED", 2
    settings = render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
    render.filepath = str(folder / "render.exr")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(render.filepath)
    image.colorspace_settings.name = "Non-Color"
    values = np.empty(PIXELS * PIXELS * 4, np.float32)
    image.pixels.foreach_get(values)
    return values.reshape(PIXELS, PIXELS, 4)[::-1]


@pytest.fixture
def compared(addon, part, tmp_path):
    """Build a material on a plane and read it: Blender's picture, the exported one, and the warnings."""

    def compare(build, quads: int = 1):
        item = _plane(quads)
        bpy.context.scene.render.engine = "CYCLES"
        build(Tree(item))
        bpy.context.view_layer.update()
        names = ("materials", "meshes", "objects", "scenes", "images", "node_groups", "worlds")
        before, warnings = [len(getattr(bpy.data, name)) for name in names], []
        faces = _faces(part, item)
        surfaces = part("export.surfaces").read_surfaces([faces], warnings.append)
        assert before == [len(getattr(bpy.data, name)) for name in names], "something stayed behind"
        return _rendered(tmp_path), _exported(faces, surfaces), warnings

    return compare


@pytest.mark.parametrize("build", OPAQUE, ids=lambda build: build.__name__)
def test_colours_are_blenders(compared, build):
    blender, exported, warnings = compared(build, quads=3)
    np.testing.assert_allclose(exported[..., 3], 1, atol=1e-6)
    difference = 255 * (_encoded(exported[..., :3]) - _encoded(np.clip(blender[..., :3], 0, 1)))
    assert np.abs(difference.mean((0, 1))).max() < 3
    assert np.percentile(np.abs(difference), 80) < 6, "in their places too"
    assert warnings == []


@pytest.mark.parametrize("build", CLEAR, ids=lambda build: build.__name__)
def test_opacity_is_blenders(compared, build):
    blender, exported, warnings = compared(build)
    difference = exported - blender
    assert np.abs(difference.mean((0, 1))).max() < 0.015
    assert np.sqrt((difference**2).mean()) < 0.07  # the render has noise
    assert exported[..., 3].std() > 0.1 or build is constant_alpha
    assert warnings == []


def test_each_udim_tile_has_its_picture(compared, tmp_path):
    colors = {1001: (1, 0, 0), 1002: (0, 0, 1), 1011: (0, 0.6, 0.1)}

    def tiles(t):
        for number, color in colors.items():
            saved_picture(tmp_path, f"skin.{number}.png", color)
        image = bpy.data.images.load(str(tmp_path / "skin.1001.png"))
        image.source, image.filepath = "TILED", str(tmp_path / "skin.<UDIM>.png")
        image.reload()
        for number in colors:
            if number not in [tile.number for tile in image.tiles]:
                image.tiles.new(tile_number=number)
        for face in t.item.data.polygons:
            for index in face.loop_indices:
                uv = t.item.data.uv_layers[0].data[index].uv
                uv.xy = uv.x * 0.9 + 0.05 + (face.index % 3 == 0), uv.y * 0.9 + 0.05 + (face.index % 3 == 1)
        t.link(t.picture(image).outputs[0], t.color)

    blender, exported, warnings = compared(tiles, quads=3)
    np.testing.assert_allclose(exported[5, [5, 16, 27], :3], blender[5, [5, 16, 27], :3], atol=0.01)
    assert {tuple(np.argsort(exported[5, x, :3])) for x in (5, 16, 27)} == {(1, 2, 0), (0, 1, 2), (0, 2, 1)}
    assert warnings == []
