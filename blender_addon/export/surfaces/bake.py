# SPDX-License-Identifier: GPL-3.0-or-later
"""Baking by Cycles: the colour and opacity of a working material over a mesh's UV layout, in a scene of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import bpy
import numpy as np

from ...cycles import cycles_scene
from ...math_nodes import Color, Factor, put
from .arithmetic import Nodes
from .graph import LUMINANCE
from .shaders import Shown, WorkingMaterial

_TINY = 1e-20  # keeps the alpha of pictures in the tree, which decides how Blender reads their colours


def bake(work: WorkingMaterial, shown: Shown, item: bpy.types.Object, uv_map: str, size: tuple[int, int]) -> np.ndarray:
    """What the material shows on `item`, by the UV map `uv_map`.

    Args:
        work: its material is given other nodes.
        shown: its colour and opacity, in the tree of `work`.
        item: a mesh object that is in no scene.
        size: width and height of the picture, pixels.

    Returns:
        (H,W,4) float32 linear colours, straight, and opacity; the bottom row first.

    Raises:
        RuntimeError: Blender's words, where Cycles does not bake.
    """
    tree: Any = work.material.node_tree
    for node in [n for n in tree.nodes if n.type == "OUTPUT_MATERIAL"]:
        tree.nodes.remove(node)
    emission, output = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(emission.outputs[0], output.inputs["Surface"])
    result = np.ones((size[1], size[0], 4), np.float32)
    with _scene(item) as scene, _target(tree, size) as image:
        put(tree, emission.inputs["Strength"], _nearly_one(tree, shown.alpha))
        result[..., :3] = _emitted(scene, item, emission, shown.color, uv_map, image)[..., :3]
        if isinstance(shown.alpha, float):
            result[..., 3] = shown.alpha
        else:
            for link in list(emission.inputs["Strength"].links):
                tree.links.remove(link)
            emission.inputs["Strength"].default_value = 1.0
            result[..., 3] = _emitted(scene, item, emission, shown.alpha, uv_map, image)[..., :3] @ LUMINANCE
    return np.clip(np.nan_to_num(result), 0, 1)


def _nearly_one(tree: Any, alpha: Factor) -> Factor:
    if isinstance(alpha, float):
        return 1.0
    nodes = Nodes(tree)
    return nodes.plus(nodes.times(alpha, _TINY), 1.0)


@contextmanager
def _scene(item: bpy.types.Object) -> Iterator[bpy.types.Scene]:
    """A scene with `item` alone, at the frame of the present one."""
    with cycles_scene("ani3d bake", bpy.context.scene, 1) as scene:
        scene.collection.objects.link(item)
        scene.view_layers[0].objects.active = item
        item.select_set(True, view_layer=scene.view_layers[0])
        yield scene


@contextmanager
def _target(tree: Any, size: tuple[int, int]) -> Iterator[bpy.types.Image]:
    """A picture that is baked to, by an active node of `tree`."""
    image: Any = bpy.data.images.new("ani3d bake", *size, float_buffer=True)
    try:
        image.colorspace_settings.name = "Non-Color"
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = image
        tree.nodes.active = node
        yield image
        tree.nodes.remove(node)
    finally:
        bpy.data.images.remove(image)


def _emitted(
    scene: bpy.types.Scene,
    item: bpy.types.Object,
    emission: Any,
    color: Color | Factor,
    uv_map: str,
    image: bpy.types.Image,
) -> np.ndarray:
    put(emission.id_data, emission.inputs["Color"], color)
    layer = scene.view_layers[0]
    chosen: dict[str, Any] = {
        "active_object": item,
        "object": item,
        "selected_objects": [item],
        "selected_editable_objects": [item],
    }
    with bpy.context.temp_override(scene=scene, view_layer=layer, **chosen):
        bpy.ops.object.bake(
            type="EMIT",
            margin=0,
            use_clear=True,
            use_selected_to_active=False,
            target="IMAGE_TEXTURES",
            save_mode="INTERNAL",
            uv_layer=uv_map,
        )
    values: Any = np.empty(image.size[0] * image.size[1] * 4, np.float32)
    cast(Any, image.pixels).foreach_get(values)
    return values.reshape(image.size[1], image.size[0], 4)
