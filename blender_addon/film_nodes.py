# SPDX-License-Identifier: GPL-3.0-or-later
"""The compositor's nodes that lay a result's film frames over Blender's own picture of the scene.

Blender draws everything but the character, whose meshes the camera does not see while they cast shadows and are
mirrored. The frames are cut where something of the scene is nearer, so that laying them over is all there is to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import bpy

from . import compat
from .paths import in_blend

MARK = "ani3d_film"  # on nodes: the result whose film they show


def set_up(scene: bpy.types.Scene, name: str, files: list[Path], frames: range) -> None:
    """Have renders of `scene` show the film of the result `name`, files of consecutive `frames`.

    What the compositor does already stays; the frames come last.
    """
    remove(name)
    tree, output = compat.compositor_output(scene)
    image: Any = bpy.data.images.load(str(files[0]), check_existing=True)
    image.name, image.filepath = f"{name} film", in_blend(files[0])
    image.source, image.alpha_mode = "SEQUENCE", "PREMUL"
    image.colorspace_settings.name = "Linear Rec.709"
    shown: Any = tree.nodes.new("CompositorNodeImage")
    shown.image = image
    shown.frame_duration, shown.frame_start, shown.frame_offset = len(frames), frames.start, frames.start - 1
    over: Any = tree.nodes.new("CompositorNodeAlphaOver")
    shown[MARK] = over[MARK] = name
    behind, front = compat.over_sockets(over)
    before = output.links[0].from_socket if output.links else None
    if before is None:
        layers = next((node for node in tree.nodes if node.bl_idname == "CompositorNodeRLayers"), None)
        before = (layers or tree.nodes.new("CompositorNodeRLayers")).outputs[0]
    tree.links.new(before, behind)
    tree.links.new(shown.outputs["Image"], front)
    tree.links.new(over.outputs[0], output)
    place = output.node.location
    over.location, shown.location = (place.x - 220, place.y), (place.x - 480, place.y - 220)
    scene.render.use_compositing = True


def has_film(name: str) -> bool:
    """Whether a scene of this file shows film frames of the result `name`."""
    return any(node.get(MARK) == name for tree in compat.compositor_trees() for node in tree.nodes)


def switch(name: str, shown: bool) -> None:
    """Show the film of a result, or Blender's picture alone."""
    for tree in compat.compositor_trees():
        for node in tree.nodes:
            if node.get(MARK) == name and node.bl_idname == "CompositorNodeAlphaOver":
                node.mute = not shown


def remove(name: str) -> None:
    """Take the nodes of a result's film away."""
    for tree in compat.compositor_trees():
        for node in [node for node in tree.nodes if node.get(MARK) == name]:
            if node.bl_idname == "CompositorNodeAlphaOver":
                behind, _ = compat.over_sockets(node)
                ends = [link.to_socket for link in node.outputs[0].links]
                if behind.links:
                    source = behind.links[0].from_socket
                    for end in ends:
                        tree.links.new(source, end)
            elif (image := cast(Any, node).image) is not None and image.users == 1:
                cast(Any, node).image = None
                bpy.data.images.remove(image)
            tree.nodes.remove(node)
