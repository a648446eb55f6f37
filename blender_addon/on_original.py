# SPDX-License-Identifier: GPL-3.0-or-later
"""A result on the character's own objects: a Mesh Cache in their stack instead of copies, until it is taken off.

The cache's places are the scene's, those of a mesh its object's: nodes behind the cache undo the object's transform.
The cache stands where the mesh has the cache's vertices: before what makes more of them, or behind all that does. What
poses the mesh behind it is switched off meanwhile. All that is changed is noted on the object and put back.
"""

from __future__ import annotations

import json
from typing import Any, cast

import bpy

from . import playback
from .export.modifiers import GENERATIVE
from .playback import MARK, ON_ORIGINAL, PLACE, played_on
from .properties import object_group
from .rest_shape import POSING
from .result_settings import timing_of
from .sentence import said


def why_not(copy: bpy.types.Object) -> str:
    """Why the original of `copy`, a mesh of a result, cannot play in its stead; "" where it can."""
    source = object_group(copy).source
    if source is None or source.type != "MESH":
        return "it is no mesh"
    if source.library:
        return "it is linked: make a library override of it"
    if not source.users_scene:
        return "it is instanced"
    for modifier in [] if _has_own_vertices(copy) else source.modifiers:
        if modifier.type in GENERATIVE and modifier.show_viewport != modifier.show_render:
            return said("renders and the viewport differ in '{modifier}'", modifier=modifier.name)
        levels = isinstance(modifier, bpy.types.SubsurfModifier | bpy.types.MultiresModifier)
        if levels and modifier.levels != modifier.render_levels:
            return said("renders and the viewport differ in the levels of '{modifier}'", modifier=modifier.name)
    return ""


def put_on(copy: bpy.types.Object, scene: bpy.types.Scene) -> None:
    """Have the original of `copy` play its cache, as `why_not` allows."""
    group = object_group(copy)
    source, file = cast(bpy.types.Object, group.source), playback.cache_file(copy)
    assert file is not None
    take_off(source)
    place = _place(copy, source)
    behind = [m for m in list(source.modifiers)[place:] if m.type in POSING and (m.show_viewport or m.show_render)]
    source[MARK] = json.dumps(
        {
            "result": group.result,
            "off": [(m.name, m.show_viewport, m.show_render) for m in behind],
            "animated": source.animation_data is not None,
        }
    )
    for modifier in behind:
        modifier.show_viewport = modifier.show_render = False
    playback.play_point_cache(source, file, _first_frame(copy), scene, ON_ORIGINAL, place)
    back = cast(bpy.types.NodesModifier, source.modifiers.new(PLACE, "NODES"))
    back.node_group = _nodes(group.result, copy.location)
    source.modifiers.move(len(source.modifiers) - 1, place + 1)
    playback.retime(copy, timing_of(group), scene)


def take_off(source: bpy.types.Object) -> None:
    """Make an original what it was before `put_on`, if it plays a result."""
    if not played_on(source):
        return
    noted = json.loads(str(source[MARK]))
    modifiers: Any = source.modifiers
    if (cache := modifiers.get(ON_ORIGINAL)) is not None:
        cache.driver_remove("eval_frame")
        modifiers.remove(cache)
    if (back := modifiers.get(PLACE)) is not None:
        tree = back.node_group
        modifiers.remove(back)
        if tree is not None and tree.users == 0:
            bpy.data.node_groups.remove(tree)
    for name, in_viewport, in_renders in noted["off"]:
        if (modifier := modifiers.get(name)) is not None:
            modifier.show_viewport, modifier.show_render = in_viewport, in_renders
    if not noted["animated"]:
        source.animation_data_clear()  # of a loop's driver
    del source[MARK]


def _place(copy: bpy.types.Object, source: bpy.types.Object) -> int:
    """Where in the stack the cache comes."""
    modifiers = list(source.modifiers)
    if _has_own_vertices(copy):
        return next(n for n, modifier in enumerate(modifiers) if modifier.type in GENERATIVE)
    return max((n + 1 for n, m in enumerate(modifiers) if m.type != "PARTICLE_SYSTEM"), default=0)


def _has_own_vertices(copy: bpy.types.Object) -> bool:
    """Whether the cache has the mesh's vertices before its modifiers, of which the copy then keeps some."""
    return any(modifier.type in GENERATIVE for modifier in copy.modifiers)


def _first_frame(copy: bpy.types.Object) -> int:
    modifier = next(m for m in copy.modifiers if isinstance(m, bpy.types.MeshCacheModifier))
    return round(playback.read_pc2(playback.file_of(copy, modifier)).start)


def _nodes(result: str, origin: Any) -> bpy.types.NodeTree:
    """Takes places from `origin` in the scene to where the object has them."""
    name = f"{PLACE} {result}"
    known: bpy.types.NodeTree | None = bpy.data.node_groups.get(name)
    if known is not None:
        return known
    tree = bpy.data.node_groups.new(name, "GeometryNodeTree")
    for in_out in ("INPUT", "OUTPUT"):
        tree.interface.new_socket("Geometry", in_out=cast(Any, in_out), socket_type="NodeSocketGeometry")
    nodes: Any = tree.nodes
    info, inverse = nodes.new("GeometryNodeObjectInfo"), nodes.new("FunctionNodeInvertMatrix")
    info.transform_space = "ORIGINAL"
    moved, local = nodes.new("ShaderNodeVectorMath"), nodes.new("FunctionNodeTransformPoint")
    moved.inputs[1].default_value = origin
    setter, given = nodes.new("GeometryNodeSetPosition"), nodes.new("NodeGroupInput")
    for output, socket in (
        (nodes.new("GeometryNodeSelfObject").outputs[0], info.inputs["Object"]),
        (info.outputs["Transform"], inverse.inputs[0]),
        (nodes.new("GeometryNodeInputPosition").outputs[0], moved.inputs[0]),
        (moved.outputs[0], local.inputs["Vector"]),
        (inverse.outputs[0], local.inputs["Transform"]),
        (given.outputs[0], setter.inputs["Geometry"]),
        (local.outputs[0], setter.inputs["Position"]),
        (setter.outputs[0], nodes.new("NodeGroupOutput").inputs[0]),
    ):
        tree.links.new(output, socket)
    return tree
