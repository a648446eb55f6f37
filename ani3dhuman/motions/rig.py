"""A shot's skeleton as the one who is to move: its joints, and a hierarchy where the shot leaves it open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ani3d_formats.shot import Shot

from ..pose.bone_names import find_fingers, find_joints, parse_bone_name
from .figure import Figure
from .motion import Motion

ABOVE = {"knee": "hip", "ankle": "knee", "elbow": "shoulder", "wrist": "elbow"}
CARRIED = 1e-3  # metres and radians: what moves with a bone within this hangs on it


@dataclass(frozen=True)
class Rig:
    """Rows of a shot's skeleton.

    Attributes:
        figure: the human in it, at rest; its motion is one frame of rest.
        parents: (B,) with every row but the main root's below another; -1 also for objects that stand by themselves.
        order: (B,) rows, parents before their children.
        root: the main root.
    """

    figure: Figure
    parents: np.ndarray
    order: tuple[int, ...]
    root: int

    @classmethod
    def of(cls, shot: Shot) -> Rig:
        """Raises `Ani3DError` ``motion.file`` where the shot's skeleton is no standing human's."""
        bones = set(shot.meta.skeleton)
        names = tuple(name if row in bones else "" for row, name in enumerate(shot.meta.bones))
        heads = shot["bone_rest"][:, :3, 3].astype(np.float64)
        tails = heads + shot["bone_rest"][:, :3, 1] * shot["bone_lengths"][:, None]
        parents = shot["bone_parents"].astype(np.int64).copy()
        joints = find_joints(names)
        root = _attach(names, parents, heads, tails, joints)
        for row in range(len(names)):
            if row not in bones and parents[row] < 0:
                parents[row] = _carrier(shot, row, sorted(bones))
        order = _ordered(parents)
        turns = np.tile(np.eye(3), (1, len(names), 1, 1))
        rest = Motion(Path(f"the shot '{shot.name}'"), names, parents, heads, heads[None], turns, 1.0)
        return cls(Figure.of(rest), parents, order, root)

    def below(self, row: int) -> set[int]:
        """The row and all that hang on it."""
        return _below(self.parents, row)


def _below(parents: np.ndarray, row: int) -> set[int]:
    found, grown = {row}, True
    while grown:
        more = {int(j) for j in np.flatnonzero(np.isin(parents, list(found)))} - found
        grown = bool(more)
        found |= more
    return found


def _ordered(parents: np.ndarray) -> tuple[int, ...]:
    done: list[int] = []
    waiting = list(np.flatnonzero(parents < 0))
    while waiting:
        row = int(waiting.pop(0))
        done.append(row)
        waiting += list(np.flatnonzero(parents == row))
    return tuple(done)


def _attach(
    names: tuple[str, ...], parents: np.ndarray, heads: np.ndarray, tails: np.ndarray, joints: dict[str, int]
) -> int:
    """Hang bones without a parent on the one that they belong to, in place; the main root."""
    is_bone = np.array([bool(name) for name in names])
    central = np.array([bool(name) and parse_bone_name(name).side is None for name in names])
    hips = [joints[name] for name in ("left_hip", "right_hip") if name in joints]
    tops = np.flatnonzero((parents < 0) & is_bone)
    if not len(tops) or not hips:
        return int(tops[0]) if len(tops) else 0
    owner = next((int(top) for top in tops if top not in hips and set(hips) <= _below(parents, int(top))), None)
    if owner is None:
        named = {joints[name] for name in ("neck", "head") if name in joints}
        free = [int(top) for top in tops if central[top] and top not in named] or [int(tops[0])]
        middle = heads[hips].mean(0)
        owner = min(free, key=lambda row: float(np.linalg.norm(heads[row] - middle)))
    joint_of = {row: name for name, row in joints.items()}
    fingers: dict[int, int | None] = {}
    for (side, _), chain in find_fingers(names).items():
        fingers |= dict(zip(chain, (joints.get(f"{side}_wrist"), *chain), strict=False))
    for row in (int(top) for top in tops if top != owner):
        side, _, joint = joint_of.get(row, "").partition("_")
        wanted = joints.get(
            f"{side}_{ABOVE.get(joint, '')}", joints.get("neck") if side == "head" else fingers.get(row)
        )
        taken = _below(parents, row)
        if joint == "hip":
            wanted = owner
        if wanted is None or wanted in taken:
            fits = central if side == "neck" or _is_collar(names[row], joint) else is_bone
            allowed = [int(j) for j in np.flatnonzero(fits) if j not in taken] or [owner]
            wanted = min(allowed, key=lambda j: _distance(heads[row], heads[j], tails[j]))
        parents[row] = wanted
    return owner


def _is_collar(name: str, joint: str) -> bool:
    return joint != "shoulder" and parse_bone_name(name).stem in ("clavicle", "collar", "shoulder")


def _distance(point: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """From a point to a segment."""
    along = b - a
    share = np.clip((point - a) @ along / max(float(along @ along), 1e-12), 0, 1)
    return float(np.linalg.norm(point - a - share * along))


def _carrier(shot: Shot, row: int, bones: list[int]) -> int:
    """The bone that an object moves with in the shot; -1 where none does, or nothing moves."""
    pose = shot["bone_pose"].astype(np.float64)
    local = np.linalg.inv(pose[:, bones]) @ pose[:, row][:, None]
    change = np.abs(local - local[:1]).max((0, 2, 3))
    moves = np.abs(pose[:, row] - pose[:1, row]).max() > CARRIED
    return bones[int(change.argmin())] if moves and change.min() < CARRIED else -1
