# SPDX-License-Identifier: GPL-3.0-or-later
"""Random motion for any rig: its own action at another speed, bones that bend smoothly, a root that sways and hops.

Whatever the file animates (action, NLA, the object itself) is read as bone poses first. The motion is keyed on the pose
bones in a temporary action: roots carry all travel, so that meshes need not be parented to the rig. It begins in rest
pose, since that is where cloth has its shape, and takes some frames to get into the motion.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector

from .. import compat

LIMB, TRUNK = np.radians(22.0), np.radians(4.0)
TWIST = 0.25  # of the bend that a bone may turn about itself
LONG_BONE = 0.15  # of the rig's size: bones at least this long bend fully, shorter ones less
TINY_BONE = 0.04  # of the rig's size: shorter ones, as of fingers, stay as they are
LONG_CHAIN = 0.1  # of the rig's size: what makes a fork of the trunk
BLEND = 0.6  # of the pre-roll: time begins to run, and rest pose becomes the motion's
GRAVITY = 9.81

Poses = list[list[Matrix]]
"""[frame][bone]: `matrix_basis` of every pose bone."""


@contextmanager
def moving(
    context: bpy.types.Context, armature: bpy.types.Object, rng: np.random.Generator, frames: int, pre_roll: int
) -> Iterator[None]:
    """Have `armature` move at random in the frames 1 to `pre_roll` + `frames`, meanwhile; the scene's frame changes."""
    animated = own_range(context, armature) is not None
    into = [_smoothstep(t / max(1.0, BLEND * pre_roll)) for t in range(pre_roll + frames)]
    clock = np.cumsum(into)  # frames that have gone by: the motion begins slowly
    poses, objects = _played(context, armature, rng, clock)
    with _unanimated(armature):
        context.view_layer.update()
        still = armature.evaluated_get(context.evaluated_depsgraph_get()).matrix_world.copy()
        poses = _composed(context, armature, rng, poses, objects, still, clock, 0.6 if animated else 1.0)
        action = bpy.data.actions.new("Ani3D take")
        try:
            armature.animation_data.action = action
            for i, bone in enumerate(armature.pose.bones):
                _key(armature, action, bone, [row[i] for row in poses])
            yield
        finally:
            armature.animation_data.action = None
            bpy.data.actions.remove(action)


def _composed(
    context: bpy.types.Context,
    armature: bpy.types.Object,
    rng: np.random.Generator,
    base: Poses,
    objects: list[Matrix],
    still: Matrix,
    clock: np.ndarray,
    strength: float,
) -> Poses:
    """Bends and travel on top of the poses `base`; `still` is where the object stands, `objects` where it would be."""
    scene, count, bones = context.scene, len(base), armature.pose.bones
    times = clock * (scene.render.fps_base / scene.render.fps)
    into = np.diff(clock, prepend=0.0)
    reach = strength * rng.uniform(0.4, 1.2) * bend_limits(armature)
    bends = smooth_noise(rng, times, 3 * len(bones), 0.2, 1.0).reshape(count, len(bones), 3)
    angles = bends * reach[:, None] * [1, TWIST, 1]
    travel = _travel(rng, times, size_of(armature) * still.median_scale)
    rests = [bone.bone.matrix_local for bone in bones]
    root = max((i for i, b in enumerate(bones) if b.parent is None), key=lambda i: len(bones[i].children_recursive))
    back = still.inverted()
    moves = []
    for t in range(count):
        pivot = (objects[t] @ rests[root] @ base[t][root]).translation
        moves.append(back @ _about(pivot, travel[t]) @ objects[t])
    begin = Matrix.Translation((moves[0] @ rests[root] @ base[0][root]).translation - rests[root].translation)
    result: Poses = []
    for t in range(count):
        row = []
        for i, bone in enumerate(bones):
            rest, wanted = Matrix(), base[t][i] @ Euler(angles[t, i]).to_matrix().to_4x4()
            if bone.parent is None:
                unrest = rests[i].inverted()
                rest, wanted = unrest @ begin @ rests[i], unrest @ moves[t] @ rests[i] @ wanted
            row.append(wanted if into[t] >= 1 else rest.lerp(wanted, into[t]))
        result.append(row)
    return result


def bend_limits(armature: bpy.types.Object) -> np.ndarray:
    """(B,) radians by which each pose bone may bend: limbs more, the trunk less, tiny and constrained bones not."""
    size = size_of(armature)
    free = [bone.parent is not None and not any(not c.mute for c in bone.constraints) for bone in armature.pose.bones]
    chosen = [ok and bone.bone.use_deform for ok, bone in zip(free, armature.pose.bones, strict=True)]
    if not any(chosen):  # the bones that deform follow controls
        chosen = [ok and not bone.bone.hide for ok, bone in zip(free, armature.pose.bones, strict=True)]
    return np.array(
        [_limit(bone.bone, size) if ok else 0.0 for ok, bone in zip(chosen, armature.pose.bones, strict=True)]
    )


def size_of(armature: bpy.types.Object) -> float:
    """The rig's largest extent in rest pose, in its own units."""
    points = np.array([p for bone in armature.data.bones for p in (bone.head_local, bone.tail_local)])
    return float(np.ptp(points, axis=0).max())


def _limit(bone: bpy.types.Bone, size: float) -> float:
    if bone.length < TINY_BONE * size:
        return 0.0
    if any(
        sum(_chain(child) > LONG_CHAIN * size for child in b.children) > 1 for b in (bone, *bone.children_recursive)
    ):
        return TRUNK
    return LIMB * min(1.0, bone.length / (LONG_BONE * size))


def _chain(bone: bpy.types.Bone) -> float:
    """Length of the longest chain that begins with `bone`."""
    return bone.length + max((_chain(child) for child in bone.children), default=0.0)


