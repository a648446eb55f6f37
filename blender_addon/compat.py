# SPDX-License-Identifier: GPL-3.0-or-later
"""The one file that knows Blender versions. Everything else asks for what it wants here.

Point clouds: from 5.2 they can be resized; before, geometry nodes make one of the right size, which is copied.
Splats: from 5.3 a point cloud may be a Gaussian splat and Blender draws it; before, geometry nodes do.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, cast

import bpy
import numpy as np

_VALUE_FIELDS = ("vector", "color", "value")  # how attribute items name their payload, type by type


def draws_splats() -> bool:
    """True when this Blender renders Gaussian splats itself (5.3 and later)."""
    kind: Any = bpy.types.PointCloud.bl_rna.properties.get("type")
    return kind is not None and "GAUSSIAN_SPLAT" in kind.enum_items


def mark_as_splats(cloud: Any) -> None:
    """Have Blender draw `cloud` as Gaussian splats; only where `draws_splats()`."""
    cloud.type = "GAUSSIAN_SPLAT"


def new_point_cloud_object(name: str, count: int, collection: bpy.types.Collection) -> bpy.types.Object:
    """A new point cloud object of `count` points at the origin, linked to `collection`, which the scene shows."""
    cloud: Any = bpy.data.pointclouds.new(name)
    item = bpy.data.objects.new(name, cloud)
    collection.objects.link(item)
    if hasattr(bpy.types.PointCloud, "resize"):
        cloud.resize(count)
        return item
    tree = bpy.data.node_groups.new(name, "GeometryNodeTree")
    tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    points: Any = tree.nodes.new("GeometryNodePoints")
    points.inputs["Count"].default_value = count
    tree.links.new(points.outputs[0], tree.nodes.new("NodeGroupOutput").inputs[0])
    cast(bpy.types.NodesModifier, item.modifiers.new(name, "NODES")).node_group = tree
    made: Any = item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.copy()
    made.name = name
    made.attributes.remove(made.attributes["radius"])
    item.modifiers.clear()
    item.data = made
    bpy.data.node_groups.remove(tree)
    bpy.data.pointclouds.remove(cloud)
    return item


def values_field(attribute: Any) -> str:
    """Name of the item property that holds an attribute's payload, for foreach_get and foreach_set."""
    properties = attribute.data[0].bl_rna.properties
    return next(name for name in _VALUE_FIELDS if name in properties)


def node_tree(owner: bpy.types.Material | bpy.types.World) -> bpy.types.NodeTree:
    """The shader nodes of a material or world; before 5.0 they have to be switched on first."""
    if owner.node_tree is None:
        owner.use_nodes = True
    return owner.node_tree


def set_brush_weight(context: bpy.types.Context, weight: float) -> None:
    """The weight that a stroke of weight painting aims at; each mode has its own from 5.0 on."""
    tools: Any = context.scene.tool_settings
    settings = getattr(tools, "unified_paint_settings", None) or tools.weight_paint.unified_paint_settings
    settings.weight = weight


def nodes_in_use(owner: bpy.types.Material | bpy.types.World) -> Iterable[bpy.types.Node]:
    """The shader nodes a material or world is drawn with; none where `draws_nodes` says so."""
    return owner.node_tree.nodes if draws_nodes(owner) else ()


def draws_nodes(owner: bpy.types.Material | bpy.types.World) -> bool:
    """Whether nodes draw a material or world; before 5.0 it may have some that are switched off."""
    return owner.node_tree is not None and (bpy.app.version >= (5, 0) or owner.use_nodes)


def light_factor(light: bpy.types.Light) -> np.ndarray:
    """(3,) what a light's exposure (from 4.4 on) and temperature (from 4.5 on) multiply its colour with."""
    settings: Any = light
    tint = settings.temperature_color if getattr(settings, "use_temperature", False) else (1.0, 1.0, 1.0)
    return np.array(tint, np.float64) * 2.0 ** getattr(settings, "exposure", 0.0)


