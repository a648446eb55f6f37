"""Twenty characters as artists have them, each built by a function that returns the object to bind. Runs in Blender."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import bmesh
import bpy
import numpy as np
from mathutils import Matrix

from .bodies import DOG, FRAMES, HUMAN, armature, bind, centaur, dress, follow, grown, mesh, paint, renamed, wave

LIVELY = {
    "upper_arm.L": (0.7, 0, 0.3), "upper_arm.R": (0.7, 0, 0.3), "forearm.L": (0.5, 0, 0), "thigh.L": (0.6, 0, 0),
    "thigh.R": (0.6, 0, 0), "spine": (0.15, 0.25, 0), "head": (0.1, 0.4, 0),
}  # fmt: skip
SIDED = {"shoulder", "upper_arm", "forearm", "hand", "thigh", "shin", "foot"}


def _sided(names: Mapping[str, str], left: str, right: str) -> dict[str, str]:
    """Names of both sides: "{}" in a name stands for the side."""
    found = {bone: name for bone, name in names.items() if bone not in SIDED}
    for bone in SIDED & set(names):
        found[f"{bone}.L"], found[f"{bone}.R"] = names[bone].format(left), names[bone].format(right)
    return found


MIXAMO = _sided(
    {
        "hips": "mixamorig:Hips", "spine": "mixamorig:Spine", "chest": "mixamorig:Spine2", "neck": "mixamorig:Neck",
        "head": "mixamorig:Head", "shoulder": "mixamorig:{}Shoulder", "upper_arm": "mixamorig:{}Arm",
        "forearm": "mixamorig:{}ForeArm", "hand": "mixamorig:{}Hand", "thigh": "mixamorig:{}UpLeg",
        "shin": "mixamorig:{}Leg", "foot": "mixamorig:{}Foot",
    },
    "Left", "Right",
)  # fmt: skip
VRM = _sided(
    {
        "hips": "J_Bip_C_Hips", "spine": "J_Bip_C_Spine", "chest": "J_Bip_C_Chest", "neck": "J_Bip_C_Neck",
        "head": "J_Bip_C_Head", "shoulder": "J_Bip_{}_Shoulder", "upper_arm": "J_Bip_{}_UpperArm",
        "forearm": "J_Bip_{}_LowerArm", "hand": "J_Bip_{}_Hand", "thigh": "J_Bip_{}_UpperLeg",
        "shin": "J_Bip_{}_LowerLeg", "foot": "J_Bip_{}_Foot",
    },
    "L", "R",
)  # fmt: skip
MPFB = _sided(
    {
        "hips": "root", "spine": "spine05", "chest": "spine01", "neck": "neck01", "head": "head",
        "shoulder": "clavicle.{}", "upper_arm": "upperarm01.{}", "forearm": "lowerarm01.{}", "hand": "wrist.{}",
        "thigh": "upperleg01.{}", "shin": "lowerleg01.{}", "foot": "foot.{}",
    },
    "L", "R",
)  # fmt: skip
DAZ = _sided(
    {
        "hips": "hip", "spine": "abdomenLower", "chest": "chestUpper", "neck": "neckLower", "head": "head",
        "shoulder": "{}Collar", "upper_arm": "{}ShldrBend", "forearm": "{}ForearmBend", "hand": "{}Hand",
        "thigh": "{}ThighBend", "shin": "{}Shin", "foot": "{}Foot",
    },
    "l", "r",
)  # fmt: skip
UNREAL = _sided(
    {
        "hips": "pelvis", "spine": "spine_01", "chest": "spine_03", "neck": "neck_01", "head": "head",
        "shoulder": "clavicle_{}", "upper_arm": "upperarm_{}", "forearm": "lowerarm_{}", "hand": "hand_{}",
        "thigh": "thigh_{}", "shin": "calf_{}", "foot": "foot_{}",
    },
    "l", "r",
)  # fmt: skip


def _human(name: str = "Rig", names: Mapping[str, str] | None = None, skirt: bool = True) -> bpy.types.Object:
    bones = renamed(HUMAN, names or {})
    rig, body = armature(name, bones), grown("Body", HUMAN)
    bind(body, rig)
    if skirt:
        follow(dress(), body, rig)
    wave(rig, {(names or {}).get(bone, bone): amount for bone, amount in LIVELY.items()}, stride=0.5)
    return rig


def _rigify(metarig: str, size: float) -> bpy.types.Object:
    bpy.ops.preferences.addon_enable(module="rigify")
    getattr(bpy.ops.object, f"armature_{metarig}_metarig_add")()
    meta = bpy.context.object
    bones = {
        b.name: (b.head_local[:], b.tail_local[:], "")
        for b in meta.data.bones
        if not _is_small(b, size) and b.use_deform
    }
    cast(Any, bpy.ops.pose).rigify_generate()
    rig = bpy.context.object
    meta.hide_render = meta.hide_viewport = True
    body = grown("Body", bones, size)
    bind(body, rig)
    return rig


def _is_small(bone: bpy.types.Bone, size: float) -> bool:
    words = bone.name.replace(".", "_").split("_")
    return bone.length < 0.05 * size or bool({"f", "thumb", "palm", "heel", "ear", "lip", "brow"}.intersection(words))


def rigify_human() -> bpy.types.Object:
    """Blender's own rig, moved by its controls: hands and feet by IK with stretch, the torso up and down."""
    rig = _rigify("basic_human", 1.0)
    for name, far in (("hand_ik.L", (0.2, -0.3, 0.1)), ("foot_ik.R", (0, -0.3, 0.25)), ("torso", (0, 0, -0.12))):
        bone = rig.pose.bones[name]
        for frame in (1, FRAMES // 2, FRAMES):
            bone.location = np.multiply(far, np.sin(np.pi * (frame - 1) / (FRAMES - 1))).tolist()
            bone.keyframe_insert("location", frame=frame)
    bone = rig.pose.bones["chest"]
    bone.rotation_mode = "XYZ"
    for frame, turn in ((1, 0), (FRAMES, 0.5)):
        bone.rotation_euler = (0, turn, 0.1)
        bone.keyframe_insert("rotation_euler", frame=frame)
    return rig


def rigify_cat() -> bpy.types.Object:
    """Blender's cat: its torso sways, its head turns."""
    rig = _rigify("cat", 0.35)
    for name in ("torso", "head"):
        bone = rig.pose.bones[name]
        bone.rotation_mode = "XYZ"
        for frame, turn in ((1, -0.2), (FRAMES, 0.3)):
            bone.rotation_euler = (0.2 * turn, turn, turn)
            bone.keyframe_insert("rotation_euler", frame=frame)
    return rig


def mixamo() -> bpy.types.Object:
    """Mixamo's names, and its scale: centimetres under an armature of .01."""
    rig = _human("Armature", MIXAMO)
    _in_centimetres(rig)
    return rig


def vrm() -> bpy.types.Object:
    """VRoid's names; hair as cards."""
    rig = _human("Armature", VRM)
    _cards(rig, "J_Bip_C_Head")
    return rig


def _cards(rig: bpy.types.Object, bone: str) -> None:
    points, faces = [], []
    for angle in np.linspace(0.6, 2 * np.pi - 0.6, 22):
        out, along = np.array((np.sin(angle), -np.cos(angle), 0)), np.array((np.cos(angle), np.sin(angle), 0))
        for u in np.linspace(0, 1, 8):
            middle = np.array((0, -0.01, 1.66)) + out * (0.06 + 0.07 * np.sqrt(u)) + np.array((0, 0, 0.06 - 0.34 * u))
            points += [middle - 0.02 * along, middle + 0.02 * along]
        first = len(points) - 16
        faces += [(first + 2 * k, first + 2 * k + 1, first + 2 * k + 3, first + 2 * k + 2) for k in range(7)]
    item = mesh("Hair", points, faces)
    paint(item, "Hair", (0.1, 0.04, 0.02))
    item.vertex_groups.new(name=bone).add(range(len(points)), 1.0, "REPLACE")
    item.parent = rig
    cast(bpy.types.ArmatureModifier, item.modifiers.new("Armature", "ARMATURE")).object = rig


def mpfb() -> bpy.types.Object:
    """MakeHuman's names."""
    return _human("Human.rig", MPFB)


def daz() -> bpy.types.Object:
    """Daz names, with Preserve Volume."""
    rig = _human("Genesis 9", DAZ)
    for name in ("Body", "Skirt"):
        modifier = next(m for m in bpy.data.objects[name].modifiers if m.type == "ARMATURE")
        cast(bpy.types.ArmatureModifier, modifier).use_deform_preserve_volume = True
    return rig


def unreal() -> bpy.types.Object:
    """Unreal's names."""
    return _human("SKM_Manny", UNREAL)


def robot() -> bpy.types.Object:
    """Rigid parts that hang on bones; no bone deforms anything, and there is no cloth."""
    rig = armature("Robot", HUMAN)
    for bone in rig.data.bones:
        bone.use_deform = False
        head, tail = bone.head_local, bone.tail_local
        bpy.ops.mesh.primitive_cube_add(size=1, location=(head + tail) / 2)
        part = bpy.context.object
        part.name = f"Part {bone.name}"
        thick = 0.1 if bone.length > 0.15 else 0.06
        part.scale = (thick, bone.length * 0.9, thick)
        part.rotation_euler = bone.matrix_local.to_euler()
        paint(
            part, "Metal" if "." in bone.name else "Shell", (0.4, 0.42, 0.45) if "." in bone.name else (0.7, 0.3, 0.05)
        )
        bpy.context.view_layer.update()
        world = part.matrix_world.copy()
        part.parent, part.parent_type, part.parent_bone = rig, "BONE", bone.name
        part.matrix_world = world
    wave(rig, LIVELY, stride=0.4)
    return rig


def dog() -> bpy.types.Object:
    """An animal without any cloth."""
    rig, body = armature("Dog", DOG), grown("Dog body", DOG)
    bind(body, rig)
    paint(body, "Fur", (0.35, 0.2, 0.08))
    swing = {"front_upper.L": (0.5, 0, 0), "front_upper.R": (-0.5, 0, 0), "hind_upper.L": (-0.5, 0, 0)}
    wave(rig, {**swing, "tail": (0.2, 0, 0.6), "head": (0.3, 0.2, 0)}, stride=0.6)
    return rig


def two_bodies() -> bpy.types.Object:
    """A centaur."""
    bones = centaur()
    rig, body = armature("Centaur", bones), grown("Centaur body", bones, 1.3)
    bind(body, rig)
    wave(
        rig,
        {"front_upper.L": (0.5, 0, 0), "hind_upper.R": (0.5, 0, 0), "upper_arm.L": (0.6, 0, 0.3), "head": (0, 0.4, 0)},
    )
    return rig


def two_characters() -> bpy.types.Object:
    """Two characters in one scene; the second one is bound."""
    first = _human("First")
    first.location.x = -0.9
    for item in first.children:
        item.name = f"First {item.name}"
    return _human("Second")


def _library(folder: Path) -> bpy.types.Collection:
    _human("Hero")
    collection = bpy.data.collections.new("Hero")
    bpy.context.scene.collection.children.link(collection)
    for item in list(bpy.context.scene.collection.objects):
        collection.objects.link(item)
        bpy.context.scene.collection.objects.unlink(item)
    path = folder / "hero.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    with cast(Any, bpy.data.libraries).load(str(path), link=True) as (_, wanted):
        wanted.collections = ["Hero"]
    return bpy.data.collections["Hero"]


def linked(folder: Path) -> bpy.types.Object:
    """A character linked from another file."""
    collection = _library(folder)
    bpy.context.scene.collection.children.link(collection)
    return next(o for o in collection.all_objects if o.type == "ARMATURE")


def overridden(folder: Path) -> bpy.types.Object:
    """A linked character with library overrides."""
    collection, scene = _library(folder), bpy.context.scene
    scene.collection.children.link(collection)
    over = collection.override_hierarchy_create(scene, bpy.context.view_layer, do_fully_editable=True)
    scene.collection.children.unlink(collection)
    return next(o for o in over.all_objects if o.type == "ARMATURE")


def instanced(folder: Path) -> bpy.types.Object:
    """A linked character as an instance of its collection, turned."""
    collection = _library(folder)
    empty = bpy.data.objects.new("Hero", None)
    empty.instance_type, empty.instance_collection, empty.rotation_euler = "COLLECTION", collection, (0, 0, 0.5)
    bpy.context.scene.collection.objects.link(empty)
    return empty


def sheared() -> bpy.types.Object:
    """An armature in centimetres, scaled by .01 below a turned and unevenly scaled parent."""
    rig = _human("Armature")
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.scale, parent.rotation_euler = (1.0, 1.25, 0.9), (0.2, 0.0, 0.3)
    rig.parent = parent
    _in_centimetres(rig)
    return rig


def _in_centimetres(rig: bpy.types.Object) -> None:
    """The same character in units of a hundredth."""
    for item in (rig, *rig.children):
        item.data.transform(Matrix.Scale(100.0, 4))
    rig.scale = (0.01, 0.01, 0.01)


def stretchy() -> bpy.types.Object:
    """Bones that stretch towards a target and bend in segments."""
    rig = _human("Stretchy")
    target = bpy.data.objects.new("Target", None)
    bpy.context.scene.collection.objects.link(target)
    for frame, place in ((1, (0.5, -0.2, 1.1)), (FRAMES, (0.7, -0.5, 1.4))):
        target.location = place
        target.keyframe_insert("location", frame=frame)
    reach = cast(bpy.types.StretchToConstraint, rig.pose.bones["forearm.L"].constraints.new("STRETCH_TO"))
    reach.target, reach.rest_length = target, rig.data.bones["forearm.L"].length
    for name in ("spine", "thigh.L", "thigh.R"):
        rig.data.bones[name].bbone_segments = 5
        rig.pose.bones[name].bbone_curveinx = 0.05
    return rig


def modelled() -> bpy.types.Object:
    """Half a body under Mirror, Subdivision and Solidify, before and after the armature."""
    rig = _human("Modelled")
    body, skirt = bpy.data.objects["Body"], bpy.data.objects["Skirt"]
    edit, surface = bmesh.new(), cast(bpy.types.Mesh, body.data)
    edit.from_mesh(surface)
    everything = [*edit.verts, *edit.edges, *edit.faces]
    bmesh.ops.bisect_plane(edit, geom=everything, plane_co=(0, 0, 0), plane_no=(-1, 0, 0), clear_outer=True)
    edit.to_mesh(surface)
    edit.free()
    cast(bpy.types.MirrorModifier, body.modifiers.new("Mirror", "MIRROR")).use_clip = True
    body.modifiers.move(len(body.modifiers) - 1, 0)
    for item in (body, skirt):
        cast(bpy.types.SubsurfModifier, item.modifiers.new("Fine", "SUBSURF")).levels = 1
    cast(bpy.types.SolidifyModifier, skirt.modifiers.new("Thick", "SOLIDIFY")).thickness = 0.004
    return rig


def speaking() -> bpy.types.Object:
    """Shape keys that drivers move by a bone."""
    rig = _human("Speaking")
    body = bpy.data.objects["Body"]
    body.shape_key_add(name="Basis")
    bulge = body.shape_key_add(name="Biceps")
    for point in cast(Any, bulge.data):
        point.co.x *= 1 + 0.25 * np.exp(-(((point.co.z - 1.3) / 0.08) ** 2))
    driver = bulge.driver_add("value").driver
    variable = driver.variables.new()
    variable.type = "TRANSFORMS"
    variable.targets[0].id, variable.targets[0].bone_target = rig, "upper_arm.L"
    variable.targets[0].transform_type, variable.targets[0].transform_space = "ROT_X", "LOCAL_SPACE"
    driver.expression = f"abs({variable.name})"
    return rig


def particle_hair() -> bpy.types.Object:
    """A head of particle hair."""
    rig = _human("Particle", skirt=False)
    body = bpy.data.objects["Body"]
    scalp = [v.index for v in body.data.vertices if v.co.z > 1.64]
    body.vertex_groups.new(name="scalp").add(scalp, 1.0, "REPLACE")
    modifier = cast(bpy.types.ParticleSystemModifier, body.modifiers.new("Hair", "PARTICLE_SYSTEM"))
    system, settings = modifier.particle_system, modifier.particle_system.settings
    system.vertex_group_density = "scalp"
    settings.type, settings.count, settings.hair_length, settings.hair_step = "HAIR", 400, 0.25, 5
    settings.effector_weights.gravity = 0.0
    material = bpy.data.materials.new("Hair")
    body.data.materials.append(material)
    settings.material = 2
    return rig


def hair_curves() -> bpy.types.Object:
    """Hair curves that grow from the head."""
    rig = _human("Curves", skirt=False)
    body = bpy.data.objects["Body"]
    roots = [v.co.copy() for v in body.data.vertices if v.co.z > 1.66][::2]
    data = bpy.data.hair_curves.new("Hair curves")
    data.add_curves([6] * len(roots))
    points = []
    for root in roots:
        out = np.array((root.x, root.y + 0.01, 0.02))
        points += [np.array(root) + out * u + np.array((0, 0, -0.25 * u * u)) for u in np.linspace(0, 1, 6)]
    data.position_data.foreach_set("vector", np.concatenate(points).astype(np.float32))
    item = bpy.data.objects.new("Hair curves", data)
    bpy.context.scene.collection.objects.link(item)
    item.parent, item.parent_type, item.parent_bone = rig, "BONE", "head"
    rig.data.pose_position = "REST"
    bpy.context.view_layer.update()
    item.matrix_world = Matrix.Identity(4)
    rig.data.pose_position = "POSE"
    data.surface = body
    return rig


IN_FOLDER = {"linked": linked, "overridden": overridden, "instanced": instanced}
RIGS: dict[str, Callable[..., bpy.types.Object]] = {
    "rigify_human": rigify_human, "rigify_cat": rigify_cat, "mixamo": mixamo, "vrm": vrm, "mpfb": mpfb, "daz": daz,
    "unreal": unreal, "robot": robot, "dog": dog, "centaur": two_bodies, "two_characters": two_characters, **IN_FOLDER,
    "sheared": sheared, "stretchy": stretchy, "modelled": modelled, "speaking": speaking,
    "particle_hair": particle_hair,     "hair_curves": hair_curves,
}  # fmt: skip


def build(name: str, folder: Path) -> bpy.types.Object:
    """Build a character in the present empty file; `folder` takes what it links."""
    return RIGS[name](folder) if name in IN_FOLDER else RIGS[name]()