def smooth_noise(rng: np.random.Generator, times: np.ndarray, channels: int, low: float, high: float) -> np.ndarray:
    """(T,channels) sums of three sines between `low` and `high` Hz, mostly within -1..1."""
    rates, phases = rng.uniform(low, high, (3, channels)), rng.uniform(0, 2 * np.pi, (3, channels))
    return np.sin(2 * np.pi * times[:, None, None] * rates + phases).sum(1) / 2


def _travel(rng: np.random.Generator, times: np.ndarray, size: float) -> np.ndarray:
    """(T,4) metres of the root along x, y, z and radians about z, 0 at the first frame."""
    sway = smooth_noise(rng, times, 2, 0.2, 0.8) * rng.uniform(0.02, 0.1) * size
    turn = smooth_noise(rng, times, 1, 0.1, 0.5) * np.radians(rng.uniform(10, 60))
    hops = np.zeros((len(times), 1))
    for _ in range(rng.integers(3)):
        begin, height, pull = (
            rng.uniform(times[-1] / 4, times[-1]),
            rng.uniform(0.02, 0.08) * size,
            rng.uniform(0.4, 0.9),
        )
        length = np.pi * np.sqrt(2 * height / (pull * GRAVITY))  # so that it falls at most at `pull` g
        inside = np.clip((times - begin) / length, 0, 1)[:, None]
        hops += height * np.sin(np.pi * inside) ** 2
    result = np.concatenate([sway, hops, turn], axis=1)
    return result - result[:1]


def _about(pivot: Vector, travel: np.ndarray) -> Matrix:
    """World transform: a turn about the vertical through `pivot`, then a step."""
    x, y, z, turn = travel
    there = Matrix.Translation(pivot)
    return Matrix.Translation((x, y, z)) @ there @ Matrix.Rotation(turn, 4, "Z") @ there.inverted()


def _smoothstep(x: float) -> float:
    x = min(max(x, 0.0), 1.0)
    return x * x * (3 - 2 * x)


def own_range(context: bpy.types.Context, armature: bpy.types.Object) -> tuple[float, float] | None:
    """First and last frame of what the file animates, if it does."""
    data = armature.animation_data
    if data is None:
        return None
    if data.action is not None:
        start, end = data.action.frame_range[:]
    elif data.use_nla and any(not track.mute and track.strips for track in data.nla_tracks):
        start, end = context.scene.frame_start, context.scene.frame_end
    else:
        return None
    return (float(start), float(end)) if end > start else None


def _played(
    context: bpy.types.Context, armature: bpy.types.Object, rng: np.random.Generator, clock: np.ndarray
) -> tuple[Poses, list[Matrix]]:
    """The file's own animation at a random speed from a random moment, back and forth: poses and object matrices."""
    speed, phase = rng.uniform(0.7, 1.4), rng.uniform()
    own = own_range(context, armature)
    poses, objects = [], []
    for gone in clock if own else clock[:1]:
        if own:
            start, length = own[0], own[1] - own[0]
            place = (phase * length + speed * gone) % (2 * length)
            frame = start + (place if place <= length else 2 * length - place)
            context.scene.frame_set(int(np.floor(frame)), subframe=float(frame - np.floor(frame)))
        evaluated = armature.evaluated_get(context.evaluated_depsgraph_get())
        poses.append([evaluated.pose.bones[bone.name].matrix_basis.copy() for bone in armature.pose.bones])
        objects.append(evaluated.matrix_world.copy())
    return (poses, objects) if own else (poses * len(clock), objects * len(clock))


def _key(armature: bpy.types.Object, action: bpy.types.Action, bone: bpy.types.PoseBone, poses: list[Matrix]) -> None:
    mode, frames = bone.rotation_mode, np.arange(1, len(poses) + 1)
    parts = [pose.decompose() for pose in poses]
    if mode == "QUATERNION":
        name, turns = "rotation_quaternion", [turn[:] for _, turn, _ in parts]
    elif mode == "AXIS_ANGLE":
        name, turns = (
            "rotation_axis_angle",
            [(angle, *axis[:]) for axis, angle in (t.to_axis_angle() for _, t, _ in parts)],
        )
    else:
        name, turns = "rotation_euler", [turn.to_euler(mode)[:] for _, turn, _ in parts]
    channels = {"location": [p[0][:] for p in parts], name: turns, "scale": [p[2][:] for p in parts]}
    for channel, values in channels.items():
        path = bone.path_from_id(channel)
        for index, column in enumerate(np.array(values, np.float64).T):
            compat.write_curve(armature, action, path, index, frames, column)


@contextmanager
def _unanimated(armature: bpy.types.Object) -> Iterator[None]:
    """Take the armature's action and NLA away, and put them and the pose back afterwards."""
    had_data = armature.animation_data is not None
    data = armature.animation_data or armature.animation_data_create()
    names = ("action", "action_slot", "action_influence", "action_blend_type", "action_extrapolation", "use_nla")
    before = {name: getattr(data, name) for name in names if hasattr(data, name)}
    channels = ("location", "rotation_quaternion", "rotation_axis_angle", "rotation_euler", "scale")
    pose = [[tuple(getattr(bone, channel)) for channel in channels] for bone in armature.pose.bones]
    own = [tuple(getattr(armature, channel)) for channel in channels]
    data.action, data.use_nla = None, False
    data.action_influence, data.action_blend_type = 1.0, "REPLACE"
    try:
        yield
    finally:
        for owner, values in zip([*armature.pose.bones, armature], [*pose, own], strict=True):
            for channel, value in zip(channels, values, strict=True):
                setattr(owner, channel, value)
        for name, value in before.items():
            if name != "action_slot" or value is not None:
                setattr(data, name, value)
        if not had_data:
            armature.animation_data_clear()
