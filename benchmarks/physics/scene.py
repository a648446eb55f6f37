"""A dress of 5,000 vertices on the demo's CC0 human, and motions from a walk to a jump. Nothing is random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ani3d_formats.skinning import skin
from cloth_truth.garments import grid_quads, near_weights, outline, smoothstep
from cloth_truth.motions import forward_kinematics

HUMAN = Path(__file__).resolve().parents[2] / "examples" / "demo" / "human.npz"
FPS = 24.0
ARMS = ("clavicle", "shoulder", "upperarm", "lowerarm", "hand")
COLUMNS = 100
SLAB = 0.025  # metres about a height that its outline is taken from
BODICE_RINGS, SKIRT_RINGS = 15, 35
TOP, WAIST, HEM = 0.755, 0.62, 0.30  # heights as shares of the person's
EASE, HEM_RADIUS, FOLDS, FOLD_DEPTH = 0.008, 0.34, 10, 0.03  # metres, metres, count, metres


@dataclass(frozen=True)
class Dressed:
    """A rigged body in a dress: bind pose, world metres, Z up, facing -Y.

    Attributes:
        vertices: (V,3); faces: (F,3); regions: (V,) 0 body, 3 garment; pins: (V,) 1 on the skin .. 0 free.
        weight_indices, weight_values: (V,4); bone_names; bone_parents: (B,); bone_heads: (B,3).
    """

    vertices: np.ndarray
    faces: np.ndarray
    regions: np.ndarray
    pins: np.ndarray
    weight_indices: np.ndarray
    weight_values: np.ndarray
    bone_names: tuple[str, ...]
    bone_parents: np.ndarray
    bone_heads: np.ndarray

    def posed(self, transforms: np.ndarray) -> np.ndarray:
        """(T,V,3) skinned positions for bone transforms (T,B,4,4)."""
        return skin(self.vertices, self.weight_indices, self.weight_values, transforms)


def dressed_human() -> Dressed:
    """The human of the demo with a dress of `COLUMNS` x (`BODICE_RINGS` + `SKIRT_RINGS`) vertices."""
    with np.load(HUMAN) as file:
        human = {name: file[name] for name in file.files}
    body, names = human["vertices"].astype(np.float64), tuple(str(n) for n in human["bone_names"])
    dense = np.zeros((len(body), len(names)))
    np.put_along_axis(dense, human["weight_indices"].astype(int), human["weight_values"].astype(float), 1)
    dense /= dense.sum(1, keepdims=True)
    bones = {part: [i for i, n in enumerate(names) if n.split(".")[0] in part] for part in (ARMS, ("head",))}
    trunk = (dense[:, bones[ARMS]].sum(1) < 0.35) & (dense[:, bones[("head",)]].sum(1) < 0.5)
    quads = human["quads"][human["parts"] == 0].astype(np.int64)
    dress, dress_quads, pins = _dress(body[trunk], float(body[:, 2].max()))
    weights = np.concatenate([dense, near_weights(dress, body[trunk], dense[trunk])])
    indices = np.argsort(-weights, axis=1)[:, :4]
    values = np.take_along_axis(weights, indices, 1)
    quads = np.concatenate([quads, dress_quads + len(body)])
    return Dressed(
        np.concatenate([body, dress]).astype(np.float32),
        np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]),
        np.repeat([0, 3], [len(body), len(dress)]),
        np.concatenate([np.ones(len(body)), pins]).astype(np.float32),
        indices.astype(np.int32),
        (values / values.sum(1, keepdims=True)).astype(np.float32),
        names,
        human["bone_parents"].astype(int),
        human["bone_heads"].astype(np.float64),
    )


def _dress(trunk: np.ndarray, tall: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rings on the convex outline of the trunk, flared below the waist: points, quads, pin weights."""
    top, waist, hem = TOP * tall, WAIST * tall, HEM * tall
    rings = np.concatenate(
        [np.linspace(top, waist, BODICE_RINGS, endpoint=False), np.linspace(waist, hem, SKIRT_RINGS)]
    )
    angle = np.arange(COLUMNS) / COLUMNS * 2 * np.pi
    axis_y = trunk[np.abs(trunk[:, 2] - waist) < 0.03][:, 1].mean()
    fit = np.stack([outline(trunk, z, angle, axis_y, SLAB) for z in rings]) + EASE
    down = np.clip((waist - rings) / (waist - hem), 0, 1)[:, None]
    at_waist = fit[np.argmin(np.abs(rings - waist))]
    flare = at_waist + (HEM_RADIUS - at_waist) * (1 - (1 - down) ** 1.3)
    wave = FOLD_DEPTH * down**1.3 * (np.cos(FOLDS * angle) + 0.35)
    radius = np.where(down > 0, np.maximum(fit, flare), fit) + wave
    height = np.broadcast_to(rings[:, None], radius.shape)
    points = np.stack([radius * np.sin(angle), axis_y - radius * np.cos(angle), height], -1).reshape(-1, 3)
    pins = 1 - smoothstep((waist - points[:, 2]) / 0.06)
    return points, grid_quads(len(rings), COLUMNS, closed=True), pins


