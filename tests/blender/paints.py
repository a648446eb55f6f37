"""Ways to colour a mesh with nodes: each function builds one in the `Tree` of an object's first material."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np


class Tree:
    """Nodes of the plane's material, by short names."""

    def __init__(self, item: bpy.types.Object) -> None:
        self.item, self.tree = item, item.data.materials[0].node_tree
        self.principled = self.tree.nodes["Principled BSDF"]
        self.color, self.alpha = self.principled.inputs["Base Color"], self.principled.inputs["Alpha"]
        self.surface = self.tree.nodes["Material Output"].inputs["Surface"]

    def new(self, kind: str, tree=None, **settings):
        node = (tree or self.tree).nodes.new("ShaderNode" + kind)
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def link(self, output, socket) -> None:
        socket.id_data.links.new(output, socket)

    def picture(self, picture: bpy.types.Image | None = None, **settings):
        return self.new("TexImage", image=picture or image(), **settings)

    def mix(self, blend: str, a, b, factor=1.0):
        node = self.new("Mix", data_type="RGBA", blend_type=blend)
        for socket, value in ((node.inputs[0], factor), (node.inputs[6], a), (node.inputs[7], b)):
            if isinstance(value, bpy.types.NodeSocket):
                self.link(value, socket)
            else:
                socket.default_value = value
        return node.outputs[2]

    def mapped(self, kind: str, extension: str = "REPEAT", **inputs):
        node, mapping = self.picture(extension=extension), self.new("Mapping", vector_type=kind)
        for name, value in inputs.items():
            mapping.inputs[name].default_value = value
        self.link(self.new("TexCoord").outputs["UV"], mapping.inputs["Vector"])
        self.link(mapping.outputs[0], node.inputs["Vector"])
        return node


def image(alpha: bool = False, seed: int = 1) -> bpy.types.Image:
    """Sixteen squares of random colours, and of random opacity with `alpha`."""
    values = np.random.default_rng(seed).random((4, 4, 4)).repeat(8, axis=0).repeat(8, axis=1)
    if not alpha:
        values[..., 3] = 1
    squares = bpy.data.images.new("Squares", 32, 32, alpha=alpha)
    squares.pixels.foreach_set(values.astype(np.float32).ravel())
    squares.update()
    return squares


def saved_picture(folder: Path, name: str, color: tuple[float, float, float]) -> None:
    """A file of one colour."""
    plain = bpy.data.images.new(name, 16, 16)
    plain.pixels.foreach_set(np.tile(np.float32([*color, 1]), 256))
    plain.filepath_raw, plain.file_format = str(folder / name), "PNG"
    plain.save()


def colors(t: Tree, domain: str, kind: str) -> None:
    """Random colours stored on corners or vertices."""
    attribute = t.item.data.color_attributes.new("Col", kind, domain)
    rng = np.random.default_rng(3)
    for item in attribute.data:
        item.color = (*rng.random(3), 1)


def group(t: Tree, *sockets: tuple[str, str, str]):
    """A group node of a new group with these (name, direction, type), its input and output nodes."""
    tree = bpy.data.node_groups.new("Group", "ShaderNodeTree")
    for name, direction, kind in sockets:
        tree.interface.new_socket(name, in_out=direction, socket_type=f"NodeSocket{kind}")
    node = t.new("Group", node_tree=tree)
    return node, tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")


def flat(t):
    t.color.default_value = (0.7, 0.2, 0.1, 1)


def picture_through_reroute(t):
    knot = t.tree.nodes.new("NodeReroute")
    t.link(t.picture().outputs[0], knot.inputs[0])
    t.link(knot.outputs[0], t.color)


def mask_between_colours(t):
    t.link(t.mix("MIX", (1, 0, 0, 1), t.picture(image(seed=4)).outputs[0], t.picture().outputs[0]), t.color)


def tinted_picture(t):
    t.link(t.mix("MULTIPLY", t.picture().outputs[0], (0.8, 0.02, 0.02, 1)), t.color)


