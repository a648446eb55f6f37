# SPDX-License-Identifier: GPL-3.0-or-later
"""What a .blend remembers: the bound character on the scene, the link to a cache on each result object."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import bpy

from ani3d_formats.errors import Ani3DError
from ani3d_formats.names import safe_name
from ani3d_formats.regions import REGIONS
from ani3d_formats.views import SUFFIX

from . import compat
from .paths import absolute, output_folder
from .result_settings import retime, show_points
from .session import session
from .viewport_points import MOST

BY_HAND = "chosen by hand"
FABRICS = (  # suggestions; an engine may know others
    "generic", "chiffon", "tulle", "silk", "satin", "jersey", "cotton", "linen", "wool", "velvet", "denim", "felt",
    "leather",
)  # fmt: skip
TEXTLESS = ("compact", "none")  # priors that read no prompt
_MEANINGS = ("Follows the skeleton", "Follows the skeleton", "Swings as strands do", "Swings as cloth does")
SWATCHES = dict(zip(REGIONS, (8, 3, 6, 5), strict=True))  # number of the theme's collection colour that shows a region
REGION_ITEMS = tuple(
    (name, name.capitalize(), what, f"COLLECTION_COLOR_{SWATCHES[name]:02d}", number)
    for number, (name, what) in enumerate(zip(REGIONS, _MEANINGS, strict=True))
)


def _is_armature(_group: bpy.types.PropertyGroup, item: bpy.types.Object) -> bool:
    return item.type == "ARMATURE"


def known_priors() -> list[str]:
    """What the connected engine can restore with."""
    return [*session.current().welcome.priors, "none"] if session.is_open() else list(TEXTLESS)


def _find_priors(_group: bpy.types.PropertyGroup, _context: bpy.types.Context, _text: str) -> list[str]:
    return known_priors()


region_listeners: list[Callable[[], None]] = []
"""Called when somebody has chosen a region in the list."""


def _mark_chosen(part: Ani3DPart, _context: bpy.types.Context) -> None:
    part.chosen, part.confidence, part.reason = True, 1.0, BY_HAND
    for listener in region_listeners:
        listener()


class Ani3DPart(bpy.types.PropertyGroup):
    """A row of `scene.ani3d.parts`: the faces of one material of one object of the character."""

    object: bpy.props.PointerProperty(name="Object", type=bpy.types.Object)
    name: bpy.props.StringProperty(name="Name", description="The object's name when it was bound")
    slot: bpy.props.StringProperty(name="Material", description="Name of the material; empty where faces have none")
    strands: bpy.props.BoolProperty(name="Strands", description="The hair that grows on the object, not its faces")
    region: bpy.props.EnumProperty(
        name="Region",
        description="What this part is. Body and face follow the skeleton, hair and garment swing",
        items=REGION_ITEMS,
        update=_mark_chosen,
    )
    confidence: bpy.props.FloatProperty(name="Confidence", description="How sure the guess is", min=0, max=1)
    reason: bpy.props.StringProperty(name="Reason", description="What the region was told from")
    guess: bpy.props.StringProperty(name="Guess", description="The region that Bind guessed")
    motion: bpy.props.StringProperty(name="Motion", description="What moves this part in the shot")
    vertices: bpy.props.IntProperty(name="Vertices", min=0)
    hold: bpy.props.StringProperty(name="Hold", description="What holds this part to the body")
    loose: bpy.props.BoolProperty(name="Loose", description="Nothing holds this part, in whole or in part")
    left_out: bpy.props.StringProperty(name="Left Out", description="Why this part is not in the shot")
    chosen: bpy.props.BoolProperty(name="Chosen", description="The region was chosen by hand; Bind keeps it")
    current: bpy.props.BoolProperty(name="Current", description="Belongs to the bound character", default=True)


class Ani3DJob(bpy.types.PropertyGroup):
    """A row of `scene.ani3d.jobs`: a job, and where its result is. `name` is that of the character."""

    job: bpy.props.StringProperty(name="Job", description="The engine's id of the job")
    preset: bpy.props.StringProperty(name="Quality", description="Quality that the job was submitted with")
    settings: bpy.props.StringProperty(name="Settings", description="All settings of the job, as JSON")
    submitted: bpy.props.StringProperty(name="Submitted", description="When, such as 2026-11-29 08:15")
    state: bpy.props.StringProperty(name="State", description="What the engine said of it last")
    message: bpy.props.StringProperty(name="Message", description="Why it failed")
    folder: bpy.props.StringProperty(
        name="Folder",
        description="Where its files are",
        subtype="DIR_PATH",
        options=compat.relative_path_options(),
    )
    result: bpy.props.StringProperty(name="Result", description="Name of its result in this file")


class Ani3DScene(bpy.types.PropertyGroup):
    """`scene.ani3d`: which character, its parts, and the jobs made of it."""

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
            ("cloth", "Cloth", "Meshes with moving cloth and hair alone, in seconds; no Gaussians and no pictures"),
            ("draft", "Draft", "Few Gaussians and steps, a quick look"),
            ("preview", "Preview", "The settings that fit most shots"),
            ("final", "Final", "More Gaussians and steps, for the finished shot"),
        ),
        default="preview",
    )
    coarse: bpy.props.EnumProperty(
        name="Motion",
        description="What moves the character before its video is restored",
        items=(
            ("physics", "Simulated", "Garment and hair swing over the body"),
            ("rigid", "Skeleton Alone", "Garment and hair follow the skeleton alone"),
            (
                "evaluated",
                "As in Blender",
                "The meshes as Blender shows them: your cloth, soft bodies, shape keys, lattices and other modifiers",
            ),
        ),
        default="physics",
    )
    floor: bpy.props.BoolProperty(
        name="Floor",
        description="Cloth lies on a floor at the body's lowest point, unless the scene has a collider there",
        default=True,
    )
    way_in: bpy.props.EnumProperty(
        name="Begins",
        description="How cloth gets into the first frame",
        items=(
            ("rest", "From Rest", "It comes from the rest pose, with the speed that the shot begins with"),
            ("settled", "Settled", "It has come to rest in the first frame's pose"),
            ("none", "As Skinned", "It begins exactly as the skeleton has it"),
        ),
    )
    loop: bpy.props.BoolProperty(
        name="Loop", description="The motion runs in a circle: cloth ends where it begins; how well it closes is told"
    )
    prior: bpy.props.StringProperty(
        name="Restore With",
        description="What makes the video of the motion look real: a prior of the engine's, a folder with one, or none",
        default="compact",
        search=_find_priors,
        search_options={"SUGGESTION"},
    )
    pictures: bpy.props.EnumProperty(
        name="Pictures",
        description="Who draws the motion that the prior restores",
        items=(
            ("gaussians", "Engine", "The engine draws the character's Gaussians in the scene's light"),
            (
                "blender",
                "Blender",
                "Blender renders the meshes of the result of a cloth job: import it, then Render Coarse Pictures",
            ),
        ),
    )
    prompt: bpy.props.StringProperty(
        name="Prompt",
        description="What the video shows, for priors that read text; empty for a fitting default",
    )
    reference: bpy.props.StringProperty(
        name="Reference",
        description="A picture of who it is, for priors that read one; empty for the first picture of the motion",
        subtype="FILE_PATH",
        options=compat.relative_path_options(),
    )
    device: bpy.props.EnumProperty(
        name="Compute On",
        description="What the engine's computer works with",
        items=(
            ("auto", "Best There Is", "A CUDA card where there is one that works, else the processor"),
            ("cpu", "Processor", "The processor, whatever else is there"),
            ("cuda", "CUDA Card", "The first CUDA card; a job is refused where there is none"),
        ),
    )
    shot_path: bpy.props.StringProperty(
        name="Shot",
        description="Where the exported shot is written; empty for a folder beside the .blend",
        subtype="FILE_PATH",
        options=compat.relative_path_options(),
    )
    views: bpy.props.IntProperty(
        name="Views", description="Pictures that Capture Views renders of the character", default=32, min=8, max=128
    )
    views_size: bpy.props.IntProperty(
        name="Size",
        description="Pixels of the longer side of each view",
        default=480,
        min=96,
        max=2048,
        subtype="PIXEL",
    )
    views_samples: bpy.props.IntProperty(
        name="Samples",
        description="Light paths a pixel of each view; noise of few evens out",
        default=12,
        min=1,
        max=4096,
    )
    job_id: bpy.props.StringProperty(name="Job", description="The job submitted last")
    jobs: bpy.props.CollectionProperty(name="Jobs", type=Ani3DJob)
    active_job: bpy.props.IntProperty(name="Job", description="The job chosen in the list")
    parts: bpy.props.CollectionProperty(name="Parts", type=Ani3DPart)
    active_part: bpy.props.IntProperty(name="Part", description="The part chosen in the list")


def _find_fabrics(_group: bpy.types.PropertyGroup, _context: bpy.types.Context, _text: str) -> list[str]:
    return list(FABRICS)


class Ani3DObject(bpy.types.PropertyGroup):
    """`object.ani3d`: what part of a result an object is, and what is wished of its cloth."""

    collides: bpy.props.BoolProperty(
        name="Collides", description="Cloth and hair do not pass through this object, as with a Collision modifier"
    )
    fabric: bpy.props.StringProperty(
        name="Fabric",
        description="What its cloth is made of; empty for what its Cloth modifier or the job says",
        search=_find_fabrics,
        search_options={"SUGGESTION"},
    )
    density: bpy.props.FloatProperty(
        name="Weight", description="Kilograms a square metre; 0 for the fabric's", min=0, max=20, precision=3
    )
    stretch: bpy.props.FloatProperty(
        name="Stretch", description="Resistance to stretching, newtons a metre; 0 for the fabric's", min=0, max=1e5
    )
    bend: bpy.props.FloatProperty(
        name="Bend", description="Resistance to bending, newton metres; 0 for the fabric's", min=0, max=1, precision=7
    )
    layer: bpy.props.IntProperty(
        name="Layer",
        description="Place among garments, 1 next to the skin; 0 for the order of their distances from the body",
        min=0,
        max=1000,
    )
    thickness: bpy.props.FloatProperty(
        name="Thickness",
        description="Distance that its cloth keeps from what it meets; 0 for the fabric's",
        min=0,
        soft_max=0.05,
        precision=4,
        subtype="DISTANCE",
    )
    strength: bpy.props.FloatProperty(
        name="Strength",
        description="How far its cloth may leave the skeleton's motion: 0 not at all, 1 freely. It can be animated",
        default=1,
        min=0,
        max=1,
        subtype="FACTOR",
        options={"ANIMATABLE"},
    )

    kind: bpy.props.EnumProperty(
        name="Kind",
        items=(
            ("NONE", "None", "Not part of a result"),
            ("GAUSSIANS", "Gaussians", "Plays a Gaussian frame cache"),
            ("MESH", "Mesh", "Plays a PC2 mesh cache"),
        ),
        default="NONE",
    )
    result: bpy.props.StringProperty(name="Result", description="Name of the result this object belongs to")
    source: bpy.props.PointerProperty(
        name="Source", description="The character's mesh that this one replaces", type=bpy.types.Object
    )
    offset: bpy.props.FloatProperty(
        name="Offset",
        description="Frames by which the result plays later",
        step=100,
        precision=1,
        update=retime,
        options=set(),
    )
    speed: bpy.props.FloatProperty(
        name="Speed",
        description="How fast the result plays",
        default=1,
        min=0.01,
        soft_max=10,
        precision=2,
        update=retime,
        options=set(),
    )
    loop: bpy.props.BoolProperty(
        name="Loop",
        description="The result plays again and again, before its first frame too",
        update=retime,
        options=set(),
    )
    points: bpy.props.IntProperty(
        name="Points in the Viewport",
        description="The viewport shows at most so many Gaussians, as points; 0 for all. Renders show all of them",
        default=MOST,
        min=0,
        soft_max=200_000,
        update=show_points,
        options=set(),
    )


CLASSES = (Ani3DPart, Ani3DJob, Ani3DScene, Ani3DObject)


def scene_group(scene: bpy.types.Scene) -> Ani3DScene:
    """`scene.ani3d`, with its type."""
    return cast(Any, scene).ani3d


def bound_armature(scene: bpy.types.Scene) -> bpy.types.Object:
    """The scene's character. Raises `Ani3DError` ``character.not_bound``."""
    armature = scene_group(scene).armature
    if armature is None:
        raise Ani3DError("character.not_bound", "No character is bound.", "Select its armature, then Bind Character.")
    return armature


def shot_file(context: bpy.types.Context) -> Path:
    """The scene's shot: the file that was chosen, else the one beside the .blend as it is called now.

    Raises:
        Ani3DError: ``file.unsaved``, as `absolute` does.
    """
    chosen = scene_group(context.scene).shot_path
    return absolute(chosen) if chosen else output_folder(context) / "shot.npz"


def has_shot(context: bpy.types.Context) -> bool:
    """Whether the scene's shot has been exported."""
    try:
        return shot_file(context).is_file()
    except (Ani3DError, OSError):
        return False


def views_file(context: bpy.types.Context, armature: bpy.types.Object) -> Path:
    """The views of a character, beside the scene's shot. Raises as `shot_file` does."""
    return shot_file(context).parent / f"{safe_name(armature.name)}{SUFFIX}"


def has_views(context: bpy.types.Context, armature: bpy.types.Object) -> bool:
    """Whether views of a character have been captured."""
    try:
        return views_file(context, armature).is_file()
    except (Ani3DError, OSError):
        return False


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
