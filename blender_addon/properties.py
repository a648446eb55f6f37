# SPDX-License-Identifier: GPL-3.0-or-later
"""What a .blend remembers: the bound character on the scene, the link to a cache on each result object."""

from __future__ import annotations

from typing import Any, cast

import bpy

from .session import session

TEXTLESS = ("compact", "none")  # priors that read no prompt


def _is_armature(_group: bpy.types.PropertyGroup, item: bpy.types.Object) -> bool:
    return item.type == "ARMATURE"


def known_priors() -> list[str]:
    """What the connected engine can restore with."""
    return [*session.current().welcome.priors, "none"] if session.is_open() else list(TEXTLESS)


class Ani3DScene(bpy.types.PropertyGroup):
    """`scene.ani3d`: which character, and the last job made of it."""

    armature: bpy.props.PointerProperty(
        name="Character",
        description="Armature of the bound character",
        type=bpy.types.Object,
        poll=_is_armature,
    )
    preset: bpy.props.EnumProperty(
        name="Quality",
        description="How much work the engine puts into the shot",
        items=(
            ("draft", "Draft", "Few Gaussians and steps, a quick look"),
            ("preview", "Preview", "The settings that fit most shots"),
            ("final", "Final", "More Gaussians and steps, for the finished shot"),
        ),
        default="preview",
    )
    coarse: bpy.props.EnumProperty(
        name="Coarse",
        description="What moves the character before the video is restored",
        items=(
            ("physics", "Simulated", "Garment and hair swing over the body"),
            ("rigid", "Rigid", "Garment and hair follow the skeleton alone"),
            (
                "evaluated",
                "Evaluated mesh",
                "The meshes as Blender shows them: your cloth, soft bodies, shape keys, lattices and other modifiers. "
                "Choose it before Export Shot, which then writes them",
            ),
        ),
        default="physics",
    )
    prior: bpy.props.StringProperty(
        name="Prior",
        description="What restores the coarse video: a prior of the engine's, a folder with one, or none",
        default="compact",
        search=lambda _self, _context, _text: known_priors(),
        search_options={"SUGGESTION"},
    )
    prompt: bpy.props.StringProperty(
        name="Prompt",
        description="What the video shows, for priors that read text; empty for a fitting default",
    )
    shot_path: bpy.props.StringProperty(
        name="Shot", description="Where the exported shot is written", subtype="FILE_PATH"
    )
    job_id: bpy.props.StringProperty(name="Job", description="The job submitted last")


class Ani3DObject(bpy.types.PropertyGroup):
    """`object.ani3d`: what part of a result an object is, and where its data lies."""

    kind: bpy.props.EnumProperty(
        name="Kind",
        items=(
            ("NONE", "None", "Not part of a result"),
            ("GAUSSIANS", "Gaussians", "Plays a Gaussian frame cache"),
            ("MESH", "Mesh", "Plays a PC2 mesh cache"),
        ),
        default="NONE",
    )
    cache_path: bpy.props.StringProperty(name="Cache", description="Cache folder (Gaussians) or PC2 file (mesh)")
    result: bpy.props.StringProperty(name="Result", description="Name of the result this object belongs to")
    source: bpy.props.PointerProperty(
        name="Source", description="The character's mesh that this one replaces", type=bpy.types.Object
    )


CLASSES = (Ani3DScene, Ani3DObject)


def scene_group(scene: bpy.types.Scene) -> Ani3DScene:
    """`scene.ani3d`, with its type."""
    return cast(Any, scene).ani3d


def object_group(item: bpy.types.Object) -> Ani3DObject:
    """`item.ani3d`, with its type."""
    return cast(Any, item).ani3d


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    types, pointer = cast(Any, bpy.types), cast(Any, bpy.props.PointerProperty)  # the groups are unknown to checkers
    types.Scene.ani3d = pointer(type=Ani3DScene)
    types.Object.ani3d = pointer(type=Ani3DObject)


def unregister() -> None:
    types: Any = bpy.types
    del types.Object.ani3d
    del types.Scene.ani3d
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
