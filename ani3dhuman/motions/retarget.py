"""A motion onto the skeleton of a shot.

Trunk, head, hands and feet turn as the figure's turn from rest; arms, legs and fingers point where the figure's point,
so that a T pose at rest moves an A pose. Legs set the scale. Feet that stand in the file stand on the rig as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from ani3d_formats.shot import Shot

from ..pose.bone_names import SIDES, find_fingers, parse_bone_name
from .contact import Leg, settle
from .figure import Figure, between, resampled, shortest
from .motion import Motion
from .rig import Rig

CHAINS = (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
FOOT_LEVEL = 5  # percentile of the ankles' heights that counts as standing


@dataclass(frozen=True)
class Moved:
    """What a motion makes of a rig.

    Attributes:
        bone_pose: (T,B,4,4) float32, world.
        scale: the file's unit in metres times the rig's legs over the figure's.
        mapped: bones that a joint of the file moves; the others are carried by their parents.
        standing: frames in which a foot is held on the ground, both feet together.
    """

    bone_pose: np.ndarray
    scale: float
    mapped: tuple[str, ...]
    standing: int


def retarget(motion: Motion, shot: Shot, *, contact: bool = True, at_start: bool = True) -> Moved:
    """The bones of `shot` as the figure in `motion` moves, at the shot's frame rate.

    Args:
        motion: of a human whose rest pose stands; any unit, and any of three axes up.
        shot: of a human rig.
        contact: hold feet where they stand in the file, as far as the file itself holds them.
        at_start: begin where the shot begins, facing the same way; else at the file's own place in the world.

    Raises:
        Ani3DError: ``motion.file``: joints are missing, or one of the rest poses does not stand.
    """
    source, rig = Figure.of(motion), Rig.of(shot)
    K = rig.figure.axes.T @ source.axes
    scale = rig.figure.leg / source.leg
    turns, points = _timed(motion, K, scale, shot.meta.fps)
    world = _followed(source, rig, K @ motion.rest.T, turns)
    rest = shot["bone_rest"].astype(np.float64)
    hips, ankles = ([source.joints[f"{side}_{name}"] for side in SIDES] for name in ("hip", "ankle"))
    placed = _placement(shot, rig, world, points[:, hips].mean(1), at_start)
    world = {row: placed.turn @ turns for row, turns in world.items()}
    points = points @ placed.turn.T + placed.shift
    points[..., 2] += _level(shot, rig) - np.percentile(points[:, ankles, 2], FOOT_LEVEL)

    own = [rig.figure.joints[f"{side}_hip"] for side in SIDES]
    heads = rest[:, :3, 3]

    def posed(world: dict[int, np.ndarray]) -> np.ndarray:
        moved = _carried(rig, heads, world, placed.matrix)
        hung = moved[:, own]
        middle = np.einsum("thij,hj->thi", hung[..., :3, :3], heads[own]) + hung[..., :3, 3]
        shift = np.zeros((*moved.shape[:2], 3))
        shift[:, sorted(rig.below(rig.root))] = (points[:, hips].mean(1) - middle.mean(1))[:, None]
        moved[..., :3, 3] += shift
        return moved

    standing = 0
    if contact:
        legs = [Leg(*(rig.figure.joints[f"{side}_{name}"] for name in CHAINS[0])) for side in SIDES]
        standing = settle(world, legs, heads, posed, points[:, ankles], shot.meta.fps)
    pose = posed(world) @ rest
    names = tuple(shot.meta.bones[row] for row in sorted(world))
    return Moved(pose.astype(np.float32), scale, names, standing)


@dataclass(frozen=True)
class _Placement:
    """A turn (3,3) about the vertical and a shift (3,) that bring a motion to its place."""

    turn: np.ndarray
    shift: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.turn, self.shift
        return matrix


def _timed(motion: Motion, K: np.ndarray, scale: float, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Turns (T,J,3,3) and points (T,J,3) in the rig's world and metres, at `fps`."""
    turns, points = K @ motion.turns @ K.T, scale * motion.points @ K.T
    if abs(motion.frame_time * fps - 1) < 1e-4 or motion.frames == 1:
        return turns, points
    last = (motion.frames - 1) * motion.frame_time
    at = np.minimum(np.arange(int(last * fps + 1e-6) + 1) / fps, last)
    turned, columns = resampled(turns, points.reshape(len(points), -1), motion.frame_time, at)
    return turned, np.stack(list(columns), axis=1).reshape(len(at), -1, 3)


