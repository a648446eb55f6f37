# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws Gaussians before Blender 5.3, which draws splats itself.

Geometry nodes put a small sphere on every point, turned by `rotation` and stretched by `scale`. The material
makes each one a Gaussian: along a view ray the density peaks where the ray passes closest to the centre,
so opacity is alpha * exp(-r^2 / 2), with r that closest distance in the sphere's own space, in standard deviations.

The viewport shows round points instead, unless asked for more: tens of thousands of half-clear ellipsoids take seconds
to draw, and in Solid, which knows no transparency, they are rubble.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import bpy

from ani3d_formats.gaussians import SH_C0

from . import compat, facing, viewport_points
from .geometry_nodes import chosen, named_attribute, stored_attribute
from .math_nodes import math_node
from .sentence import said

COLOR_ATTRIBUTE = "ani3d_color"  # linear RGB and opacity, what the material reads
NAME = "Ani3D Gaussians"
TRANSPARENT_BOUNCES = 64
FACETED = 2, 1  # subdivisions of the sphere in renders and in the viewport, which draws a quarter of the faces
POINTS = "Ani3D Points"  # the material of points
POINT_SIZE = 1.6  # of the radius of a point, in mean standard deviations
SIGMAS = 2.8  # radius of the drawn sphere: the density there is 2 % of its peak


def add_display(item: bpy.types.Object) -> None:
    """Make the point cloud object `item` visible as Gaussians, the native way where there is one."""
    native = compat.draws_splats()
    if native:
        compat.mark_as_splats(item.data)
    name, make = (facing.NAME, facing.facing) if native else (NAME, ellipsoids)
    modifier = cast(bpy.types.NodesModifier, item.modifiers.new(name, "NODES"))
    modifier.node_group = bpy.data.node_groups.get(name) or make()


def raise_transparent_bounces(scene: bpy.types.Scene, warn: Callable[[str], None]) -> None:
    """Let Cycles' rays through as many Gaussians as lie over each other; where they end early it shows black specks."""
    cycles: Any = getattr(scene, "cycles", None)  # Cycles is an add-on, which may be off
    if cycles and cycles.transparent_max_bounces < TRANSPARENT_BOUNCES:
        before, cycles.transparent_max_bounces = cycles.transparent_max_bounces, TRANSPARENT_BOUNCES
        warn(
            said(
                "The scene's Light Paths > Transparent was raised from {before} to {after}: with less, Cycles "
                "shows black specks on Gaussians.",
                before=before,
                after=TRANSPARENT_BOUNCES,
            )
        )


