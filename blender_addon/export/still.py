# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a scene's lights and cameras are the same at all its frames, so that they are read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import bpy

OWN = __package__.split(".export")[0] if __package__ else ""


def lights_stand_still(scene: bpy.types.Scene, view_layer: bpy.types.ViewLayer) -> bool:
    """Whether nothing is known that may move or change a light or the world while the scene plays.

    Instanced lights are not looked at.
    """
    blocks = [scene, *_with_nodes(scene.world)]
    for item in view_layer.objects:
        if item.type == "LIGHT":
            blocks += [*_with_nodes(item.data), *_carriers(item)]
    return _stand_still(blocks)


def camera_stands_still(scene: bpy.types.Scene) -> bool:
    """Whether nothing is known that may move or change the scene's present camera while the scene plays."""
    camera = scene.camera
    return camera is not None and _stand_still([scene, camera.data, *_carriers(camera)])


def _stand_still(blocks: Iterable[Any]) -> bool:
    handlers = (*bpy.app.handlers.frame_change_pre, *bpy.app.handlers.frame_change_post)
    if any(not (getattr(each, "__module__", None) or "").startswith(OWN) for each in handlers):
        return False  # somebody's script may do anything
    return not any(_is_moved(block) for block in blocks)


def _carriers(item: bpy.types.Object) -> Iterator[bpy.types.Object]:
    """`item` and all that it hangs on."""
    carrier: bpy.types.Object | None = item
    while carrier is not None:
        yield carrier
        carrier = carrier.parent


def _with_nodes(owner: Any) -> Iterator[Any]:
    if owner is None:
        return
    yield owner
    if owner.node_tree is not None:
        yield from _trees(owner.node_tree)


def _trees(tree: bpy.types.NodeTree) -> Iterator[bpy.types.NodeTree]:
    yield tree
    for node in tree.nodes:
        if (group := getattr(node, "node_tree", None)) is not None:
            yield from _trees(group)


def _is_moved(block: Any) -> bool:
    """Whether animation, constraints, physics or deformation may change a data block."""
    animation = block.animation_data
    if animation is not None and (animation.action or animation.drivers or animation.nla_tracks):
        return True
    if not isinstance(block, bpy.types.Object):
        return False
    parented = block.parent is not None and block.parent_type != "OBJECT"  # to a bone, to vertices, along a lattice
    carried = block.parent is not None and block.parent.type in ("ARMATURE", "CURVE")  # curves carry along their path
    return parented or carried or len(block.constraints) > 0 or block.rigid_body is not None
