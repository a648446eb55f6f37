# SPDX-License-Identifier: GPL-3.0-or-later
"""What the viewport shows of Gaussians before Blender 5.3: points, and of very many every second or third, larger.

The others are left out before anything is read for them, so a frame costs as little as there are points.
"""

from __future__ import annotations

import math
from typing import Any

import bpy

from .geometry_nodes import chosen, named_attribute, stored_attribute
from .math_nodes import math_node

NAME = "Ani3D Viewport"
SWITCH = "Ellipsoids in Viewport"  # label of the node that says so
MOST = 20_000  # points, unless another number is chosen
SPACING = "Ani3D One Point of"  # the node that says how many Gaussians a point of the viewport stands for
INDEX = "ani3d_index"  # a Gaussian's number, where not all are there
THIRD, PLACE = "ani3d_third", "ani3d_place"  # a third of that number, and 1 where the rest is 0, 1 or 2
NTH = "ani3d_nth"  # how many Gaussians a point stands for, where it is not one


def every_nth(count: int, most: int) -> int:
    """One of how many of `count` Gaussians is shown where `most` points may be; 0 for all of them."""
    return max(1, math.ceil(count / most)) if most else 1


def light(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket:
    """Whether points are to be shown: in the viewport, unless ellipsoids are asked for."""
    group: Any = tree.nodes.new("GeometryNodeGroup")
    group.node_tree = bpy.data.node_groups.get(NAME) or _group()
    return group.outputs[0]


def switch() -> bpy.types.Node | None:
    """The node whose `boolean` has the viewport show ellipsoids; None where Blender draws splats, or nothing does."""
    tree: Any = bpy.data.node_groups.get(NAME)
    return tree.nodes.get(SWITCH) if tree else None


def numbered(tree: bpy.types.NodeTree, points: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """The points with `INDEX`, `THIRD` and `PLACE`."""
    nodes: Any = tree.nodes
    index, third = nodes.new("GeometryNodeInputIndex").outputs[0], nodes.new("ShaderNodeCombineXYZ")
    rest = math_node(tree, "MODULO", index, 3.0)
    for place, socket in enumerate(third.inputs):
        tree.links.new(math_node(tree, "COMPARE", rest, float(place), 0.5), socket)
    point = math_node(tree, "FLOOR", math_node(tree, "DIVIDE", math_node(tree, "ADD", index, 0.5), 3.0))
    points = stored_attribute(tree, points, INDEX, "INT", index)
    points = stored_attribute(tree, points, THIRD, "INT", point)
    return stored_attribute(tree, points, PLACE, "FLOAT_VECTOR", third.outputs[0])


def thinned(tree: bpy.types.NodeTree, points: bpy.types.NodeSocket, nth: int) -> bpy.types.NodeSocket:
    """One of `nth` points with `INDEX` and `NTH` where the viewport shows points, else all of them."""
    nodes: Any = tree.nodes
    spacing = nodes.new("ShaderNodeValue")
    spacing.name = spacing.label = SPACING
    spacing.outputs[0].default_value = nth
    fewer = nodes.new("GeometryNodeDeleteGeometry")
    fewer.domain = "POINT"
    tree.links.new(points, fewer.inputs["Geometry"])
    left_out = math_node(tree, "MODULO", named_attribute(tree, INDEX, "INT"), spacing.outputs[0])
    tree.links.new(left_out, fewer.inputs["Selection"])
    shown = stored_attribute(tree, fewer.outputs[0], NTH, "FLOAT", spacing.outputs[0])
    both = nodes.new("FunctionNodeBooleanMath")  # AND; where all are shown nothing need be taken away
    tree.links.new(light(tree), both.inputs[0])
    tree.links.new(math_node(tree, "GREATER_THAN", spacing.outputs[0], 1.0), both.inputs[1])
    return chosen(tree, both.outputs[0], points, shown)


def space(tree: bpy.types.NodeTree, nth: int) -> None:
    """Have the viewport show one of `nth` of a tree's points; one that is not `thinned` shows all."""
    spacing: Any = tree.nodes.get(SPACING)
    if spacing is not None:
        spacing.outputs[0].default_value = nth


def _group() -> bpy.types.NodeTree:
    tree = bpy.data.node_groups.new(NAME, "GeometryNodeTree")
    tree.interface.new_socket("Points", in_out="OUTPUT", socket_type="NodeSocketBool")
    nodes: Any = tree.nodes
    asked, both = nodes.new("FunctionNodeInputBool"), nodes.new("FunctionNodeBooleanMath")
    asked.label = asked.name = SWITCH
    both.operation = "NIMPLY"
    tree.links.new(nodes.new("GeometryNodeIsViewport").outputs[0], both.inputs[0])
    tree.links.new(asked.outputs[0], both.inputs[1])
    tree.links.new(both.outputs[0], nodes.new("NodeGroupOutput").inputs[0])
    return tree
