"""What surfaces mirror is in the shot as it is set in their shaders."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs


def _material(name: str = "Paint") -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    bpy.data.objects["Body"].data.materials.append(material)
    return material


def _exported(part, rig):
    warnings: list[str] = []
    shot = part("export").export_shot(bpy.context, rig, on_warning=warnings.append)
    return shot, rigs.meta(shot)["materials"][0], [text for text in warnings if "Paint" in text]


@pytest.mark.parametrize("bend, factor", [(1.5, 1.0), (1.9, (0.9 / 2.9) ** 2 / 0.04)])
@pytest.mark.parametrize("grouped", [False, True])
def test_numbers_of_a_principled_shader(addon, part, bend, factor, grouped):
    rig = rigs.character()
    tree = _material().node_tree
    shader, end = tree.nodes["Principled BSDF"], tree.nodes["Material Output"]
    if grouped:
        group = bpy.data.node_groups.new("Inner", "ShaderNodeTree")
        group.interface.new_socket("Out", in_out="OUTPUT", socket_type="NodeSocketShader")
        shader, inner_end = group.nodes.new("ShaderNodeBsdfPrincipled"), group.nodes.new("NodeGroupOutput")
        group.links.new(shader.outputs[0], inner_end.inputs[0])
        outer = tree.nodes.new("ShaderNodeGroup")
        outer.node_tree = group
        tree.links.new(outer.outputs[0], end.inputs["Surface"])
    for name, value in (("Roughness", 0.3), ("Metallic", 0.6), ("Specular IOR Level", 0.25), ("IOR", bend)):
        shader.inputs[name].default_value = value
    _, found, warnings = _exported(part, rig)
    assert warnings == []
    got = [found[name] for name in ("roughness", "metallic", "specular")]
    np.testing.assert_allclose(got, [0.3, 0.6, 0.25 * factor], rtol=1e-4)
    assert found["gloss"] == -1


def test_a_surface_without_gloss_is_matte(addon, part):
    rig = rigs.character()
    tree = _material().node_tree
    tree.links.new(tree.nodes.new("ShaderNodeBsdfDiffuse").outputs[0], tree.nodes["Material Output"].inputs["Surface"])
    found = _exported(part, rig)[1]
    assert [found[name] for name in ("roughness", "metallic", "specular", "gloss")] == [1, 0, 0, -1]


def test_roughness_from_a_picture_is_baked_into_a_texture(addon, part):
    """Left half smooth, right half rough; looked up where the left and right of UV space lie on the mesh."""
    rig = rigs.character()
    mesh = bpy.data.objects["Body"].data
    layer = mesh.uv_layers[0] if mesh.uv_layers else mesh.uv_layers.new(name="UVMap")
    places = np.array([mesh.vertices[loop.vertex_index].co[:] for loop in mesh.loops])
    low, high = places.min(0), places.max(0)
    placed = 0.02 + 0.96 * (places - low) / (high - low)  # seen from the front: the back lies upon it
    layer.data.foreach_set("uv", placed[:, [0, 2]].astype(np.float32).ravel())
    tree = _material().node_tree
    picture = bpy.data.images.new("Rough", 64, 64)
    picture.colorspace_settings.name = "Non-Color"
    values = np.ones((64, 64, 4), np.float32)
    values[:, :32, :3], values[:, 32:, :3] = 0.2, 0.8
    picture.pixels.foreach_set(values.ravel())
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = picture
    tree.links.new(node.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Roughness"])
    shot, found, warnings = _exported(part, rig)
    assert warnings == []
    uvs = shot["face_uvs"][shot["face_materials"] == 0].reshape(-1, 3, 2)
    middle = uvs.mean(1)
    clear = (np.abs(middle[:, 0] - 0.5) > 0.1) & (np.ptp(uvs[..., 0], axis=1) > 0.02)
    texels = shot[f"texture_{found['gloss']}"]
    height, width = texels.shape[:2]
    rows = ((1 - middle[clear, 1]) * height).astype(int).clip(0, height - 1)
    got = texels[rows, (middle[clear, 0] * width).astype(int).clip(0, width - 1)] / 255
    np.testing.assert_allclose(got[:, 0], np.where(middle[clear, 0] < 0.5, 0.2, 0.8), atol=0.01)
    np.testing.assert_allclose(got[:, 2], 0.5, atol=0.01)
    assert {0.2, 0.8} <= set(np.round(got[:, 0], 1))


def test_the_sky_that_is_mirrored_is_in_the_shot(addon, part):
    rig = rigs.character()
    world = bpy.data.worlds.new("World")
    bpy.context.scene.world = world
    if bpy.app.version < (5, 0):
        world.use_nodes = True
    image = bpy.data.images.new("Around", 64, 32, float_buffer=True)
    pixels = np.full((32, 64, 4), 0.1, np.float32)
    pixels[..., 3] = 1
    pixels[16:, 16:32, 1] = 2.0  # green, above, towards -Y and -X of the middle
    image.pixels.foreach_set(pixels.ravel())
    image.pack()
    node = world.node_tree.nodes.new("ShaderNodeTexEnvironment")
    node.image = image
    world.node_tree.links.new(node.outputs["Color"], world.node_tree.nodes["Background"].inputs["Color"])
    shot, *_ = _exported(part, rig)
    picture = shot["sky_picture"]
    assert picture.shape == (32, 64, 3)
    np.testing.assert_allclose(picture[20, 20], [0.1, 2.0, 0.1], atol=0.02)
    np.testing.assert_allclose(picture[10, 20], 0.1, atol=0.02)


@pytest.mark.parametrize("component, expected", [("DIFFUSE", (0.4, 0.1)), ("GLOSSY", (0.0, 0.0))])
def test_toon_shaders_are_told(addon, part, component, expected):
    rig = rigs.character()
    tree = _material().node_tree
    shader = tree.nodes.new("ShaderNodeBsdfToon")
    shader.component, shader.inputs["Size"].default_value, shader.inputs["Smooth"].default_value = component, 0.4, 0.1
    tree.links.new(shader.outputs[0], tree.nodes["Material Output"].inputs["Surface"])
    found = _exported(part, rig)[1]
    np.testing.assert_allclose([found.get("toon_size", 0), found.get("toon_smooth", 0)], expected, rtol=1e-5)