def hue_of_a_picture(t):
    node = t.new("HueSaturation")
    node.inputs["Hue"].default_value = 0.83
    t.link(t.picture().outputs[0], node.inputs["Color"])
    t.link(node.outputs[0], t.color)


def ramp_of_a_picture(t):
    node = t.new("ValToRGB")
    node.color_ramp.elements[1].color = (0.8, 0.4, 0.05, 1)
    t.link(t.picture().outputs[0], node.inputs[0])
    t.link(node.outputs[0], t.color)


def colour_temperature(t):
    node, gamma = t.new("Blackbody"), t.new("Gamma")
    node.inputs[0].default_value, gamma.inputs["Gamma"].default_value = 2500, 2
    t.link(node.outputs[0], gamma.inputs["Color"])
    t.link(gamma.outputs[0], t.color)


def picture_in_a_group(t):
    node, _, end = group(t, ("Color", "OUTPUT", "Color"))
    t.link(t.new("TexImage", node.node_tree, image=image()).outputs[0], end.inputs[0])
    t.link(node.outputs[0], t.color)


def shader_in_a_group(t):
    node, start, end = group(t, ("Shader", "OUTPUT", "Shader"), ("Tint", "INPUT", "Color"))
    diffuse = t.new("BsdfDiffuse", node.node_tree)
    t.link(start.outputs[0], diffuse.inputs[0])
    t.link(diffuse.outputs[0], end.inputs[0])
    t.link(t.picture().outputs[0], node.inputs[0])
    t.link(node.outputs[0], t.surface)


def shader_through_a_group(t):
    node, start, end = group(t, ("Out", "OUTPUT", "Shader"), ("In", "INPUT", "Shader"), ("By", "INPUT", "Float"))
    inner, clear = t.new("MixShader", node.node_tree), t.new("BsdfTransparent", node.node_tree)
    t.link(start.outputs[1], inner.inputs[0])
    t.link(clear.outputs[0], inner.inputs[1])
    t.link(start.outputs[0], inner.inputs[2])
    t.link(inner.outputs[0], end.inputs[0])
    texture = t.picture(image(alpha=True))
    t.link(texture.outputs["Color"], t.color)
    t.link(t.principled.outputs[0], node.inputs[0])
    t.link(texture.outputs["Alpha"], node.inputs[1])
    t.link(node.outputs[0], t.surface)


def shader(kind):
    """A picture that feeds a shader of this kind."""

    def build(t):
        node = t.new(kind)
        t.link(t.picture().outputs[0], node.inputs[0])
        t.link(node.outputs[0], t.surface)

    build.__name__ = kind.lower()
    return build


def emission_over_a_colour(t):
    t.color.default_value = (0.2, 0.1, 0.1, 1)
    t.link(t.picture().outputs[0], t.principled.inputs["Emission Color"])
    t.principled.inputs["Emission Strength"].default_value = 0.5


def another_shader_is_drawn(t):
    t.color.default_value = (1, 0, 0, 1)
    node = t.new("BsdfDiffuse")
    node.inputs[0].default_value = (0.05, 0.5, 0.05, 1)
    t.link(node.outputs[0], t.surface)


def another_output_is_for_cycles(t):
    node, output = t.new("BsdfDiffuse"), t.new("OutputMaterial", target="CYCLES")
    node.inputs[0].default_value = (0.05, 0.5, 0.05, 1)
    t.link(node.outputs[0], output.inputs[0])
    t.tree.nodes["Material Output"].target = "EEVEE"


def mixed_shaders(t):
    t.color.default_value = (0.9, 0.2, 0.1, 1)
    other, mix = t.new("BsdfDiffuse"), t.new("MixShader")
    other.inputs[0].default_value = (0.05, 0.5, 0.05, 1)
    for output, socket in zip((t.picture(), t.principled, other), mix.inputs, strict=True):
        t.link(output.outputs[0], socket)
    t.link(mix.outputs[0], t.surface)


