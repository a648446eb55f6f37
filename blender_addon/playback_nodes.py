# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry nodes that read a frame of Gaussians from the points that hold it (`ani3d_formats.playback_file`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import bpy

from ani3d_formats.playback_file import Packing

from . import viewport_points
from .geometry_nodes import named_attribute, stored_attribute
from .math_nodes import math_node

ATTRIBUTE_TYPES = {"scale": "FLOAT_VECTOR", "rotation": "QUATERNION", "radiance:base": "FLOAT_COLOR"}


Player = tuple[bpy.types.Object, Packing]
"""An object of loose points, and how attributes lie in them."""


def playback_nodes(
    name: str, still: bpy.types.Object | int, players: Sequence[Player], nth: int = 0
) -> bpy.types.NodeTree:
    """Geometry nodes that give Gaussians the attributes that `players` hold. They are those of the cloud `still`, or so
    many made of the one point that comes in, which are numbered. The viewport shows one of `nth` of them until
    `viewport_points.space` says otherwise; with 0 always all."""
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
    if nth:
        geometry = viewport_points.thinned(tree, geometry, nth)
    vectors, fourths = dict[str, bpy.types.NodeSocket](), dict[str, bpy.types.NodeSocket]()
    for points, plan in players:
        reader = _Reader(tree, points)
        for attribute, block in plan.blocks.items():
            if block.first is not None:
                vectors[attribute] = reader.vector(block.first)
            if block.fourth is not None:
                fourths[attribute] = reader.fourth(block.fourth)
    for attribute, vector in vectors.items():
        if attribute == "position":
            setter: Any = tree.nodes.new("GeometryNodeSetPosition")
            tree.links.new(vector, setter.inputs["Position"])
            tree.links.new(geometry, setter.inputs["Geometry"])
            geometry = setter.outputs["Geometry"]
        elif kind := ATTRIBUTE_TYPES.get(attribute):
            value = _joined(tree, kind, vector, fourths.get(attribute))
            geometry = stored_attribute(tree, geometry, attribute, kind, value)
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


def _joined(
    tree: bpy.types.NodeTree, kind: str, vector: bpy.types.NodeSocket, fourth: bpy.types.NodeSocket | None
) -> bpy.types.NodeSocket:
    """An attribute of a type of `ATTRIBUTE_TYPES`."""
    if kind == "FLOAT_VECTOR" or fourth is None:
        return vector
    name = "FunctionNodeQuaternionToRotation" if kind == "QUATERNION" else "FunctionNodeCombineColor"
    combine, split = tree.nodes.new(name), tree.nodes.new("ShaderNodeSeparateXYZ")
    tree.links.new(vector, split.inputs[0])
    for source, target in zip([*split.outputs, fourth], combine.inputs, strict=True):
        tree.links.new(source, target)
    return combine.outputs[0]


class _Reader:
    """Makes the nodes that read packed numbers from the points of one object."""

    def __init__(self, tree: bpy.types.NodeTree, points: bpy.types.Object) -> None:
        self._tree, self._new, self._link = tree, cast(Any, tree.nodes).new, tree.links.new
        info = self._new("GeometryNodeObjectInfo")
        info.inputs["Object"].default_value = points
        self._points = info.outputs["Geometry"]

    def vector(self, first: int, index: str = viewport_points.INDEX) -> bpy.types.NodeSocket:
        """Point `first` + the attribute `index` of the Gaussian."""
        sample = self._new("GeometryNodeSampleIndex")
        sample.data_type, sample.domain = "FLOAT_VECTOR", "POINT"
        self._link(self._points, sample.inputs["Geometry"])
        self._link(self._new("GeometryNodeInputPosition").outputs[0], sample.inputs["Value"])
        number = named_attribute(self._tree, index, "INT")
        self._link(math_node(self._tree, "ADD", number, float(first)) if first else number, sample.inputs["Index"])
        return sample.outputs["Value"]

    def fourth(self, first: int) -> bpy.types.NodeSocket:
        """The Gaussian's number of those packed by three from point `first` on."""
        product = self._new("ShaderNodeVectorMath")
        product.operation = "DOT_PRODUCT"
        self._link(self.vector(first, viewport_points.THIRD), product.inputs[0])
        self._link(named_attribute(self._tree, viewport_points.PLACE, "FLOAT_VECTOR"), product.inputs[1])
        return product.outputs["Value"]
