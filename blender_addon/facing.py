# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns Gaussians to the scene's camera in renders, so that Blender's picture of them is near the engine's.

The engine puts Gaussians behind each other by the depths of their centres; a ray tracer by where each ray meets them,
which on a surface of overlapping flat ones is another order, and so another picture. Of two that both face the
camera every ray meets first the one whose centre is nearer. So each is replaced by the one that faces the camera
and covers the same ellipse of the picture: with its axes a_k (standard deviations, in the camera's frame) at a
centre (x, y, z), an axis reaches a_k.xy - a_k.z (x, y) / z across the plane through the centre, and the sum of those
vectors' outer products has the new one's axes.

Blender mixes Gaussians in linear light, where what is bright grows over what is dark; the engine mixes encoded
colours. Drawn a little smaller they mix less.

In mirrors, in shadows and from other views than that camera's they are seen as the cards they are.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import bpy

from .geometry_nodes import chosen, named_attribute, stored_attribute
from .math_nodes import math_node

NAME = "Ani3D Facing"
SHRINK = 0.9
THICKNESS = 0.02  # of the shorter axis
LEAST = 1e-12  # metres squared
FACING = "ani3d_facing"  # standard deviations along both axes across the view, and the first one's angle


def facing_camera(tree: bpy.types.NodeTree, points: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """The points with `scale` and `rotation` of Gaussians that face the scene's camera; in the viewport as they are."""
    nodes, link = cast(Any, tree.nodes), tree.links.new
    camera = nodes.new("GeometryNodeInputActiveCamera").outputs[0]
    place = nodes.new("GeometryNodeObjectInfo")
    place.transform_space = "RELATIVE"
    link(camera, place.inputs["Object"])
    measured = stored_attribute(tree, points, FACING, "FLOAT_VECTOR", _across_the_view(tree, camera, place))
    found = nodes.new("ShaderNodeSeparateXYZ")
    link(named_attribute(tree, FACING, "FLOAT_VECTOR"), found.inputs[0])
    size, turn = nodes.new("ShaderNodeCombineXYZ"), nodes.new("FunctionNodeAxisAngleToRotation")
    for axis, factor in enumerate((SHRINK, SHRINK, THICKNESS)):
        link(math_node(tree, "MULTIPLY", found.outputs[min(axis, 1)], factor), size.inputs[axis])
    turn.inputs["Axis"].default_value = (0, 0, 1)
    link(found.outputs[2], turn.inputs["Angle"])
    with_camera = nodes.new("FunctionNodeRotateRotation")
    link(turn.outputs[0], with_camera.inputs[0])
    link(place.outputs["Rotation"], with_camera.inputs[1])
    turned = stored_attribute(tree, measured, "scale", "FLOAT_VECTOR", size.outputs[0])
    turned = stored_attribute(tree, turned, "rotation", "QUATERNION", with_camera.outputs[0])
    return chosen(tree, nodes.new("GeometryNodeIsViewport").outputs[0], turned, points)


def facing() -> bpy.types.NodeTree:
    """New geometry nodes that turn a cloud's Gaussians to the camera in renders."""
    tree = bpy.data.node_groups.new(NAME, "GeometryNodeTree")
    for side in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=side, socket_type="NodeSocketGeometry")
    points = tree.nodes.new("NodeGroupInput").outputs[0]
    tree.links.new(facing_camera(tree, points), tree.nodes.new("NodeGroupOutput").inputs[0])
    return tree


def _across_the_view(
    tree: bpy.types.NodeTree, camera: bpy.types.NodeSocket, place: bpy.types.Node
) -> bpy.types.NodeSocket:
    """Standard deviations (two) and an angle of every Gaussian across the view of the camera at `place`."""
    nodes, link, math = cast(Any, tree.nodes), tree.links.new, partial(math_node, tree)
    back = nodes.new("FunctionNodeInvertRotation")
    link(place.outputs["Rotation"], back.inputs[0])

    def seen(vector: bpy.types.NodeSocket) -> Any:
        """A vector's three numbers in the camera's frame."""
        turned, split = nodes.new("FunctionNodeRotateVector"), nodes.new("ShaderNodeSeparateXYZ")
        link(vector, turned.inputs[0])
        link(back.outputs[0], turned.inputs[1])
        link(turned.outputs[0], split.inputs[0])
        return split.outputs

    away = nodes.new("ShaderNodeVectorMath")
    away.operation = "SUBTRACT"
    link(nodes.new("GeometryNodeInputPosition").outputs[0], away.inputs[0])
    link(place.outputs["Location"], away.inputs[1])
    x, y, z = seen(away.outputs[0])
    lens = _perspective(tree, camera)
    slopes = [math("MULTIPLY", math("DIVIDE", side, z), lens) for side in (x, y)]
    scale = nodes.new("ShaderNodeSeparateXYZ")
    link(named_attribute(tree, "scale", "FLOAT_VECTOR"), scale.inputs[0])
    rotation = named_attribute(tree, "rotation", "QUATERNION")
    sums: list[Any] = [0.0, 0.0, 0.0]  # xx, xy, yy
    for axis in range(3):
        unit = nodes.new("FunctionNodeRotateVector")
        unit.inputs[0].default_value = [float(axis == k) for k in range(3)]
        link(rotation, unit.inputs[1])
        *sides, deep = (math("MULTIPLY", number, scale.outputs[axis]) for number in seen(unit.outputs[0]))
        u, v = (math("SUBTRACT", a, math("MULTIPLY", deep, slope)) for a, slope in zip(sides, slopes, strict=True))
        sums = [math("MULTIPLY_ADD", *pair, total) for pair, total in zip(((u, u), (u, v), (v, v)), sums, strict=True)]
    xx, xy, yy = sums
    mean, half = math("MULTIPLY", math("ADD", xx, yy), 0.5), math("MULTIPLY", math("SUBTRACT", xx, yy), 0.5)
    spread = math("SQRT", math("MULTIPLY_ADD", half, half, math("MULTIPLY", xy, xy)), 0.0)
    joined = nodes.new("ShaderNodeCombineXYZ")
    for socket, operation in zip(joined.inputs, ("ADD", "SUBTRACT"), strict=False):
        link(math("SQRT", math("MAXIMUM", math(operation, mean, spread), LEAST), 0.0), socket)
    link(math("MULTIPLY", math("ARCTAN2", xy, half), 0.5), joined.inputs[2])
    return joined.outputs[0]


def _perspective(tree: bpy.types.NodeTree, camera: bpy.types.NodeSocket) -> Any:
    """1 for a camera with perspective and 0 without; before Blender 5.0 nodes cannot ask, and it is 1."""
    if not hasattr(bpy.types, "GeometryNodeCameraInfo"):
        return 1.0
    info = tree.nodes.new("GeometryNodeCameraInfo")
    tree.links.new(camera, info.inputs[0])
    return math_node(tree, "SUBTRACT", 1.0, info.outputs["Is Orthographic"])