def added_shaders(t):
    t.color.default_value = (0.5, 0.2, 0.1, 1)
    other, add = t.new("BsdfDiffuse"), t.new("AddShader")
    other.inputs[0].default_value = (0.05, 0.3, 0.05, 1)
    t.link(t.principled.outputs[0], add.inputs[0])
    t.link(other.outputs[0], add.inputs[1])
    t.link(add.outputs[0], t.surface)


def muted_link(t):
    t.color.default_value = (0.3, 0.6, 0.2, 1)
    t.tree.links.new(t.picture().outputs[0], t.color).is_muted = True


def muted_node(t):
    node = t.new("Invert", mute=True)
    t.link(t.picture().outputs[0], node.inputs["Color"])
    t.link(node.outputs[0], t.color)


def colours_of_corners(t):
    colors(t, "CORNER", "BYTE_COLOR")
    t.link(t.new("VertexColor", layer_name="Col").outputs[0], t.color)


def colours_of_vertices_times_a_picture(t):
    colors(t, "POINT", "FLOAT_COLOR")
    t.link(
        t.mix("MULTIPLY", t.new("Attribute", attribute_name="Col").outputs["Color"], t.picture().outputs[0]), t.color
    )


def noise(t):
    node = t.new("TexNoise")
    node.inputs["Scale"].default_value = 2
    t.link(node.outputs["Color"], t.color)


def gradient_of_the_object(t):
    t.link(t.new("TexCoord").outputs["Object"], t.color)


def world_position(t):
    t.link(t.new("NewGeometry").outputs["Position"], t.color)


def colour_of_the_object(t):
    t.item.color = (0.1, 0.6, 0.3, 1)
    t.link(t.new("ObjectInfo").outputs["Color"], t.color)


def checker_by_uv(t):
    node = t.new("TexChecker")
    t.link(t.new("TexCoord").outputs["UV"], node.inputs["Vector"])
    t.link(node.outputs["Color"], t.color)


def point_mapping(t):
    node = t.mapped("POINT", Location=(0.5, 0.1, 0), Rotation=(0, 0, 0.4), Scale=(2, 3, 1))
    t.link(node.outputs[0], t.color)


def texture_mapping(t):
    node = t.mapped("TEXTURE", Location=(0.2, 0.1, 0), Rotation=(0.2, 0, 0.4), Scale=(0.5, 2, 1))
    t.link(node.outputs[0], t.color)


def inverted_mapped_picture(t):
    node = t.new("Invert")
    t.link(t.mapped("POINT", Scale=(2, 3, 1)).outputs[0], node.inputs["Color"])
    t.link(node.outputs[0], t.color)


def clipped_picture(t):
    node = t.mapped("POINT", "CLIP", Location=(-0.3, -0.3, 0), Scale=(1.7, 1.7, 1))
    t.link(node.outputs[0], t.color)


def extended_picture(t):
    node = t.mapped("POINT", "EXTEND", Location=(-0.3, -0.3, 0), Scale=(1.7, 1.7, 1))
    t.link(node.outputs[0], t.color)


def second_uv_map(t):
    for loop in t.item.data.uv_layers.new(name="Paint").data:
        loop.uv = (loop.uv[1], 1 - loop.uv[0])
    texture = t.picture()
    t.link(t.new("UVMap", uv_map="Paint").outputs[0], texture.inputs["Vector"])
    t.link(texture.outputs[0], t.color)


def two_uv_maps(t):
    second_uv_map(t)
    t.link(t.mix("MIX", t.color.links[0].from_socket, t.picture(image(seed=9)).outputs[0], 0.5), t.color)


def hard_pixels(t):
    t.link(t.picture(interpolation="Closest").outputs[0], t.color)


def data_picture(t):
    raw = image()
    raw.pack()
    raw.colorspace_settings.name = "Non-Color"
    t.link(t.picture(raw).outputs[0], t.color)


