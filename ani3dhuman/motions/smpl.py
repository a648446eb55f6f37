"""Motions of the SMPL family: AMASS and its like, `.npz` files of axis angles in a Z-up world."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ani3d_formats.npz import read_npz

from .motion import Motion, motion_error

JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
FACE = ("jaw", "left_eye_smplhf", "right_eye_smplhf")
FINGERS = ("index", "middle", "pinky", "ring", "thumb")
HANDS = tuple(f"{side}_{finger}{k}" for side in ("left", "right") for finger in FINGERS for k in (1, 2, 3))
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
Y_TO_Z = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
SMPL, SMPLH, SMPLX = 24, 52, 55  # joints

# an upright T pose of our own in metres, X left, Y up, Z ahead: a motion alone does not say how its body stands at rest
_REST = {
    "pelvis": (0, 0.95, 0), "left_hip": (0.09, 0.87, 0), "spine1": (0, 1.06, 0), "left_knee": (0.1, 0.47, 0),
    "spine2": (0, 1.19, 0), "left_ankle": (0.1, 0.08, -0.03), "spine3": (0, 1.25, 0), "left_foot": (0.12, 0.02, 0.1),
    "neck": (0, 1.45, 0), "left_collar": (0.07, 1.38, 0), "head": (0, 1.53, 0.02), "left_shoulder": (0.18, 1.38, 0),
    "left_elbow": (0.44, 1.38, 0), "left_wrist": (0.69, 1.38, 0), "jaw": (0, 1.53, 0.04),
    "left_eye_smplhf": (0.03, 1.6, 0.08),
}  # fmt: skip
_KNUCKLES = {"index": 0.03, "middle": 0.01, "ring": -0.01, "pinky": -0.03, "thumb": 0.04}


def joint_names(count: int) -> tuple[str, ...]:
    """Names of 24, 52 or 55 joints in the model's order."""
    if count == SMPL:
        return (*JOINTS, "left_hand", "right_hand")
    return (*JOINTS, *(FACE if count == SMPLX else ()), *HANDS)


def joint_parents(count: int) -> np.ndarray:
    """(count,) parents in the model's order."""
    names, parents = joint_names(count), list(PARENTS)
    for name in names[len(JOINTS) :]:
        side = name.partition("_")[0]
        wrist, level = (20 if side == "left" else 21), name[-1]
        if name in FACE:
            parents.append(15)
        else:
            parents.append(names.index(f"{name[:-1]}{int(level) - 1}") if level in "23" else wrist)
    return np.array(parents)


def rest_joints(count: int) -> np.ndarray:
    """(count,3) joints of the T pose above, Y up."""
    places = []
    for name in joint_names(count):
        sign = -1 if name.startswith("right_") else 1
        plain = name.replace("right_", "left_")
        finger = next((f for f in FINGERS if f in plain), None)
        if plain in _REST:
            x, y, z = _REST[plain]
        elif finger:
            x, y, z = 0.76 + 0.03 * int(plain[-1]) - (0.05 if finger == "thumb" else 0), 1.38, _KNUCKLES[finger]
        else:
            x, y, z = 0.77, 1.38, 0.0
        places.append((sign * x, y, z))
    return np.array(places, float)


@dataclass(frozen=True)
class SmplPoses:
    """Poses (T,J,3) axis angles, translations (T,3) metres, shape (S,), frames a second."""

    path: Path
    poses: np.ndarray
    trans: np.ndarray
    betas: np.ndarray
    fps: float

    @classmethod
    def load(cls, path: Path) -> SmplPoses:
        """Read `poses` (T,3J), or `root_orient`, `pose_body`, `pose_hand` and such; `trans`, `betas`, the frame rate.

        Raises:
            Ani3DError: ``motion.file``.
        """
        try:
            return cls(path, *_said(read_npz(path, skip_objects=True)))
        except (OSError, ValueError, KeyError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise motion_error(path, f"it is no motion of SMPL ({what})", "Give an .npz as AMASS has them.") from error

    def fitted(self, count: int) -> np.ndarray:
        """(T,count,3) poses of a model of so many joints, by the joints' names; others are not turned."""
        own, wanted = joint_names(self.poses.shape[1]), joint_names(count)
        found = np.zeros((len(self.poses), count, 3))
        for j, name in enumerate(wanted):
            if name in own:
                found[:, j] = self.poses[:, own.index(name)]
        return found


def read_smpl_motion(path: Path, joints: np.ndarray | None = None) -> Motion:
    """A motion of SMPL, SMPL-H or SMPL-X.

    Args:
        path: the .npz; see `SmplPoses.load`.
        joints: (J,3) of the body at rest, Y up, metres; None takes a T pose of ordinary proportions.

    Raises:
        Ani3DError: ``motion.file``.
    """
    path = Path(path)
    said = SmplPoses.load(path)
    poses, count = said.poses, said.poses.shape[1]
    rest = rest_joints(count) if joints is None else np.asarray(joints, float)[:count]
    parents = joint_parents(count)
    offsets = rest - np.where(parents[:, None] >= 0, rest[parents], 0)
    positions = np.repeat(offsets[None], len(poses), 0)
    positions[:, 0] = 0
    turns = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(len(poses), count, 3, 3)
    local = Motion.of_local(path, joint_names(count), parents, offsets, positions, turns, 1 / said.fps)
    # the world of the file is Z up already; only the body at rest is Y up. It turns about the pelvis
    points = local.points + said.trans[:, None] + (0 if joints is None else rest[0])
    return Motion(path, local.names, parents, (rest - rest[0]) @ Y_TO_Z.T, points, local.turns @ Y_TO_Z.T, 1 / said.fps)


def _said(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Poses (T,J,3), translations (T,3), shape (S,) and the frame rate."""
    if "poses" in arrays:
        poses = arrays["poses"]
    else:
        names = ("root_orient", "pose_body", "pose_jaw", "pose_eye", "pose_hand")
        poses = np.concatenate([arrays[name] for name in names if name in arrays or name in names[:2]], axis=1)
    poses = np.asarray(poses, float)
    if poses.ndim != 2 or not len(poses):
        raise ValueError(f"its poses have shape {poses.shape}")
    count = {66: 22, 72: SMPL, 156: SMPLH, 165: SMPLX}.get(poses.shape[1])
    if count is None:
        raise ValueError(f"its poses have {poses.shape[1]} numbers; 66, 72, 156 or 165 were expected")
    if count == 22:
        poses, count = np.pad(poses, ((0, 0), (0, 6))), SMPL
    trans = np.asarray(arrays.get("trans", np.zeros((len(poses), 3))), float)
    rates = (arrays[name] for name in ("mocap_framerate", "mocap_frame_rate", "fps") if name in arrays)
    fps = float(next(rates, np.array(30.0)))
    if trans.shape != (len(poses), 3) or not (
        np.isfinite(poses).all() and np.isfinite(trans).all() and 1 <= fps <= 1e4
    ):
        raise ValueError("its translations or its frame rate are not sound")
    betas = np.asarray(arrays.get("betas", np.zeros(0)), float).reshape(-1)
    return poses.reshape(len(poses), count, 3), trans, betas, fps
