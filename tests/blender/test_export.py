"""What a shot holds, apart from skinning and cameras, and that nothing in the scene changes by exporting it."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs

SHAPES = {
    "vertices": ("V", 3),
    "faces": ("F", 3),
    "face_uvs": ("F", 3, 2),
    "corner_normals": ("F", 3, 3),  # the tubes are shaded flat
    "face_materials": ("F",),
    "vertex_tints": ("V", 3),
    "weight_indices": ("V", "K"),
    "weight_values": ("V", "K"),
    "region_ids": ("V",),
    "bone_parents": ("B",),
    "bone_rest": ("B", 4, 4),
    "bone_lengths": ("B",),
    "bone_pose": ("T", "B", 4, 4),
    "viewmats": ("T", 4, 4),
    "Ks": ("T", 3, 3),
    "sun_directions": ("L", 3),
    "sun_colors": ("L", 3),
    "sun_shapes": ("L", 2),
    "ambient": (3,),
    "background": (3,),
}
VERTICES, FACES = 2 * 9 * 12, 2 * 8 * 12 * 2


@pytest.fixture
def shot(addon, part):
    rig = rigs.character()
    return part("export").export_shot(bpy.context, rig)


def test_names_shapes_and_types(shot):
    assert set(shot) == {"meta", "view_table", *SHAPES}  # Blender's default view transform is AgX
    sizes = {"V": VERTICES, "F": FACES, "K": 3, "B": 3, "T": 8, "L": 1}
    for name, shape in SHAPES.items():
        assert shot[name].shape == tuple(sizes.get(s, s) for s in shape), name
        assert shot[name].dtype in (np.float32, np.int32, np.uint8), name
    meta = rigs.meta(shot)
    assert (meta["schema"], meta["version"]) == ("ani3dhuman.shot", 2)
    assert (meta["name"], meta["fps"], meta["frame_start"], meta["frame_end"]) == ("Rig", 24.0, 3, 10)
    assert (meta["width"], meta["height"]) == (64, 96)
    assert meta["objects"] == [
        {"name": "Body", "vertex_start": 0, "vertex_count": 108},
        {"name": "Skirt", "vertex_start": 108, "vertex_count": 108},
    ]


def test_nothing_in_the_scene_changes(addon, part):
    rig = rigs.character()
    scene = bpy.context.scene
    scene.frame_set(6, subframe=0.25)
    bpy.data.objects["Skirt"].hide_viewport = True
    part("export").export_shot(bpy.context, rig)
    assert (scene.frame_current, scene.frame_subframe) == (6, 0.25)
    assert bpy.data.objects["Skirt"].hide_viewport


def test_operator_and_function_agree_whatever_is_selected(addon, part, tmp_path):
    rig = rigs.character()
    bpy.ops.ani3d.bind_character()
    by_function = part("export").export_shot(bpy.context, rig)
    rigs.select(bpy.context.scene.camera)
    path = tmp_path / "folder" / "shot.npz"
    bpy.ops.ani3d.export_shot(filepath=str(path))
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == set(by_function)
        for name in file.files:
            assert file[name].tobytes() == by_function[name].tobytes(), name
            assert file[name].dtype == by_function[name].dtype, name


def test_hidden_character_exports_the_same(addon, part):
    rig = rigs.character()
    for frame in (3, 10):
        rig.location.x = frame
        rig.keyframe_insert("location", frame=frame)
    shown = part("export").export_shot(bpy.context, rig)
    for item in (rig, bpy.data.objects["Body"], bpy.data.objects["Skirt"]):
        item.hide_viewport = True
    hidden = part("export").export_shot(bpy.context, rig)
    for name in SHAPES:
        np.testing.assert_array_equal(hidden[name], shown[name], err_msg=name)


def test_progress_counts_every_frame(addon, part):
    rig = rigs.character()
    seen = []
    part("export").export_shot(bpy.context, rig, on_progress=lambda *moment: seen.append(moment))
    assert [moment[:2] for moment in seen] == [(row, 8) for row in range(1, 9)]
    assert seen[-1][2] == 0


def test_faces_look_outwards(shot):
    corners = shot["vertices"][shot["faces"]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outwards = corners.mean(axis=1) * (1, 1, 0)
    assert (np.einsum("fi,fi->f", normals, outwards) > 0).all()


def test_mirrored_object_still_looks_outwards(addon, part):
    rig = rigs.character()
    bpy.data.objects["Body"].scale.x = -1
    test_faces_look_outwards(part("export").export_shot(bpy.context, rig))


def test_sun_and_world(addon, part):
    rig = rigs.character()
    sun = bpy.data.objects["Sun"]
    sun.data.color, sun.rotation_euler = (1, 0.5, 0.25), (np.pi / 2, 0, 0)
    world = part("compat").node_tree(bpy.context.scene.world).nodes["Background"]
    world.inputs["Color"].default_value, world.inputs["Strength"].default_value = (0.1, 0.2, 0.3, 1), 2.0
    shot = part("export").export_shot(bpy.context, rig)
    np.testing.assert_allclose(shot["sun_directions"], [[0, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(shot["sun_colors"], [[3, 1.5, 0.75]], atol=1e-6)
    np.testing.assert_allclose(shot["ambient"], [0.2, 0.4, 0.6], atol=1e-6)


def test_without_lights_in_a_dark_world_the_light_is_even(addon, part):
    rig = rigs.character()
    bpy.data.objects.remove(bpy.data.objects["Sun"])
    bpy.context.scene.world = None
    warnings = []
    shot = part("export").export_shot(bpy.context, rig, on_warning=warnings.append)
    assert shot["sun_directions"].shape == (0, 3)
    np.testing.assert_array_equal(shot["ambient"], np.ones(3))
    assert any("no light" in text for text in warnings)


def _material(name: str, image: bpy.types.Image | None, color=(0.1, 0.2, 0.3, 1)) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    nodes = material.node_tree.nodes
    socket = nodes["Principled BSDF"].inputs["Base Color"]
    socket.default_value = color
    if image:
        texture = nodes.new("ShaderNodeTexImage")
        texture.image = image
        material.node_tree.links.new(texture.outputs["Color"], socket)
    return material


def test_materials_and_pictures(addon, part):
    rig = rigs.character()
    image = bpy.data.images.new("Pattern", 4, 2, alpha=True)
    levels = np.random.default_rng(2).integers(0, 256, (2, 4, 4)).astype(np.uint8)
    levels[..., 3] = 255
    image.pixels.foreach_set((levels[::-1] / 255).astype(np.float32).ravel())
    body, skirt = bpy.data.objects["Body"], bpy.data.objects["Skirt"]
    plain, patterned = _material("Skin", None), _material("Dress", image)
    body.data.materials.append(plain)
    body.data.materials.append(patterned)
    skirt.data.materials.append(patterned)
    for polygon in body.data.polygons[:10]:
        polygon.material_index = 1
    shot = part("export").export_shot(bpy.context, rig)
    entries = rigs.meta(shot)["materials"]
    assert [(e["name"], e["texture"]) for e in entries] == [("Skin", -1), ("Dress", 0)]
    np.testing.assert_allclose(entries[0]["base_color"], [0.1, 0.2, 0.3], atol=1e-6)
    np.testing.assert_array_equal(shot["texture_0"], levels)  # row 0 is the top
    assert shot["face_materials"][:20].tolist() == [1] * 20
    assert set(shot["face_materials"][20 : FACES // 2].tolist()) == {0}
    assert set(shot["face_materials"][FACES // 2 :].tolist()) == {1}


def test_material_without_nodes_gives_its_viewport_colour(addon, part):
    rig = rigs.character()
    material = _material("Clay", None)
    material.diffuse_color = (0.4, 0.5, 0.6, 1)
    if bpy.app.version < (5, 0):
        material.use_nodes = False  # the nodes stay, switched off
    else:
        material.node_tree.nodes.clear()
    bpy.data.objects["Body"].data.materials.append(material)
    shot = part("export").export_shot(bpy.context, rig)
    np.testing.assert_allclose(rigs.meta(shot)["materials"][0]["base_color"], [0.4, 0.5, 0.6], atol=1e-6)


def test_float_picture_is_encoded(addon, part):
    rig = rigs.character()
    image = bpy.data.images.new("Light", 1, 1, float_buffer=True)
    image.pixels.foreach_set(np.array([0.2158605, 0.0, 1.0, 1.0], np.float32))
    bpy.data.objects["Body"].data.materials.append(_material("Glow", image))
    shot = part("export").export_shot(bpy.context, rig)
    assert shot["texture_0"][0, 0].tolist() == [128, 0, 255, 255]


def test_uvs_follow_the_triangles(addon, part):
    rig = rigs.character()
    mesh = bpy.data.objects["Body"].data
    for loop, uv in zip(mesh.loops, mesh.uv_layers[0].uv, strict=True):
        uv.vector = mesh.vertices[loop.vertex_index].co.xz
    shot = part("export").export_shot(bpy.context, rig)
    half = FACES // 2
    np.testing.assert_allclose(shot["face_uvs"][:half], shot["vertices"][shot["faces"][:half]][..., [0, 2]], atol=1e-6)


@pytest.mark.parametrize("domain", ["POINT", "CORNER"])
def test_tints_and_pins(addon, part, domain):
    rig = rigs.character()
    skirt = bpy.data.objects["Skirt"]
    tint = skirt.data.color_attributes.new("ani3d_tint", "FLOAT_COLOR", domain)
    for item in tint.data:
        item.color = (0.5, 0.25, 1, 1)
    skirt.vertex_groups.new(name="ani3d_pin").add([0, 1], 0.75, "REPLACE")
    shot = part("export").export_shot(bpy.context, rig)
    np.testing.assert_array_equal(shot["vertex_tints"][:108], 1)
    np.testing.assert_allclose(shot["vertex_tints"][108:], [[0.5, 0.25, 1]] * 108, atol=1e-6)
    expected = [-1] * 108 + [0.75, 0.75] + [0] * 106
    np.testing.assert_allclose(shot["pin_weights"], expected)


def test_default_regions_by_name_and_head_bone(addon, part):
    rig = rigs.character()
    bpy.ops.ani3d.bind_character()
    shot = part("export").export_shot(bpy.context, rig)
    regions = np.array(rigs.meta(shot)["regions"])[shot["region_ids"]]
    assert set(regions[108:]) == {"garment"}
    heights = shot["vertices"][:108, 2]
    assert set(regions[:108][heights < 0.9]) == {"body"}
    assert set(regions[:108][heights > 1.1]) == {"face"} or set(regions[:108]) == {"body", "face"}


def test_painted_regions_are_kept_and_the_heaviest_wins(addon, part):
    rig = rigs.character()
    body = bpy.data.objects["Body"]
    body.vertex_groups.new(name="ani3d_hair").add([0, 1, 2], 0.6, "REPLACE")
    body.vertex_groups.new(name="ani3d_face").add([1], 0.7, "REPLACE")
    bpy.ops.ani3d.bind_character()
    shot = part("export").export_shot(bpy.context, rig)
    names = rigs.meta(shot)["regions"]
    assert [names[i] for i in shot["region_ids"][:4]] == ["hair", "face", "hair", "body"]