def linear_picture(t):
    raw = image()
    raw.pack()
    raw.colorspace_settings.name = "Linear Rec.709"
    t.link(t.picture(raw).outputs[0], t.color)


def transparent_picture_without_its_alpha(t):
    t.link(t.picture(image(alpha=True)).outputs[0], t.color)


def alpha_of_the_picture(t):
    texture = t.picture(image(alpha=True))
    t.link(texture.outputs["Color"], t.color)
    t.link(texture.outputs["Alpha"], t.alpha)


def alpha_of_another_picture(t):
    t.color.default_value = (0.02, 0.1, 0.02, 1)
    t.link(t.picture(image(seed=5)).outputs["Color"], t.alpha)


def constant_alpha(t):
    t.color.default_value, t.alpha.default_value = (0.7, 0.2, 0.2, 1), 0.4


def clear_by_mixing(t):
    texture, clear, mix = t.picture(image(alpha=True)), t.new("BsdfTransparent"), t.new("MixShader")
    t.link(texture.outputs["Color"], t.color)
    t.link(texture.outputs["Alpha"], mix.inputs[0])
    t.link(clear.outputs[0], mix.inputs[1])
    t.link(t.principled.outputs[0], mix.inputs[2])
    t.link(mix.outputs[0], t.surface)


def unlit_as_gltf_has_it(t):
    clear, light, rays, mix = (t.new(k) for k in ("BsdfTransparent", "Emission", "LightPath", "MixShader"))
    t.link(t.picture().outputs[0], light.inputs[0])
    t.link(rays.outputs["Is Camera Ray"], mix.inputs[0])
    t.link(clear.outputs[0], mix.inputs[1])
    t.link(light.outputs[0], mix.inputs[2])
    t.link(mix.outputs[0], t.surface)


def circle_of_shaders(t):
    t.color.default_value = (0.1, 0.6, 0.3, 1)
    mix = t.new("MixShader")
    t.link(t.principled.outputs[0], mix.inputs[2])
    t.link(mix.outputs[0], t.surface)
    t.link(mix.outputs[0], mix.inputs[1])


def dangling_reroute(t):
    t.color.default_value = (0.1, 0.6, 0.3, 1)
    t.link(t.tree.nodes.new("NodeReroute").outputs[0], t.color)


def muted_picture(t):
    t.link(t.picture(mute=True).outputs[0], t.color)


def mirrored_picture(t):
    t.link(t.mapped("POINT", "MIRROR", Location=(5.3, -3.3, 0), Scale=(1.7, 2, 1)).outputs[0], t.color)


def nothing_linked(t):
    t.tree.nodes.remove(t.principled)


OPAQUE = [
    *(flat, picture_through_reroute, mask_between_colours, tinted_picture, hue_of_a_picture, ramp_of_a_picture),
    *(colour_temperature, picture_in_a_group, shader_in_a_group, emission_over_a_colour, another_shader_is_drawn),
    *(shader("BsdfDiffuse"), shader("Emission"), shader("BsdfTranslucent"), shader("BsdfToon")),
    *(another_output_is_for_cycles, mixed_shaders, added_shaders, muted_link, muted_node, colours_of_corners),
    *(colours_of_vertices_times_a_picture, noise, gradient_of_the_object, world_position, colour_of_the_object),
    *(checker_by_uv, point_mapping, texture_mapping, inverted_mapped_picture, clipped_picture, extended_picture),
    *(second_uv_map, two_uv_maps, hard_pixels, data_picture, linear_picture, transparent_picture_without_its_alpha),
    *(unlit_as_gltf_has_it, nothing_linked, circle_of_shaders, dangling_reroute, muted_picture, mirrored_picture),
]
if bpy.app.version < (5, 0):  # where such a reroute gives black
    OPAQUE.remove(dangling_reroute)
CLEAR = [
    *(alpha_of_the_picture, alpha_of_another_picture, constant_alpha, clear_by_mixing, shader_through_a_group),
]