def ellipsoids() -> bpy.types.NodeTree:
    """New geometry nodes that put an ellipsoid on every Gaussian."""
    tree = bpy.data.node_groups.new(NAME, "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    nodes, link = cast(Any, tree.nodes), tree.links.new  # checkers do not know which node has which fields

    sphere = nodes.new("GeometryNodeMeshIcoSphere")
    sphere.inputs["Radius"].default_value = SIGMAS
    finer = nodes.new("GeometryNodeSwitch")
    finer.input_type = "INT"
    finer.inputs["False"].default_value, finer.inputs["True"].default_value = FACETED
    link(nodes.new("GeometryNodeIsViewport").outputs[0], finer.inputs["Switch"])
    link(finer.outputs[0], sphere.inputs["Subdivisions"])
    painted = nodes.new("GeometryNodeSetMaterial")
    painted.inputs["Material"].default_value = bpy.data.materials.get(NAME) or _material()
    points, color = nodes.new("NodeGroupInput").outputs[0], _display_color(tree)
    colored = stored_attribute(tree, points, COLOR_ATTRIBUTE, "FLOAT_COLOR", color)
    instances = nodes.new("GeometryNodeInstanceOnPoints")
    link(facing.facing_camera(tree, colored), instances.inputs["Points"])
    link(sphere.outputs["Mesh"], painted.inputs["Geometry"])
    link(painted.outputs["Geometry"], instances.inputs["Instance"])
    for name, kind, socket in (("scale", "FLOAT_VECTOR", "Scale"), ("rotation", "QUATERNION", "Rotation")):
        link(named_attribute(tree, name, kind), instances.inputs[socket])
    shown = chosen(
        tree, viewport_points.light(tree), instances.outputs["Instances"], _light_points(tree, points, color)
    )
    link(shown, nodes.new("NodeGroupOutput").inputs[0])
    return tree


def _light_points(
    tree: bpy.types.NodeTree, points: bpy.types.NodeSocket, color: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    """The points as balls about as large as their Gaussians, in their colours; those that stand for several larger."""
    nodes, link, math = cast(Any, tree.nodes), tree.links.new, partial(math_node, tree)

    nth = math("MAXIMUM", named_attribute(tree, viewport_points.NTH), 1.0)
    length = nodes.new("ShaderNodeVectorMath")
    length.operation = "LENGTH"
    link(named_attribute(tree, "scale", "FLOAT_VECTOR"), length.inputs[0])
    size = math("MULTIPLY", length.outputs["Value"], math("SQRT", math("MULTIPLY", nth, POINT_SIZE**2 / 3), 0.0))
    sized = nodes.new("GeometryNodeSetPointRadius")
    link(points, sized.inputs[0])
    link(size, sized.inputs["Radius"])
    colored = stored_attribute(tree, sized.outputs[0], COLOR_ATTRIBUTE, "FLOAT_COLOR", color)
    painted = nodes.new("GeometryNodeSetMaterial")
    painted.inputs["Material"].default_value = bpy.data.materials.get(POINTS) or _points_material()
    link(colored, painted.inputs["Geometry"])
    return painted.outputs[0]


def _points_material() -> bpy.types.Material:
    material = bpy.data.materials.new(POINTS)
    tree = compat.node_tree(material)
    tree.nodes.clear()
    nodes: Any = tree.nodes
    color, emission = nodes.new("ShaderNodeAttribute"), nodes.new("ShaderNodeEmission")
    color.attribute_name = COLOR_ATTRIBUTE
    tree.links.new(color.outputs["Color"], emission.inputs["Color"])
    tree.links.new(emission.outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material


def _display_color(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    """Linear RGB and opacity of `radiance:base`: raw SH DC of an sRGB colour, and opacity 0..1."""
    nodes, link, math = cast(Any, tree.nodes), tree.links.new, partial(math_node, tree)

    split, joined = nodes.new("FunctionNodeSeparateColor"), nodes.new("FunctionNodeCombineColor")
    link(named_attribute(tree, "radiance:base", "FLOAT_COLOR"), split.inputs[0])
    for channel in range(3):
        encoded = math("MINIMUM", math("MAXIMUM", math("MULTIPLY_ADD", split.outputs[channel], SH_C0, 0.5), 0.0), 1.0)
        # the two pieces of the sRGB curve, which meet at 0.04045
        low = math("DIVIDE", encoded, 12.92)
        high = math("POWER", math("DIVIDE", math("ADD", encoded, 0.055), 1.055), 2.4)
        link(chosen(tree, math("GREATER_THAN", encoded, 0.04045), low, high, "FLOAT"), joined.inputs[channel])
    link(split.outputs["Alpha"], joined.inputs["Alpha"])
    return joined.outputs[0]


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

    scalar = partial(math_node, tree)
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
    front = scalar("SUBTRACT", 1.0, geometry.outputs["Backfacing"])
    opacity = scalar("MULTIPLY", scalar("MULTIPLY", density, color.outputs["Alpha"]), front)

    emission = nodes.new("ShaderNodeEmission")
    link(color.outputs["Color"], emission.inputs["Color"])
    mix = nodes.new("ShaderNodeMixShader")
    link(opacity, mix.inputs[0])
    link(nodes.new("ShaderNodeBsdfTransparent").outputs[0], mix.inputs[1])
    link(emission.outputs[0], mix.inputs[2])
    link(mix.outputs[0], nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    return material
