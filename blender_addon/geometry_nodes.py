# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry nodes that the trees of results share: named attributes of points, and a choice between two values."""

from __future__ import annotations

from typing import Any

import bpy


def named_attribute(tree: bpy.types.NodeTree, name: str, kind: str = "FLOAT") -> bpy.types.NodeSocket:
    """A named attribute, 0 where it is missing."""
    node: Any = tree.nodes.new("GeometryNodeInputNamedAttribute")
    node.data_type = kind
    node.inputs["Name"].default_value = name
    return node.outputs["Attribute"]


def stored_attribute(
    tree: bpy.types.NodeTree, points: bpy.types.NodeSocket, name: str, kind: str, value: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    """The points with `value` as their attribute of that name."""
    node: Any = tree.nodes.new("GeometryNodeStoreNamedAttribute")
    node.data_type, node.domain = kind, "POINT"
    node.inputs["Name"].default_value = name
    tree.links.new(points, node.inputs["Geometry"])
    tree.links.new(value, node.inputs["Value"])
    return node.outputs["Geometry"]


def chosen(
    tree: bpy.types.NodeTree,
    condition: bpy.types.NodeSocket,
    otherwise: bpy.types.NodeSocket,
    value: bpy.types.NodeSocket,
    kind: str = "GEOMETRY",
) -> bpy.types.NodeSocket:
    """`value` where the condition holds, else `otherwise`."""
    node: Any = tree.nodes.new("GeometryNodeSwitch")
    node.input_type = kind
    tree.links.new(condition, node.inputs["Switch"])
    tree.links.new(otherwise, node.inputs["False"])
    tree.links.new(value, node.inputs["True"])
    return node.outputs[0]
