# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws Gaussians before Blender 5.3, which draws splats itself.

Geometry nodes put a small sphere on every point, turned by `rotation` and stretched by `scale`. The material
makes each one a Gaussian: along a view ray the density peaks where the ray passes closest to the centre,
so opacity is alpha * exp(-r^2 / 2), with r that closest distance in the sphere's own space, in standard deviations.
"""

from __future__ import annotations

from typing import Any, cast

import bpy
import numpy as np

from ani3d_formats.color import srgb_to_linear
from ani3d_formats.gaussians import SH_C0

from . import compat

COLOR_ATTRIBUTE = "ani3d_color"  # linear RGB and opacity, what the material reads
NAME = "Ani3D Gaussians"
SIGMAS = 2.8  # radius of the drawn sphere: the density there is 2 % of its peak


def display_colors(radiance: np.ndarray) -> np.ndarray:
    """Linear RGB and opacity (N,4) of `radiance:base` (N,4): raw SH DC of an sRGB colour, and opacity 0..1."""
    linear = srgb_to_linear(np.clip(0.5 + SH_C0 * radiance[:, :3], 0.0, 1.0))
    return np.concatenate([linear, radiance[:, 3:4]], axis=1).astype(np.float32)


def add_display(item: bpy.types.Object) -> None:
    """Make the point cloud object `item` visible as Gaussians, the native way where there is one."""
    if compat.draws_splats():
        compat.mark_as_splats(item.data)
        return
    modifier = cast(bpy.types.NodesModifier, item.modifiers.new(NAME, "NODES"))
    modifier.node_group = bpy.data.node_groups.get(NAME) or _ellipsoids(bpy.data.materials.get(NAME) or _material())


def _ellipsoids(material: bpy.types.Material) -> bpy.types.NodeTree:
    tree = bpy.data.node_groups.new(NAME, "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    nodes, link = cast(Any, tree.nodes), tree.links.new  # checkers do not know which node has which fields

    sphere = nodes.new("GeometryNodeMeshIcoSphere")
    sphere.inputs["Radius"].default_value = SIGMAS
    sphere.inputs["Subdivisions"].default_value = 2
    painted = nodes.new("GeometryNodeSetMaterial")
    painted.inputs["Material"].default_value = material
    instances = nodes.new("GeometryNodeInstanceOnPoints")
    link(nodes.new("NodeGroupInput").outputs[0], instances.inputs["Points"])
    link(sphere.outputs["Mesh"], painted.inputs["Geometry"])
    link(painted.outputs["Geometry"], instances.inputs["Instance"])
    for name, kind, socket in (("scale", "FLOAT_VECTOR", "Scale"), ("rotation", "QUATERNION", "Rotation")):
        attribute = nodes.new("GeometryNodeInputNamedAttribute")
        attribute.data_type = kind
        attribute.inputs["Name"].default_value = name
        link(attribute.outputs["Attribute"], instances.inputs[socket])
    link(instances.outputs["Instances"], nodes.new("NodeGroupOutput").inputs[0])
    return tree


def _material() -> bpy.types.Material:
    material = bpy.data.materials.new(NAME)
    tree = compat.node_tree(material)
    tree.nodes.clear()
    nodes, link = cast(Any, tree.nodes), tree.links.new  # checkers do not know which node has which fields

    def vector(operation: str, first: bpy.types.NodeSocket, second: bpy.types.NodeSocket | None = None) -> Any:
        node = nodes.new("ShaderNodeVectorMath")
        node.operation = operation
        link(first, node.inputs[0])
        if second is not None:
            link(second, node.inputs[1])
        return node.outputs["Value" if operation == "DOT_PRODUCT" else "Vector"]

    def scalar(operation: str, first: bpy.types.NodeSocket, second: bpy.types.NodeSocket | float) -> Any:
        node = nodes.new("ShaderNodeMath")
        node.operation = operation
        link(first, node.inputs[0])
        if isinstance(second, float):
            node.inputs[1].default_value = second
        else:
            link(second, node.inputs[1])
        return node.outputs["Value"]

    # Closest distance of the view ray to the centre, in the sphere's own space: |p|^2 - (p . d)^2.
    point = nodes.new("ShaderNodeTexCoord").outputs["Object"]
    geometry = nodes.new("ShaderNodeNewGeometry")
    to_object = nodes.new("ShaderNodeVectorTransform")
    to_object.vector_type, to_object.convert_from, to_object.convert_to = "VECTOR", "WORLD", "OBJECT"
    link(geometry.outputs["Incoming"], to_object.inputs[0])
    ray = vector("NORMALIZE", to_object.outputs[0])
    along = vector("DOT_PRODUCT", point, ray)
    squared = scalar("SUBTRACT", vector("DOT_PRODUCT", point, point), scalar("MULTIPLY", along, along))
    density = scalar("EXPONENT", scalar("MULTIPLY", squared, -0.5), 0.0)

    color = nodes.new("ShaderNodeAttribute")
    color.attribute_type, color.attribute_name = "INSTANCER", COLOR_ATTRIBUTE
    # The ray enters and leaves every sphere; only the near side may count.
    front = nodes.new("ShaderNodeMath")
    front.operation = "SUBTRACT"
    front.inputs[0].default_value = 1.0
    link(geometry.outputs["Backfacing"], front.inputs[1])
    opacity = scalar("MULTIPLY", scalar("MULTIPLY", density, color.outputs["Alpha"]), front.outputs["Value"])

    emission = nodes.new("ShaderNodeEmission")
    link(color.outputs["Color"], emission.inputs["Color"])
    mix = nodes.new("ShaderNodeMixShader")
    link(opacity, mix.inputs[0])
    link(nodes.new("ShaderNodeBsdfTransparent").outputs[0], mix.inputs[1])
    link(emission.outputs[0], mix.inputs[2])
    link(mix.outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material