Turns = dict[str, tuple[str, np.ndarray]]  # bone -> axis of the bind pose and angle of each frame, radians


def bone_transforms(person: Dressed, turns: Turns, travel: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """(T,B,4,4) world transforms: each bone turns about its head; the root also travels (T,3) and turns about Z."""
    matrices = np.empty((len(heading), len(person.bone_names), 3, 3))
    for b, name in enumerate(person.bone_names):
        axis, angle = turns.get(name, ("x", np.zeros(len(heading))))
        matrices[:, b] = Rotation.from_euler(axis, angle[:, None]).as_matrix()
        if person.bone_parents[b] < 0:
            matrices[:, b] = Rotation.from_euler("z", heading[:, None]).as_matrix() @ matrices[:, b]
    return forward_kinematics(person.bone_heads, person.bone_parents, matrices, travel)


def _arms_down(frames: int, angle: float = 0.45) -> Turns:
    return {f"shoulder.{s}": ("y", np.full(frames, sign * angle)) for s, sign in (("L", 1), ("R", -1))}


def walk_and_turn(frames: int = 81) -> tuple[Turns, np.ndarray, np.ndarray]:
    """A walk of 1.2 m/s with swinging arms; half a turn in the second half of the clip."""
    time = np.arange(frames) / FPS
    phase = 2 * np.pi * 0.95 * time
    turns = _arms_down(frames)
    for side, sign in (("L", 1.0), ("R", -1.0)):
        swing = sign * np.sin(phase)
        turns[f"upperleg.{side}"] = ("x", -0.45 * swing - 0.07)
        turns[f"lowerleg.{side}"] = ("x", 0.75 * np.maximum(sign * np.cos(phase), 0) ** 1.5)
        turns[f"upperarm.{side}"] = ("x", 0.4 * swing)
        turns[f"lowerarm.{side}"] = ("x", np.full(frames, -0.25))
    span = frames / FPS
    heading = np.pi * smoothstep((time - 0.45 * span) / (0.4 * span))
    step = 1.2 / FPS * np.stack([np.sin(heading), -np.cos(heading), 0 * heading], 1)
    return turns, np.cumsum(step, 0) + [0, 0, 1] * (0.02 * np.cos(2 * phase))[:, None], heading


def kick(frames: int = 36) -> tuple[Turns, np.ndarray, np.ndarray]:
    """The right leg goes from standing to 100 degrees in a quarter of a second, foot at some 9 m/s, and comes back."""
    time = np.arange(frames) / FPS
    up = smoothstep((time - 0.4) / 0.25) - smoothstep((time - 0.8) / 0.35)
    turns = {
        **_arms_down(frames),
        "upperleg.R": ("x", -1.75 * up),
        "lowerleg.R": ("x", 1.2 * np.exp(-(((time - 0.45) / 0.09) ** 2))),
    }
    return turns, np.zeros((frames, 3)), np.zeros(frames)


def jump(frames: int = 40) -> tuple[Turns, np.ndarray, np.ndarray]:
    """Crouch, half a metre up with half a turn in the air, land, rise."""
    time = np.arange(frames) / FPS
    crouch = 0.8 * np.exp(-(((time - 0.32) / 0.16) ** 2)) + 0.9 * np.exp(-(((time - 1.15) / 0.14) ** 2))
    air = np.clip((time - 0.45) / 0.6, 0, 1)
    turns = _arms_down(frames)
    for side in "LR":
        turns[f"upperleg.{side}"] = ("x", -crouch)
        turns[f"lowerleg.{side}"] = ("x", 1.9 * crouch)
    height = 4 * 0.5 * air * (1 - air) - 0.28 * crouch
    return turns, np.stack([0 * time, 0 * time, height], 1), np.pi * smoothstep(air)


def wild_start(frames: int = 24) -> tuple[Turns, np.ndarray, np.ndarray]:
    """From the first frame on: one leg up to the side, the other knee bent, trunk bent; then back to standing."""
    time = np.arange(frames) / FPS
    gain = 1 - smoothstep((time - 0.2) / 0.7)
    turns: Turns = {
        "upperleg.L": ("y", -1.2 * gain),
        "spine2": ("x", 0.7 * gain),
        "upperleg.R": ("x", -0.5 * gain),
        "lowerleg.R": ("x", 0.9 * gain),
    }
    return turns, np.zeros((frames, 3)), np.full(frames, 2.5)


MOTIONS: dict[str, Callable[..., tuple[Turns, np.ndarray, np.ndarray]]] = {
    "walk": walk_and_turn,
    "kick": kick,
    "jump": jump,
    "wild": wild_start,
}
