"""The human in a motion: which joints are which, which way is up, and how the rest pose stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from ani3d_formats.errors import Ani3DError

from ..pose.bone_names import SIDES, find_joints
from .motion import Motion

LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
ESSENTIAL = tuple(f"{side}_{joint}" for side in SIDES for joint in LIMBS)
STANDING = "Export the figure with a rest pose that stands upright, such as a T pose."


@dataclass(frozen=True)
class Figure:
    """Which joints of a file are which, and how its rest pose stands.

    Attributes:
        motion: the file; joints: joint of the human body -> index (`find_joints`).
        rest: (J,3) in the body's axes: Z up, facing -Y; axes: (3,3) turns the file's directions into these.
        spine: from hips to chest, both included.
        leg: length of thigh and shin, in the file's unit.
    """

    motion: Motion
    joints: dict[str, int]
    rest: np.ndarray
    axes: np.ndarray
    spine: tuple[int, ...]
    leg: float

    @classmethod
    def of(cls, motion: Motion) -> Figure:
        joints = find_joints(motion.names)
        missing = [name for name in ESSENTIAL if name not in joints]
        if missing:
            named = ", ".join(filter(None, motion.names))
            raise Ani3DError(
                "motion.file",
                f"{motion.path} has no joint for {', '.join(missing)}; its joints are {named}.",
                "Rename its joints as Mixamo, Blender's Rigify, SMPL or Unreal do, e.g. LeftUpLeg, LeftLeg, LeftFoot.",
            )
        rest = motion.rest
        left, right = ({name: rest[joints[f"{side}_{name}"]] for name in LIMBS} for side in SIDES)
        middle = {name: (left[name] + right[name]) / 2 for name in LIMBS}
        leg = float(np.linalg.norm(left["knee"] - left["hip"]) + np.linalg.norm(left["ankle"] - left["knee"]))
        trunk = middle["shoulder"] - middle["ankle"]
        up = np.zeros(3)
        up[np.abs(trunk).argmax()] = np.sign(trunk[np.abs(trunk).argmax()])
        across = left["hip"] - right["hip"]
        across = across - up * (across @ up)
        upright = min((middle["hip"] - middle["ankle"]) @ up / 0.7, (middle["shoulder"] - middle["hip"]) @ up / 0.2)
        lengths = [np.linalg.norm(own[b] - own[a]) for own in (left, right) for a, b in _BONES]
        if upright < leg or np.linalg.norm(across) < 0.02 * leg or min(lengths) < 0.02 * leg:
            raise Ani3DError("motion.file", f"{motion.path}: the rest pose is no standing human.", STANDING)
        x = across / np.linalg.norm(across)
        axes = np.stack([x, np.cross(up, x), up])
        return cls(motion, joints, rest @ axes.T, axes, _spine(motion, joints), leg)


_BONES = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))


def _spine(motion: Motion, joints: dict[str, int]) -> tuple[int, ...]:
    """Joints from the one that both legs hang on to the one that both arms hang on."""
    above = [motion.ancestors(joints[name]) for name in ("left_hip", "right_hip", "left_shoulder", "right_shoulder")]
    hips = next(j for j in above[0] if j in above[1])
    chest = next(j for j in above[2] if j in above[3])
    if chest == joints.get("neck") and motion.parents[chest] >= 0:  # 3ds Max's collar bones hang on the neck
        chest = int(motion.parents[chest])
    chain = motion.ancestors(chest)
    return tuple(reversed(chain[: chain.index(hips) + 1])) if hips in chain else (hips,)


def shortest(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(3,3) rotation without twist that turns the direction `start` (3,) into `end` (3,)."""
    return Rotation.align_vectors(end[None], start[None])[0].as_matrix()


def between(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """(T,3,3) this share 0..1 of the way from `first` to `second`."""
    way = Rotation.from_matrix(first.transpose(0, 2, 1) @ second).as_rotvec()
    return first @ Rotation.from_rotvec(share * way).as_matrix()


def resampled(
    world: np.ndarray, values: np.ndarray, frame_time: float, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (N,B,3,3) and values (K,N) at these seconds (N,), of world (T,B,3,3) and values (T,K)."""
    if len(world) == 1:
        return np.repeat(world, len(at), 0), np.repeat(values.T, len(at), 1)
    times = np.arange(len(world)) * frame_time
    turned = [Slerp(times, Rotation.from_matrix(world[:, b]))(at).as_matrix() for b in range(world.shape[1])]
    return np.stack(turned, axis=1), np.stack([np.interp(at, times, column) for column in values.T])
