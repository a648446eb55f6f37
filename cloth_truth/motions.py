"""Procedural motion families: walking, turning, hopping, crouching, dancing, from a few random parameters each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from .bodies import Body
from .garments import smoothstep

FPS = 24.0
Range = tuple[float, float]
NONE: Range = (0.0, 0.0)


@dataclass(frozen=True)
class Family:
    """Ranges to draw a motion from; the defaults stand still with hanging arms.

    Attributes:
        cadence: strides a second; stride: radians of thigh swing, 0 stands.
        turn: radians turned over the clip, either way round; spin: the turn takes the whole clip, else about a second.
        twist: radians of chest against hips; sway: metres of the hips sideways.
        hop: metres off the ground; crouch: radians of hip bend; beat: hops, crouches, sways a second.
        kick: radians a leg is thrown forward; side: metres a second sideways.
        arms: radians the upper arms swing; lift: radians the arms are raised from the bind pose (negative hangs down).
    """

    cadence: Range = (0.75, 1.1)
    stride: Range = NONE
    turn: Range = (0.0, 0.3)
    spin: bool = False
    twist: Range = (0.0, 0.1)
    sway: Range = NONE
    hop: Range = NONE
    crouch: Range = NONE
    beat: Range = (0.6, 1.1)
    kick: Range = NONE
    side: Range = NONE
    arms: Range = (0.1, 0.35)
    lift: Range = (-0.35, 0.0)


FAMILIES: dict[str, Family] = {
    "walk": Family(stride=(0.32, 0.5)),
    "walk_turn": Family(stride=(0.3, 0.45), turn=(0.9, 2.4)),
    "sway": Family(sway=(0.05, 0.1), twist=(0.25, 0.5), turn=(0.0, 0.6)),
    "hop": Family(hop=(0.06, 0.16), beat=(0.9, 1.4), arms=(0.2, 0.5), lift=(-0.2, 0.2)),
    "crouch": Family(crouch=(0.35, 0.75), beat=(0.45, 0.75), arms=(0.2, 0.5), lift=(-0.2, 0.1)),
    "arm_swing": Family(arms=(0.7, 1.1), twist=(0.25, 0.5), sway=(0.03, 0.07), lift=(-0.2, 0.3)),
    "side_step": Family(side=(0.3, 0.6), sway=(0.02, 0.05), stride=(0.05, 0.12), beat=(0.8, 1.1)),
    "jog": Family(cadence=(1.25, 1.5), stride=(0.42, 0.58), hop=(0.02, 0.04), arms=(0.4, 0.7), lift=(-0.2, 0.0)),
    "twirl": Family(turn=(3.5, 7.0), spin=True, stride=(0.08, 0.15), cadence=(1.1, 1.5), lift=(-0.2, 0.3)),
    "kicks": Family(kick=(0.6, 1.0), beat=(0.7, 1.0), stride=(0.08, 0.2), twist=(0.1, 0.3), lift=(-0.25, 0.1)),
    "dance": Family(
        sway=(0.05, 0.1), twist=(0.3, 0.55), turn=(1.0, 3.0), crouch=(0.15, 0.35), hop=(0.0, 0.06), beat=(0.8, 1.2),
        kick=(0.0, 0.35), arms=(0.4, 0.9), lift=(-0.2, 0.35),
    ),
    "skip": Family(
        cadence=(1.0, 1.3), stride=(0.3, 0.42), hop=(0.05, 0.1), beat=(1.0, 1.3), kick=(0.1, 0.3), arms=(0.4, 0.7),
    ),
    "lunge": Family(stride=(0.5, 0.62), cadence=(0.55, 0.75), crouch=(0.2, 0.4), twist=(0.2, 0.4), turn=(0.6, 1.6)),
    "reel": Family(
        turn=(2.5, 4.5), spin=True, hop=(0.04, 0.1), beat=(1.0, 1.4), side=(0.2, 0.4), stride=(0.1, 0.2),
        arms=(0.3, 0.8),
    ),
}  # fmt: skip


def make_motion(
    rng: np.random.Generator, body: Body, family: Family, preroll: int, frames: int, arms_out: float
) -> np.ndarray:
    """(preroll+frames,B,4,4) transforms from bind pose to each frame, world; the first: bind pose, slightly turned.

    Args:
        rng: draws the parameters.
        body: who moves; its soles are kept on the ground.
        family: ranges.
        preroll: frames in which the bind pose turns into the motion; frames: of the clip.
        arms_out: radians that the arms are held further out than the family says, for wide skirts.
    """
    total = preroll + frames
    drawn = {name: rng.uniform(*value) for name, value in vars(family).items() if isinstance(value, tuple)}
    time = np.arange(total) / FPS
    gain = smoothstep((np.arange(total)) / max(1, 0.85 * preroll)) if preroll else np.ones(total)
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(drawn["cadence"] * (1 + 0.06 * _drift(rng, total))) / FPS
    beat = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(drawn["beat"] * (1 + 0.06 * _drift(rng, total))) / FPS
    heading = _heading(rng, drawn["turn"], family.spin, preroll, frames) + 0.06 * gain * _drift(rng, total)

    tracks = _limbs(rng, drawn, time, phase, beat, arms_out)
    names = body.skeleton.names
    local = np.zeros((total, len(names), 3))
    for name, (axis, values) in tracks.items():
        local[:, names.index(name), axis] += values * gain
    turns = Rotation.from_euler("xyz", local.reshape(-1, 3)).as_matrix().reshape(*local.shape, 3)
    walking = drawn["stride"] > 0
    yaw = gain * (0.12 * walking * np.sin(phase) - 0.4 * drawn["twist"] * np.sin(beat))
    roll = gain * (0.05 * walking * np.cos(phase) + 0.8 * drawn["sway"] * np.sin(beat))
    root = Rotation.from_euler("xyz", np.stack([np.zeros(total), roll, heading + yaw], 1)).as_matrix()
    turns[:, 0] = root @ turns[:, 0]
    forward = np.stack([np.sin(heading), -np.cos(heading)], 1)
    beside = np.stack([np.cos(heading), np.sin(heading)], 1)
    speed = gain * 1.5 * drawn["stride"] * drawn["cadence"] * (0.2 if family.spin else 1.0)
    across = gain * drawn["side"] * np.cos(0.5 * beat) * 1.4 + np.gradient(gain * drawn["sway"] * np.sin(beat)) * FPS
    ground = np.cumsum(speed[:, None] * forward + across[:, None] * beside, 0) / FPS
    jump = gain * drawn["hop"] * np.maximum(np.sin(beat), 0) ** 1.2
    return grounded(body, turns, ground, jump)


def _heading(rng: np.random.Generator, turn: float, spin: bool, preroll: int, frames: int) -> np.ndarray:
    """(T,) radians: 0 at first, turned by `turn` at the end; a turn takes about a second, a spin the whole clip."""
    at = np.arange(preroll + frames) - preroll
    if spin:
        rate = smoothstep((at + 0.5 * preroll) / (0.5 * preroll + 1))
    else:
        rate = np.exp(-(((at - rng.uniform(0.25, 0.7) * frames) / (0.3 * frames)) ** 2))
    return rng.choice([-1, 1]) * turn * np.cumsum(rate) / rate.sum()


def _limbs(
    rng: np.random.Generator,
    drawn: dict[str, float],
    time: np.ndarray,
    phase: np.ndarray,
    beat: np.ndarray,
    arms_out: float,
) -> dict[str, tuple[int, np.ndarray]]:
    """Euler angle tracks (T,) per bone about one world axis of the bind pose (0: x, 1: y, 2: z)."""
    swing, wave = drawn["stride"], np.sin(beat)
    tracks: dict[str, tuple[int, np.ndarray]] = {}
    # knees bend before a hop and after it
    crouch = drawn["crouch"] * 0.5 * (1 - np.cos(beat)) + 2.2 * drawn["hop"] * np.maximum(-wave, 0)
    lift = drawn["lift"] + arms_out
    together = rng.random() < 0.4
    for side, sign in (("L", 1.0), ("R", -1.0)):
        leg = sign * np.sin(phase)
        bend = np.maximum(np.cos(phase) * sign, 0) ** 1.5
        kick = drawn["kick"] * np.maximum(np.sin(0.5 * beat) * sign, 0) ** 2
        upper = -swing * leg - 0.12 * swing - crouch - kick
        lower = 1.5 * swing * bend + 1.9 * crouch + 0.35 * kick
        tracks[f"upperleg.{side}"] = (0, upper)
        tracks[f"lowerleg.{side}"] = (0, lower)
        tracks[f"foot.{side}"] = (0, -0.9 * crouch + 0.35 * kick + 0.25 * swing * leg)
        arm = swing * 0.8 * leg + drawn["arms"] * (wave if together else sign * wave)
        tracks[f"upperarm.{side}"] = (0, arm - 0.3 * crouch)
        tracks[f"lowerarm.{side}"] = (0, -0.25 - 0.5 * drawn["arms"] * (0.6 + 0.4 * np.cos(beat)))
        raised = lift + 0.25 * drawn["arms"] * np.sin(beat * 0.5 + 0.6)
        tracks[f"shoulder.{side}"] = (1, -sign * raised)
    tracks["spine1"] = (1, -0.6 * drawn["sway"] * wave)
    tracks["spine2"] = (0, 0.03 + 0.35 * crouch)
    tracks["spine3"] = (2, drawn["twist"] * wave - 0.15 * swing * np.sin(phase))
    tracks["neck"] = (0, 0.1 * _drift(rng, len(time)) - 0.2 * crouch)
    tracks["head"] = (2, 0.25 * _drift(rng, len(time)) - 0.4 * drawn["twist"] * wave)
    return tracks


def forward_kinematics(heads: np.ndarray, parents: np.ndarray, turns: np.ndarray, travel: np.ndarray) -> np.ndarray:
    """(T,B,4,4) transforms: each bone turns by turns (T,B,3,3) about its head, in world axes of the bind pose.

    `heads` (B,3) metres; `parents` (B,), -1 for the root, before their children; `travel` (T,3) moves the root, metres.
    """
    frames, bones = turns.shape[:2]
    world = np.zeros((frames, bones, 4, 4))
    for b in range(bones):
        head = heads[b]
        step = np.broadcast_to(np.eye(4), (frames, 4, 4)).copy()
        step[:, :3, :3] = turns[:, b]
        step[:, :3, 3] = head - turns[:, b] @ head
        parent = parents[b]
        if parent < 0:
            step[:, :3, 3] += travel
            world[:, b] = step
        else:
            world[:, b] = world[:, parent] @ step
    return world.astype(np.float32)


def grounded(body: Body, turns: np.ndarray, ground: np.ndarray, jump: np.ndarray) -> np.ndarray:
    """Forward kinematics with the lower sole on z = 0, but for jumps (T,) metres."""
    flat = np.concatenate([ground, np.zeros((len(ground), 1))], axis=1)
    world = forward_kinematics(body.skeleton.heads, body.skeleton.parents, turns, flat)
    soles = np.flatnonzero(body.feet & (body.vertices[:, 2] < 0.035))
    owner = body.weights[soles].argmax(1)
    points = np.einsum("tpj,pj->tp", world[:, owner, 2, :3], body.vertices[soles]) + world[:, owner, 2, 3]
    lift = jump - gaussian_filter1d(points.min(1), 1.0, mode="nearest")
    world[:, :, 2, 3] += lift[:, None].astype(np.float32)
    return world


def _drift(rng: np.random.Generator, frames: int, seconds: float = 0.8) -> np.ndarray:
    """Smooth unit noise (T,) with this correlation time."""
    sigma = seconds * FPS / 2
    pad = int(4 * sigma)
    noise = gaussian_filter1d(rng.normal(size=frames + 2 * pad), sigma)[pad : pad + frames]
    return noise * np.sqrt(2 * np.sqrt(np.pi) * sigma)
