"""Exported colours beside Blender's own: a plane in even white light, rendered by Cycles, and as the shot has it."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from paints import CLEAR, OPAQUE, Tree, constant_alpha, image, saved_picture

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
    mesh.materials.append(_material("Paint"))
    principled = mesh.materials[0].node_tree.nodes["Principled BSDF"]
    principled.inputs["Specular IOR Level"].default_value, principled.inputs["Roughness"].default_value = 0, 1
    return item


def _material(name: str) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    return material


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


def _read(part, meshes, warnings: list[str]):
    """The surfaces of `meshes`; warnings are added to the list."""
    steps = part("export.surfaces").read_surfaces(meshes, warnings.append)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


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
    result = bpy.data.images.load(render.filepath)
    result.colorspace_settings.name = "Non-Color"
    values = np.empty(PIXELS * PIXELS * 4, np.float32)
    result.pixels.foreach_get(values)
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
        surfaces = _read(part, [faces], warnings)
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
        tiled = bpy.data.images.load(str(tmp_path / "skin.1001.png"))
        tiled.source, tiled.filepath = "TILED", str(tmp_path / "skin.<UDIM>.png")
        tiled.reload()
        for number in colors:
            if number not in [tile.number for tile in tiled.tiles]:
                tiled.tiles.new(tile_number=number)
        for face in t.item.data.polygons:
            for index in face.loop_indices:
                uv = t.item.data.uv_layers[0].data[index].uv
                uv.xy = uv.x * 0.9 + 0.05 + (face.index % 3 == 0), uv.y * 0.9 + 0.05 + (face.index % 3 == 1)
        t.link(t.picture(tiled).outputs[0], t.color)

    blender, exported, warnings = compared(tiles, quads=3)
    np.testing.assert_allclose(exported[5, [5, 16, 27], :3], blender[5, [5, 16, 27], :3], atol=0.01)
    assert {tuple(np.argsort(exported[5, x, :3])) for x in (5, 16, 27)} == {(1, 2, 0), (0, 1, 2), (0, 2, 1)}
    assert warnings == []


SAID = {
    "missing": "missing",
    "fresnel": "Fresnel",
    "glass": "glass",
    "toon": "Shader to RGB",
    "volume": "volume",
    "driven": "changes over time",
    "without_output": "no output node",
    "script": "script",
}


@pytest.mark.parametrize("what", SAID)
def test_what_is_not_blenders_colour_is_said_once(compared, what):
    def build(t):
        t.color.default_value = (0.1, 0.2, 0.3, 1)
        if what == "missing":
            gone = image()
            gone.filepath_raw, gone.source = "//nowhere.png", "FILE"
            gone.reload()
            t.link(t.picture(gone).outputs[0], t.color)
        elif what == "fresnel":
            t.link(t.new("Fresnel").outputs[0], t.color)
        elif what == "glass":
            t.principled.inputs["Transmission Weight"].default_value = 1
        elif what == "toon":
            light = t.new("ShaderToRGB")
            t.link(t.principled.outputs[0], light.inputs[0])
            t.link(light.outputs[0], t.surface)
        elif what == "volume":
            t.link(t.new("VolumePrincipled").outputs[0], t.tree.nodes["Material Output"].inputs["Volume"])
            t.tree.links.remove(t.surface.links[0])
        elif what == "driven":
            t.color.driver_add("default_value", 0).driver.expression = "0.1"
        elif what == "without_output":
            t.tree.nodes.remove(t.tree.nodes["Material Output"])
        else:
            t.link(t.new("Script").outputs.new("NodeSocketColor", "Color"), t.color)

    _, exported, warnings = compared(build)
    assert len(warnings) == 1 and "'Paint'" in warnings[0] and SAID[what] in warnings[0]
    if what == "missing":
        np.testing.assert_allclose(exported[..., :3].reshape(-1, 3), np.tile([1, 0, 1], (PIXELS**2, 1)), atol=0.01)


def test_a_mesh_made_by_modifiers_is_baked_as_it_is(addon, part):
    """Noise in object coordinates on a subdivided plane, and on the same plane without: equal where they lie alike."""
    item = _plane(2)
    t = Tree(item)
    t.link(t.new("TexCoord").outputs["Object"], t.color)
    item.modifiers.new("Subdivision", "SUBSURF").subdivision_type = "SIMPLE"
    evaluated = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = bpy.data.meshes.new_from_object(evaluated)
    assert len(mesh.polygons) == 16
    for own in (item.data, mesh):
        faces = _faces(part, item, own)
        exported = _exported(faces, _read(part, [faces], []))
        steps = (np.arange(PIXELS) + 0.5) / PIXELS * 2 - 1
        np.testing.assert_allclose(exported[..., 0], np.tile(np.clip(steps, 0, 1), (PIXELS, 1)), atol=0.02)


@pytest.mark.parametrize("count", [1, 2, 37, 500, 3000])
def test_triangles_of_an_atlas_have_cells_of_their_own(addon, part, count):
    areas = np.random.default_rng(count).random(count) ** 4
    areas[::7] = 0
    side = 256
    atlas = part("export.surfaces.atlas").triangle_atlas(areas, side)
    owner = np.full((side, side), -1)
    for number, ((x, y), size) in enumerate(zip(atlas.corners, atlas.cells, strict=True)):
        assert (owner[y : y + size, x : x + size] == -1).all()
        owner[y : y + size, x : x + size] = number
    assert (atlas.uvs > 0).all() and (atlas.uvs < 1).all()
    x, y = np.floor(atlas.uvs * side).astype(int).transpose(2, 0, 1)
    cells = owner[y, x]
    assert (cells == cells[:, :1]).all() and np.bincount(cells[:, 0]).max() <= 2


def test_dense_meshes_are_sharp(addon, part):
    """40,000 triangles of a few texels each: nothing is mixed with what lies beside it in the picture."""
    bpy.ops.mesh.primitive_uv_sphere_add(segments=200, ring_count=100)
    item = bpy.context.object
    item.data.materials.append(_plane(1).data.materials[0])
    t = Tree(item)
    t.link(t.new("TexCoord").outputs["Object"], t.color)
    faces = _faces(part, item)
    found = _read(part, [faces], [])
    rng = np.random.default_rng(0)
    chosen, weights = rng.integers(0, len(faces.triangles), 4000), rng.dirichlet([1, 1, 1], 4000)
    corners = np.array([v.co for v in item.data.vertices])[faces.triangles[chosen]]
    expected = np.clip(np.einsum("nc,nck->nk", weights, corners), 0, 1)
    uvs = np.einsum("nc,nck->nk", weights, found.face_uvs[chosen])
    error = np.abs(_looked_up(found.textures[0], uvs)[:, :3] - expected)
    assert error.mean() < 0.003 and np.percentile(error, 99) < 0.02


def test_odd_meshes_and_slots(addon, part):
    item, lonely = _plane(1), _plane(1)
    item.data.materials.append(_material("Second"))
    Tree(item).color.default_value = (0.1, 0.2, 0.3, 1)
    item.data.materials[1].node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.4, 0.5, 0.6, 1)
    item.data.polygons[0].material_index = 7  # beyond the slots: Blender takes the last
    lonely.data.materials.clear()
    wire = bpy.data.objects.new("Wire", bpy.data.meshes.new("Wire"))
    wire.data.from_pydata([(0, 0, 0), (0, 0, 1)], [(0, 1)], [])
    empty = bpy.data.objects.new("Empty", bpy.data.meshes.new("Empty"))
    thin = _plane(1)  # a face of no area, coloured by its place
    thin.data.vertices[2].co = thin.data.vertices[3].co = thin.data.vertices[0].co
    t = Tree(thin)
    t.link(t.new("TexCoord").outputs["Object"], t.color)
    meshes, warnings = [_faces(part, o) for o in (wire, item, empty, lonely, thin)], []
    found = _read(part, meshes, warnings)
    assert len(found.face_materials) == len(found.face_uvs) == 6 and len(found.vertex_tints) == 2 + 4 + 0 + 4 + 4
    colors = [found.entries[n]["base_color"] for n in found.face_materials]
    np.testing.assert_allclose(colors[0], [0.4, 0.5, 0.6], atol=1e-6)
    np.testing.assert_allclose(colors[2], [0.8, 0.8, 0.8], atol=1e-6)
    assert np.isfinite(found.face_uvs).all() and warnings == []
    nothing = _read(part, [_faces(part, wire)], [])
    assert len(nothing.entries) == 1 and len(nothing.face_materials) == 0


def test_a_slot_may_belong_to_the_object(addon, part):
    item = _plane(1)
    own = _material("Own")
    own.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.1, 0.9, 0.1, 1)
    item.material_slots[0].link, item.material_slots[0].material = "OBJECT", own
    assert [e["name"] for e in _read(part, [_faces(part, item)], []).entries] == ["Own"]


def test_giving_up_leaves_nothing_behind(addon, part):
    item = _plane(1)
    t = Tree(item)
    t.link(t.new("TexNoise").outputs[0], t.color)
    names = ("materials", "meshes", "objects", "scenes", "images", "node_groups")
    before = [len(getattr(bpy.data, name)) for name in names]
    steps = part("export.surfaces").read_surfaces([_faces(part, item)], lambda text: None)
    assert next(steps) == (0, 1)
    steps.close()
    assert before == [len(getattr(bpy.data, name)) for name in names]


def test_bakes_are_kept_until_something_changes(addon, part, monkeypatch, tmp_path):
    appearance, kept = part("export.surfaces.appearance"), part("export.surfaces.known_bakes")
    monkeypatch.setattr(kept, "folder", lambda: tmp_path)
    done, bake = [], appearance.bake
    monkeypatch.setattr(appearance, "bake", lambda *a: done.append(1) or bake(*a))
    item = _plane(1)
    t = Tree(item)
    ramp, squares = t.new("ValToRGB"), image()
    t.link(t.picture(squares).outputs[0], ramp.inputs[0])
    t.link(ramp.outputs[0], t.color)

    def bakes() -> int:
        done.clear()
        textures = _read(part, [_faces(part, item)], []).textures
        assert len(textures) == 1
        return len(done)

    def recolor():
        ramp.color_ramp.elements[1].color = (0.5, 0.1, 0.1, 1)

    def repaint():
        squares.pixels.foreach_set(np.full(32 * 32 * 4, 0.25, np.float32))
        squares.update()

    def place_by_object():
        t.link(t.new("TexCoord").outputs["Object"], t.color)

    def move():
        item.data.vertices[0].co.z = 0.5

    assert (bakes(), bakes()) == (1, 0)
    for change in (recolor, repaint, place_by_object, move):
        change()
        assert (bakes(), bakes()) == (1, 0), change.__name__
    for path in tmp_path.glob("*.npy"):
        path.write_bytes(path.read_bytes()[:100])  # cut
    assert (bakes(), bakes()) == (1, 0)
    monkeypatch.setattr(kept, "MOST_BYTES", 1)
    recolor()
    ramp.color_ramp.elements[0].color = (0, 0.1, 0.1, 1)
    t.link(ramp.outputs[0], t.color)
    assert bakes() == 1 and list(tmp_path.glob("*.npy")) == []


def test_in_edit_mode_and_without_cycles(addon, part):
    item = _plane(1)
    t = Tree(item)
    noise = t.new("TexNoise")
    t.link(noise.outputs[0], t.color)
    bpy.context.view_layer.objects.active = item
    bpy.ops.object.mode_set(mode="EDIT")
    mesh = bpy.data.meshes.new_from_object(item.evaluated_get(bpy.context.evaluated_depsgraph_get()))
    faces, warnings = _faces(part, item, mesh), []
    assert len(_read(part, [faces], warnings).textures) == 1 and warnings == []
    assert item.mode == "EDIT"
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.preferences.addon_disable(module="cycles")
    try:
        item.data.materials[0].diffuse_color = (0.3, 0.4, 0.5, 1)
        noise.inputs["Scale"].default_value = 3  # the bake of before is not kept for this
        found = _read(part, [faces], warnings)
        np.testing.assert_allclose(found.entries[0]["base_color"], [0.3, 0.4, 0.5], atol=1e-6)
        assert len(warnings) == 1 and "Cycles" in warnings[0] and "'Paint'" in warnings[0]
    finally:
        bpy.ops.preferences.addon_enable(module="cycles")
