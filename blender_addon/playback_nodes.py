# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry nodes that read a frame of Gaussians from the points that hold it (`ani3d_formats.playback_file`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import bpy

from ani3d_formats.playback_file import Block, Packing

from . import viewport_points
from .geometry_nodes import named_attribute, stored_attribute
from .math_nodes import math_node

ATTRIBUTE_TYPES = {"scale": "FLOAT_VECTOR", "rotation": "QUATERNION", "radiance:base": "FLOAT_COLOR"}


Player = tuple[bpy.types.Object, Packing]
"""An object of loose points, and how attributes lie in them."""


def playback_nodes(
    name: str, still: bpy.types.Object | int, players: Sequence[Player], nth: int = 1
) -> bpy.types.NodeTree:
    """Geometry nodes that give Gaussians the attributes that `players` hold. They are those of the cloud `still`, or so
    many made of the one point that comes in, which are numbered. The viewport may show one of `nth` of them."""
    tree = bpy.data.node_groups.new(name, "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    if isinstance(still, int):
        many: Any = tree.nodes.new("GeometryNodeDuplicateElements")  # which keeps the cloud a cloud of splats
        many.domain = "POINT"
        many.inputs["Amount"].default_value = still
        tree.links.new(tree.nodes.new("NodeGroupInput").outputs[0], many.inputs["Geometry"])
        geometry = viewport_points.numbered(tree, many.outputs[0])
    else:
        info: Any = tree.nodes.new("GeometryNodeObjectInfo")
        info.inputs["Object"].default_value = still
        geometry = info.outputs["Geometry"]
    if nth > 1:
        geometry = viewport_points.thinned(tree, geometry, nth)
    for points, plan in players:
        reader = _Reader(tree, points)
        for attribute, block in plan.blocks.items():
            if attribute == "position":
                setter: Any = tree.nodes.new("GeometryNodeSetPosition")
                tree.links.new(reader.vector(block.first), setter.inputs["Position"])
                tree.links.new(geometry, setter.inputs["Geometry"])
                geometry = setter.outputs["Geometry"]
            elif kind := ATTRIBUTE_TYPES.get(attribute):
                geometry = stored_attribute(tree, geometry, attribute, kind, reader.value(kind, block))
    tree.links.new(geometry, tree.nodes.new("NodeGroupOutput").inputs[0])
    return tree


def loose_points(name: str, count: int) -> bpy.types.NodeTree:
    """Geometry nodes that make a mesh of `count` loose points, all in one place."""
    tree = bpy.data.node_groups.new(name, "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    line: Any = tree.nodes.new("GeometryNodeMeshLine")
    line.inputs["Count"].default_value = count
    line.inputs["Offset"].default_value = (0, 0, 0)
    tree.links.new(line.outputs[0], tree.nodes.new("NodeGroupOutput").inputs[0])
    return tree


def objects_read_by(tree: bpy.types.NodeTree) -> list[bpy.types.Object]:
    """The objects that nodes read."""
    infos: list[Any] = [node for node in tree.nodes if node.bl_idname == "GeometryNodeObjectInfo"]
    return [found for info in infos if (found := info.inputs["Object"].default_value) is not None]


class _Reader:
    """Makes the nodes that read packed numbers from the points of one object."""

    def __init__(self, tree: bpy.types.NodeTree, points: bpy.types.Object) -> None:
        self._tree, self._new, self._link = tree, cast(Any, tree.nodes).new, tree.links.new
        info = self._new("GeometryNodeObjectInfo")
        info.inputs["Object"].default_value = points
        self._points = info.outputs["Geometry"]
        self._place = self._new("GeometryNodeInputPosition").outputs[0]
        self._index = named_attribute(tree, viewport_points.INDEX, "INT")

    def value(self, kind: str, block: Block) -> bpy.types.NodeSocket:
        """The attribute in `block`, of a type of `ATTRIBUTE_TYPES`."""
        if kind == "FLOAT_VECTOR" or block.fourth is None:
            return self.vector(block.first)
        combine = self._new("FunctionNodeQuaternionToRotation" if kind == "QUATERNION" else "FunctionNodeCombineColor")
        split = self._split(self.vector(block.first))
        for source, target in zip([*split, self._fourth(block.fourth)], combine.inputs, strict=True):
            self._link(source, target)
        return combine.outputs[0]

    def vector(self, first: int, index: bpy.types.NodeSocket | None = None) -> bpy.types.NodeSocket:
        """Point number `first` + `index`, by default the Gaussian's own."""
        sample = self._new("GeometryNodeSampleIndex")
        sample.data_type, sample.domain = "FLOAT_VECTOR", "POINT"
        self._link(self._points, sample.inputs["Geometry"])
        self._link(self._place, sample.inputs["Value"])
        self._link(self._number("ADD", index or self._index, first), sample.inputs["Index"])
        return sample.outputs["Value"]

    def _fourth(self, first: int) -> bpy.types.NodeSocket:
        """The Gaussian's number of those packed by three from point `first` on."""
        choose = self._new("GeometryNodeIndexSwitch")
        choose.data_type = "FLOAT"
        choose.index_switch_items.new()
        self._link(self._number("MODULO", self._index, 3), choose.inputs["Index"])
        point = self._number("FLOOR", self._number("DIVIDE", self._index, 3), 0)
        numbers = self._split(self.vector(first, point))
        for place, number in enumerate(numbers, start=1):
            self._link(number, choose.inputs[place])
        return choose.outputs["Output"]

    def _number(self, operation: str, first: bpy.types.NodeSocket, second: int) -> bpy.types.NodeSocket:
        return math_node(self._tree, operation, first, float(second))

    def _split(self, vector: bpy.types.NodeSocket) -> list[bpy.types.NodeSocket]:
        node = self._new("ShaderNodeSeparateXYZ")
        self._link(vector, node.inputs[0])
        return list(node.outputs)
