"""Characters that others made, two clips of each, from a folder beside the checkout. Runs in Blender."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import bpy

from .bodies import FRAMES

FILES = {
    "mage": ("kaykit_Mage.glb", ("Walking_A", "Cheer")),
    "rogue": ("kaykit_Rogue_Hooded.glb", ("Running_A", "1H_Melee_Attack_Chop")),
    "fox": ("Fox.glb", ("Run", "Survey")),
    "kenney": ("kenney.fbx", ("Take 001", "")),
    "robot_expressive": ("RobotExpressive.blend", ("Robot_Dance", "Robot_Walking")),
}
CLIPS = {f"{name}_{clip}": (file, clips[clip - 1]) for name, (file, clips) in FILES.items() for clip in (1, 2)}


def load(name: str, characters: Path) -> bpy.types.Object:
    """Open a character as an artist would, with one of its clips; an empty name of a clip is a motion of our own."""
    file, clip = CLIPS[name]
    path = characters / file
    if path.suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(path))
    elif path.suffix == ".fbx":
        bpy.ops.import_scene.fbx(filepath=str(path))
    else:
        with cast(Any, bpy.data.libraries).load(str(path)) as (inside, wanted):
            wanted.scenes, wanted.actions = inside.scenes[:1], inside.actions
        bpy.context.window.scene = wanted.scenes[0]
    objects = bpy.context.scene.objects
    rig = max((o for o in objects if o.type == "ARMATURE"), key=lambda o: len(o.data.bones))
    for item in list(objects):
        if item.name.startswith("Icosphere"):  # the importer's own shape for bones
            bpy.data.objects.remove(item)
    if rig.animation_data is None:
        rig.animation_data_create()
    for track in rig.animation_data.nla_tracks:
        track.mute = True
    if clip:
        action = next(a for a in bpy.data.actions if clip in a.name)
        rig.animation_data.action = action
        if action.slots:
            rig.animation_data.action_slot = action.slots[0]
    else:
        rig.animation_data.action = None
        _nod(rig)
    return rig


def _nod(rig: bpy.types.Object) -> None:
    chosen = [b for b in rig.pose.bones if any(w in b.name.lower() for w in ("spine", "chest", "head", "arm", "leg"))]
    for number, bone in enumerate(chosen):
        bone.rotation_mode = "XYZ"
        for frame, turn in ((1, -0.2), (FRAMES // 2, 0.3), (FRAMES, -0.1)):
            bone.rotation_euler = (turn, 0.3 * turn, turn * (-1) ** number)
            bone.keyframe_insert("rotation_euler", frame=frame)
