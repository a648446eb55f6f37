"""Motion from a few poses: limbs point in directions, the trunk bends, the root turns and travels, something stands.

Directions are a person's own: +X is her left, -Y the way she looks, +Z up. Those of arms are seen from her chest, those
of legs from her hips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from cloth_truth.bodies import Body
from cloth_truth.motions import forward_kinematics

Vector = Sequence[float]
SPINE = ("spine2", "spine3", "spine4")
SHOULDER_SHARE = 0.35  # of an arm's turn that the shoulder takes
HANGING: dict[str, Vector] = {"upperarm": (0.34, 0.02, -1), "lowerarm": (0.22, -0.3, -1)}


@dataclass(frozen=True)
class Key:
    """What is so at a time; what a key does not name stays as in the key before.

    Attributes:
        seconds: when.
        limbs: where bones point, "upperarm.L": (x, y, z); a name without a side stands for both, the right mirrored.
        trunk, head: degrees about x (forward), y, z (to the left).
        turn: degrees of the whole person about x, y, z; z is applied last.
        at: metres along x and y; air: metres of the lowest point above the floor.
    """

    seconds: float
    limbs: Mapping[str, Vector] = field(default_factory=dict)
    trunk: Vector | None = None
    head: Vector | None = None
    turn: Vector | None = None
    at: Vector | None = None
    air: float | None = None


def act(body: Body, keys: Sequence[Key], fps: float, frames: int) -> np.ndarray:
    """(T,B,4,4) transforms from bind pose to each frame, world; the lowest point of the body is on the floor."""
    skeleton = body.skeleton
    tracks = _tracks(keys, np.arange(frames) / fps)
    turns = np.broadcast_to(np.eye(3), (frames, len(skeleton.names), 3, 3)).copy()
    for part in SPINE:
        turns[:, skeleton.index(part)] = _euler(tracks["trunk"] / len(SPINE))
    turns[:, skeleton.index("neck")] = turns[:, skeleton.index("head")] = _euler(tracks["head"] / 2)
    for side in "LR":
        for upper, lower, shoulder in (("upperarm", "lowerarm", "shoulder"), ("upperleg", "lowerleg", "")):
            first, second = f"{upper}.{side}", f"{lower}.{side}"
            whole = _between(_rest(body, first), tracks[first])
            turns[:, skeleton.index(first)] = whole
            if shoulder:
                share = Rotation.from_matrix(whole).as_rotvec() * SHOULDER_SHARE
                turns[:, skeleton.index(f"{shoulder}.{side}")] = part = Rotation.from_rotvec(share).as_matrix()
                turns[:, skeleton.index(first)] = part.transpose(0, 2, 1) @ whole
            seen = np.einsum("tji,tj->ti", whole, tracks[second])
            turns[:, skeleton.index(second)] = _between(_rest(body, second), seen)
    turns[:, 0] = _euler(tracks["turn"])
    ground = np.concatenate([tracks["at"], np.zeros((frames, 1))], axis=1)
    return stand(body, turns, ground, tracks["air"][:, 0])


def stand(body: Body, turns: np.ndarray, ground: np.ndarray, air: np.ndarray) -> np.ndarray:
    """Forward kinematics of turns (T,B,3,3) and travel (T,3); the lowest vertex `air` (T,) metres above the floor."""
    world = forward_kinematics(body.skeleton.heads, body.skeleton.parents, turns, ground)
    chosen = np.arange(0, len(body.vertices), 2)
    owner = body.weights[chosen].argmax(1)
    lowest = np.array(
        [
            (np.einsum("pj,pj->p", w[owner, 2, :3], body.vertices[chosen]) + w[owner, 2, 3]).min()
            for w in world.astype(np.float64)
        ]
    )
    lift = air - (gaussian_filter1d(lowest, 1.0, mode="nearest") if len(air) > 3 else lowest)
    world[:, :, 2, 3] += lift[:, None].astype(np.float32)
    return world


def _tracks(keys: Sequence[Key], times: np.ndarray) -> dict[str, np.ndarray]:
    """Values (T,K) by name: smooth between keys, without overshoot."""
    now: dict[str, Vector] = {"trunk": (0, 0, 0), "head": (0, 0, 0), "turn": (0, 0, 0), "at": (0, 0), "air": (0,)}
    standing = {"upperleg": (0.05, 0, -1), "lowerleg": (0.05, 0.06, -1)}
    now |= _sided({**HANGING, **standing})
    rows: list[dict[str, Vector]] = []
    for key in keys:
        now |= _sided(key.limbs)
        now |= {name: value for name in ("trunk", "head", "turn", "at") if (value := getattr(key, name)) is not None}
        if key.air is not None:
            now |= {"air": (key.air,)}
        rows.append(dict(now))
    found = {}
    for name in now:
        values = np.array([row[name] for row in rows], float)
        if name.partition(".")[2]:
            values /= np.linalg.norm(values, axis=1, keepdims=True)
        if len(keys) == 1:
            found[name] = np.repeat(values, len(times), axis=0)
            continue
        at = np.clip(times, keys[0].seconds, keys[-1].seconds)
        found[name] = PchipInterpolator([key.seconds for key in keys], values)(at)
    return found


def _sided(limbs: Mapping[str, Vector]) -> dict[str, Vector]:
    """Names with a side; both sides first, so that one side's own direction wins."""
    found: dict[str, Vector] = {}
    for name, (x, y, z) in limbs.items():
        if "." not in name:
            found |= {f"{name}.L": (x, y, z), f"{name}.R": (-x, y, z)}
    return found | {name: value for name, value in limbs.items() if "." in name}


def _rest(body: Body, bone: str) -> np.ndarray:
    index = body.skeleton.index(bone)
    along = body.skeleton.tails[index] - body.skeleton.heads[index]
    return along / np.linalg.norm(along)


def _euler(degrees: np.ndarray) -> np.ndarray:
    return Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


def _between(source: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(T,3,3) smallest rotations that bring direction `source` (3,) to `targets` (T,3)."""
    targets = targets / np.linalg.norm(targets, axis=1, keepdims=True)
    axis = np.cross(source, targets)
    sine, cosine = np.linalg.norm(axis, axis=1), targets @ source
    angle = np.arctan2(sine, cosine)
    return Rotation.from_rotvec(axis * (angle / np.maximum(sine, 1e-9))[:, None]).as_matrix()