def light_nodes(light: bpy.types.Light) -> bpy.types.NodeTree | None:
    """The shader nodes of a light, none where they are switched off; in 5.3 they cannot be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return light.node_tree if light.use_nodes else None


def look_all_around(lens: Any) -> None:
    """Make a camera one that sees all directions in an equirectangular picture; before 5.0 Cycles owned the setting."""
    lens.type = "PANO"
    owner = lens if hasattr(lens, "panorama_type") else lens.cycles
    owner.panorama_type = "EQUIRECTANGULAR"


def relative_path_options() -> set[Any]:
    """Options of a path property that may begin with '//'; some versions warn of such a path without them."""
    known = "is_path_supports_blend_relative" in bpy.types.Property.bl_rna.properties
    return {"PATH_SUPPORTS_BLEND_RELATIVE"} if known else set()


def write_curve(
    owner: bpy.types.ID, action: bpy.types.Action, path: str, index: int, frames: np.ndarray, values: np.ndarray
) -> None:
    """Key one channel of `owner`, whose action `action` is, with straight lines; from 4.4 on actions have slots."""
    if hasattr(action, "fcurve_ensure_for_datablock"):
        curve = action.fcurve_ensure_for_datablock(owner, path, index=index)
    else:
        curve = cast(Any, action).fcurves.new(path, index=index)
    curve.keyframe_points.add(len(frames))
    curve.keyframe_points.foreach_set("co", np.stack([frames, values], axis=1).astype(np.float32).ravel())
    interpolation: Any = bpy.types.Keyframe.bl_rna.properties["interpolation"]
    linear = interpolation.enum_items["LINEAR"].value
    curve.keyframe_points.foreach_set("interpolation", np.full(len(frames), linear, np.int32))
    curve.update()


def write_png(settings: bpy.types.ImageFormatSettings) -> None:
    """Have renders written as PNG files of 16 bits a channel, in the colours of the scene's view."""
    chosen: Any = settings
    if "media_type" in settings.bl_rna.properties:
        chosen.media_type = "IMAGE"
    chosen.file_format = "PNG"
    chosen.color_mode, chosen.color_depth, chosen.color_management = "RGB", "16", "FOLLOW_SCENE"


def write_layers(settings: bpy.types.ImageFormatSettings) -> None:
    """Have renders written as OpenEXR files of all passes, half floats without compression; 5.0 asks for a kind of
    media first."""
    chosen: Any = settings
    if "media_type" in settings.bl_rna.properties:
        chosen.media_type = "MULTI_LAYER_IMAGE"
    chosen.file_format = "OPEN_EXR_MULTILAYER"
    chosen.exr_codec, chosen.color_depth = "NONE", "16"


def compositor_tree(scene: bpy.types.Scene) -> bpy.types.NodeTree | None:
    """The compositor's nodes of a scene, those that come last: the scene's own, from 5.0 on a group of the file's, from
    5.3 on the group of the last of its effects."""
    owner: Any = scene
    if "compositor_effects" in owner.bl_rna.properties:
        return owner.compositor_effects[-1].node_group if len(owner.compositor_effects) else None
    return owner.compositing_node_group if hasattr(owner, "compositing_node_group") else owner.node_tree


def compositor_output(scene: bpy.types.Scene) -> tuple[bpy.types.NodeTree, bpy.types.NodeSocket]:
    """The compositor's nodes of a scene and the socket that takes the picture, made where they are missing."""
    owner: Any = scene
    tree: Any = compositor_tree(scene)
    if tree is None:
        if "compositor_effects" in owner.bl_rna.properties:
            tree = bpy.data.node_groups.new(scene.name, "CompositorNodeTree")
            effect = owner.compositor_effects[-1] if len(owner.compositor_effects) else owner.compositor_effects.new("")
            effect.node_group = tree
        elif hasattr(owner, "compositing_node_group"):
            tree = owner.compositing_node_group = bpy.data.node_groups.new(scene.name, "CompositorNodeTree")
        else:
            owner.use_nodes = True
            tree = owner.node_tree
    is_group = bpy.app.version >= (5, 0)
    sockets = [item for item in tree.interface.items_tree if item.item_type == "SOCKET"] if is_group else []
    if is_group and not any(socket.in_out == "OUTPUT" for socket in sockets):
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    kind = "NodeGroupOutput" if is_group else "CompositorNodeComposite"
    outputs = [node for node in tree.nodes if node.bl_idname == kind] or [tree.nodes.new(kind)]
    return tree, next((node for node in outputs if getattr(node, "is_active_output", True)), outputs[0]).inputs[0]


def compositor_trees() -> Iterable[bpy.types.NodeTree]:
    """The compositor's nodes of all scenes."""
    for scene in bpy.data.scenes:
        tree = compositor_tree(scene)
        if tree is not None:
            yield tree


def over_sockets(node: Any) -> tuple[bpy.types.NodeSocket, bpy.types.NodeSocket]:
    """Of an Alpha Over node the inputs for what is behind and what is in front; before 5.0 both are called Image."""
    sockets = [socket for socket in node.inputs if socket.type == "RGBA"]
    return sockets[0], sockets[1]