def _followed(source: Figure, rig: Rig, rest: np.ndarray, turns: np.ndarray) -> dict[int, np.ndarray]:
    """Turns from rest (T,3,3) in the world of each row that a joint moves; `rest` (3,J) are the joints at rest."""
    target = rig.figure
    names, heads = target.motion.names, target.motion.rest
    world: dict[int, np.ndarray] = {row: turns[:, source.spine[0]] for row in target.spine[:1]}
    above, own = source.spine[1:] or source.spine, target.spine[1:]
    for k, row in enumerate(own, 1):  # both spines are as long: a share of the way up one is as far up the other
        place = k / len(own) * len(above) - 1
        low, high = math.floor(place + 1e-9), math.ceil(place - 1e-9)
        below = turns[:, above[low]] if low >= 0 else turns[:, source.spine[0]]
        world[row] = turns[:, above[high]] if high <= low else between(below, turns[:, above[high]], place - low)
    for name in ("neck", "head"):
        if name in source.joints and name in target.joints:
            world.setdefault(target.joints[name], turns[:, source.joints[name]])
    for side in SIDES:
        own_arm, arm = target.joints[f"{side}_shoulder"], source.joints[f"{side}_shoulder"]
        collar, own_collar = (int(f.motion.parents[j]) for f, j in ((source, arm), (target, own_arm)))
        if own_collar not in target.spine and collar not in source.spine:
            world[own_collar] = turns[:, collar]
        for chain in CHAINS:
            posture = np.eye(3)  # turns the limb at rest into the figure's at rest
            for start, end in pairwise(chain):
                j, e = (source.joints[f"{side}_{name}"] for name in (start, end))
                row, tip = (target.joints[f"{side}_{name}"] for name in (start, end))
                posture = shortest(posture @ (heads[tip] - heads[row]), rest[:, e] - rest[:, j]) @ posture
                world[row] = turns[:, j] @ posture
            j, row = (f.joints[f"{side}_{chain[-1]}"] for f in (source, target))
            world[row] = turns[:, j] @ posture if chain[-1] == "wrist" else turns[:, j]  # soles are flat in both
            if chain[-1] == "wrist":
                _follow_fingers(world, source, target, side, posture, rest, turns)
        _follow_toes(world, source, target, side, turns)
    same = {name: j for j, name in enumerate(source.motion.names) if name}
    for row, name in enumerate(names):  # what neither of them knows by its meaning, but both by its name
        if (
            row not in world
            and name in same
            and same[name] not in source.joints.values()
            and row in rig.below(rig.root)
        ):
            world[row] = turns[:, same[name]]
    return world


def _follow_fingers(
    world: dict[int, np.ndarray],
    source: Figure,
    target: Figure,
    side: str,
    hand: np.ndarray,
    rest: np.ndarray,
    turns: np.ndarray,
) -> None:
    theirs, ours = (find_fingers(figure.motion.names) for figure in (source, target))
    heads = target.motion.rest
    for key in set(theirs) & set(ours):
        if key[0] != side:
            continue
        posture = hand
        pairs = list(zip(ours[key], theirs[key], strict=False))
        for (row, j), after in zip(pairs, [*pairs[1:], None], strict=False):
            if after is not None:
                bind, aim = posture @ (heads[after[0]] - heads[row]), rest[:, after[1]] - rest[:, j]
                posture = shortest(bind, aim) @ posture
            world[row] = turns[:, j] @ posture


def _follow_toes(world: dict[int, np.ndarray], source: Figure, target: Figure, side: str, turns: np.ndarray) -> None:
    found = []
    for figure in (source, target):
        ankle = figure.joints[f"{side}_ankle"]
        below = [j for j, name in enumerate(figure.motion.names) if name and figure.motion.parents[j] == ankle]
        toes = [
            j
            for j in below
            if parse_bone_name(figure.motion.names[j]).stem in ("toe", "toes", "toebase", "ball", "foot")
        ]
        found.append(toes or (below if len(below) == 1 and figure is source else []))
    if all(found):
        world[found[1][0]] = turns[:, found[0][0]]


def _carried(rig: Rig, heads: np.ndarray, world: dict[int, np.ndarray], placed: np.ndarray) -> np.ndarray:
    """(T,B,4,4) from rest to each frame, the main root's head where it is at rest; others stand at `placed` (4,4)."""
    frames = len(next(iter(world.values())))
    moved = np.tile(np.eye(4), (frames, len(heads), 1, 1))
    moving = rig.below(rig.root)
    for row in rig.order:
        above = int(rig.parents[row])
        if row not in moving:
            moved[:, row] = placed if above < 0 else moved[:, above]
            continue
        turn = world.get(row)
        if above < 0:
            moved[:, row, :3, :3] = np.eye(3) if turn is None else turn
            place = heads[row]
        else:
            moved[:, row, :3, :3] = moved[:, above, :3, :3] if turn is None else turn
            place = np.einsum("tij,j->ti", moved[:, above, :3, :3], heads[row]) + moved[:, above, :3, 3]
        moved[:, row, :3, 3] = place - np.einsum("tij,j->ti", moved[:, row, :3, :3], heads[row])
    return moved


def _placement(shot: Shot, rig: Rig, world: dict[int, np.ndarray], hips: np.ndarray, at_start: bool) -> _Placement:
    """From the motion's own place to where the shot begins; `hips` (T,3) between the hip joints."""
    if not at_start:
        return _Placement(np.eye(3), np.zeros(3))
    spine = rig.figure.spine[0]
    first = shot.skinning_transforms()[0]
    apart = _heading(first[spine, :3, :3]) - _heading(world[spine][0])
    turn = Rotation.from_euler("z", apart).as_matrix() if abs(apart) > 1e-6 else np.eye(3)
    own = [rig.figure.joints[f"{side}_hip"] for side in SIDES]
    start = shot["bone_pose"][0, own, :3, 3].astype(np.float64).mean(0)
    shift = start - turn @ hips[0]
    return _Placement(turn, shift * [1, 1, 0])


def _heading(turn: np.ndarray) -> float:
    """Radians about the vertical that a turn (3,3) from rest amounts to."""
    return float(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))


def _level(shot: Shot, rig: Rig) -> float:
    """Height of the rig's ankles while it stands, world metres: as in the shot."""
    ankles = [rig.figure.joints[f"{side}_ankle"] for side in SIDES]
    return float(np.percentile(shot["bone_pose"][:, ankles, 2, 3].astype(np.float64), FOOT_LEVEL))
