"""The demo's performance: a lively walk that turns and comes to a halt, as bone matrices per frame. Plain numpy.

The root follows a curve; footprints are planted on that curve ahead of time, so a standing foot cannot slide; legs
reach their footprints by two-bone inverse kinematics; hips, spine, arms and head move in the rhythm of the steps.
Every bone gets a turn of its rest pose in world axes, and `to_local` makes of those what Blender keys: rotations in
the bone's own rest frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from character import Skeleton

FRAMES = 48
FPS = 24
STRIDE_TIME = 1.02  # seconds from one contact of a foot to its next
STANCE = 0.62  # share of that time the foot stands
HEADING = (-58.0, 62.0)  # degrees about Z, 0 faces -Y
TURN = (0.55, 1.6)  # seconds between which she turns
SPEED = 1.02
HALT = (1.15, 2.1)
FOOT_SPREAD = 0.075
HIP_DROP = 0.035


def rotation(axis: str | np.ndarray, degrees: float) -> np.ndarray:
    """(3,3) right-handed rotation about a world axis "x", "y", "z" or a unit vector."""
    x, y, z = np.eye(3)["xyz".index(axis)] if isinstance(axis, str) else axis
    angle = np.radians(degrees)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


def smoothstep(start: float, end: float, t: np.ndarray | float) -> np.ndarray:
    s = np.clip((np.asarray(t, float) - start) / (end - start), 0, 1)
    return s * s * s * (s * (6 * s - 15) + 10)


@dataclass(frozen=True)
class Path:
    """Where she is and faces over time: times (N,) s, positions (N,2) m, headings (N,) degrees."""

    times: np.ndarray
    positions: np.ndarray
    headings: np.ndarray

    def position(self, t: float) -> np.ndarray:
        return np.array([np.interp(t, self.times, self.positions[:, k]) for k in range(2)])

    def heading(self, t: float) -> float:
        return float(np.interp(t, self.times, self.headings))


def plan_path() -> Path:
    """The root's way, extended beyond the shot on both sides so that footprints before and after it exist."""
    times = np.linspace(-2, 4, 1201)
    headings = HEADING[0] + (HEADING[1] - HEADING[0]) * smoothstep(*TURN, times)
    speed = SPEED * (1 - 0.97 * smoothstep(*HALT, times))
    angle = np.radians(headings)
    velocity = np.stack([np.sin(angle), -np.cos(angle)], axis=1) * speed[:, None]
    step = times[1] - times[0]
    positions = np.cumsum((velocity + np.roll(velocity, 1, 0)) / 2, axis=0) * step
    middle = (times >= 0) & (times <= FRAMES / FPS)
    positions -= (positions[middle].max(0) + positions[middle].min(0)) / 2
    return Path(times, positions, headings)


@dataclass(frozen=True)
class Step:
    """A foot at an instant: sole point under the ankle (3,), heading and pitch in degrees (toes up positive)."""

    sole: np.ndarray
    heading: float
    pitch: float


def _pitch_pivoted(footprint: np.ndarray, heading: float, pitch: float, reach: tuple[float, float]) -> Step:
    """Roll the planted foot about its heel (toes up) or its ball (heel up); reach: metres to each."""
    ahead = np.array([np.sin(np.radians(heading)), -np.cos(np.radians(heading)), 0.0])
    lever = -reach[0] if pitch > 0 else reach[1]
    a = np.radians(pitch)
    sole = footprint + ahead * lever * (1 - np.cos(a)) - np.array([0, 0, lever * np.sin(a)])
    return Step(sole, heading, pitch)


def foot_at(path: Path, side: float, t: float, reach: tuple[float, float]) -> Step:
    """The foot of `side` (+1 left, -1 right) at time t."""
    offset = 0.0 if side > 0 else 0.5 * STRIDE_TIME
    cycle = (t - offset) / STRIDE_TIME + 0.18
    count, phase = np.floor(cycle), cycle % 1.0

    def footprint(number: float) -> tuple[np.ndarray, float]:
        middle = (number + STANCE / 2 - 0.18) * STRIDE_TIME + offset
        heading = path.heading(middle)
        left = np.array([np.cos(np.radians(heading)), np.sin(np.radians(heading))])
        ground = path.position(middle) + left * side * FOOT_SPREAD
        return np.array([*ground, 0.0]), heading + side * 6

    here, heading = footprint(count)
    stride = np.linalg.norm(footprint(count + 1)[0] - here)
    vigour = float(np.clip(stride / 0.8, 0.0, 1.0))
    if phase < STANCE:
        s = phase / STANCE
        pitch = vigour * (16 * (1 - s / 0.16) if s < 0.16 else -38 * ((s - 0.62) / 0.38) ** 1.5 if s > 0.62 else 0)
        return _pitch_pivoted(here, heading, pitch, reach)
    there, next_heading = footprint(count + 1)
    s = (phase - STANCE) / (1 - STANCE)
    glide = float(s * s * (3 - 2 * s))
    pitch = vigour * float(np.interp(s, [0, 0.25, 0.6, 1], [-38, -44, 4, 16]))
    start = _pitch_pivoted(here, heading, -38 * vigour, reach).sole
    end = _pitch_pivoted(there, next_heading, 16 * vigour, reach).sole
    lift = np.array([0, 0, (0.03 + 0.05 * vigour) * np.sin(np.pi * s) ** 1.3])
    return Step(start + (end - start) * glide + lift, heading + (next_heading - heading) * glide, pitch)


def _two_bones(hip: np.ndarray, ankle: np.ndarray, lengths: tuple[float, float], pole: np.ndarray) -> np.ndarray:
    """Knee (3,) of a leg from hip to ankle that bends towards `pole`; a leg too short is stretched straight."""
    upper, lower = lengths
    way = ankle - hip
    distance = min(float(np.linalg.norm(way)), (upper + lower) * 0.9995)
    along = way / np.linalg.norm(way)
    side = pole - along * (pole @ along)
    side /= np.linalg.norm(side)
    a = (upper**2 - lower**2 + distance**2) / (2 * distance)
    return hip + along * a + side * np.sqrt(max(upper**2 - a**2, 0.0))


def _aim(old_along: np.ndarray, old_pole: np.ndarray, along: np.ndarray, pole: np.ndarray) -> np.ndarray:
    """(3,3) rotation that carries the frame (old_along, old_pole) to (along, pole)."""

    def frame(a: np.ndarray, p: np.ndarray) -> np.ndarray:
        a = a / np.linalg.norm(a)
        p = p - a * (p @ a)
        p = p / np.linalg.norm(p)
        return np.stack([a, p, np.cross(a, p)], axis=1)

    return frame(along, pole) @ frame(old_along, old_pole).T


@dataclass(frozen=True)
class Motion:
    """rotations (T,B,3,3): each bone's turn from rest in world axes; root (T,3): position of the hips' head."""

    rotations: np.ndarray
    root: np.ndarray


def walk(skeleton: Skeleton, gaze: np.ndarray, sole: float) -> Motion:
    """The whole performance; gaze (T,) is the heading (degrees) towards what she looks at, frame by frame.

    sole: metres the shoes raise the feet above the floor.
    """
    path = plan_path()
    rotations = np.tile(np.eye(3), (FRAMES, len(skeleton.names), 1, 1))
    root = np.zeros((FRAMES, 3))
    for frame in range(FRAMES):
        t = frame / FPS
        root[frame] = _pose(skeleton, path, t, gaze[frame], rotations[frame])
        root[frame, 2] += sole
    return Motion(rotations, root)


def _pose(skeleton: Skeleton, path: Path, t: float, gaze: float, turn: np.ndarray) -> np.ndarray:
    """Fill turn (B,3,3) with the pose at time t and return the hips' head (3,)."""
    beat = 2 * np.pi * (t / STRIDE_TIME + 0.18 - STANCE / 2)  # 0 when the left foot bears the weight
    energy = 0.3 + 0.7 * (1 - float(smoothstep(*HALT, t)))
    facing = path.heading(t)
    spin = (path.heading(t + 0.05) - path.heading(t - 0.05)) / 0.1  # degrees a second
    face = rotation("z", facing)

    sway = 0.028 * energy * np.cos(beat)
    bob = -0.017 * energy * np.cos(2 * (beat - np.pi / 2) - 0.3)
    lean = np.clip(spin * 0.02, -4, 4)
    hips = face @ rotation("z", 7 * energy * np.sin(beat)) @ rotation("y", -4 * energy * np.cos(beat) + lean)
    hip_head = skeleton.heads[0]
    root = np.array([*path.position(t), hip_head[2] - HIP_DROP + bob]) + face @ np.array([sway, 0.0, 0.0])
    turn[0] = hips

    ahead_of_hips = float(np.clip(spin * 0.055, -14, 14))  # shoulders lead into the turn
    chest = (
        face
        @ rotation("z", -9 * energy * np.sin(beat) + ahead_of_hips)
        @ rotation("y", 2.5 * energy * np.cos(beat) + lean)
        @ rotation("x", 3 * energy)
    )
    for level, share in zip(range(1, 6), (0.1, 0.35, 0.6, 0.85, 1.0), strict=True):
        turn[skeleton.index(f"spine{level}")] = _blend(hips, chest, share)
    look = float(np.clip((gaze - facing + 180) % 360 - 180, -62, 62))
    head = face @ rotation("z", look) @ rotation("x", -3 + 2 * np.cos(2 * beat) * energy)
    turn[skeleton.index("neck")] = _blend(chest, head, 0.45)
    turn[skeleton.index("head")] = head

    for side, name in ((1.0, "L"), (-1.0, "R")):
        _leg(skeleton, path, t, side, name, root, turn)
        _arm(skeleton, beat, energy, side, name, chest, turn)
    return root


def _blend(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """(3,3) between two near rotations: the nearest rotation to their weighted mean."""
    u, _, v = np.linalg.svd(a * (1 - share) + b * share)
    return u @ v


def _leg(skeleton: Skeleton, path: Path, t: float, side: float, name: str, root: np.ndarray, turn: np.ndarray) -> None:
    upper, lower, foot, toes = (skeleton.index(f"{bone}.{name}") for bone in ("upperleg", "lowerleg", "foot", "toes"))
    hip_rest, knee_rest, ankle_rest, ball_rest = skeleton.heads[[upper, lower, foot, toes]]
    reach = (0.055, float(np.linalg.norm((ball_rest - ankle_rest)[:2])))
    step = foot_at(path, side, t, reach)
    # The foot's own outward turn at rest is taken out first, so that headings mean the foot's direction.
    out_rest = np.degrees(np.arctan2(ball_rest[0] - ankle_rest[0], -(ball_rest[1] - ankle_rest[1])))
    foot_turn = rotation("z", step.heading) @ rotation("x", -step.pitch) @ rotation("z", -out_rest)
    ankle = step.sole + rotation("z", step.heading) @ rotation("x", -step.pitch) @ [0, 0, ankle_rest[2]]

    hip = root + turn[0] @ (hip_rest - skeleton.heads[0])
    forward = rotation("z", (step.heading + path.heading(t)) / 2) @ np.array([0.0, -1.0, 0.0])
    lengths = (float(np.linalg.norm(knee_rest - hip_rest)), float(np.linalg.norm(ankle_rest - knee_rest)))
    knee = _two_bones(hip, ankle, lengths, forward)
    rest_forward = np.array([np.sin(np.radians(out_rest * 0.5)), -1.0, 0.0])
    turn[upper] = _aim(knee_rest - hip_rest, rest_forward, knee - hip, forward)
    turn[lower] = _aim(ankle_rest - knee_rest, rest_forward, ankle - knee, forward)
    turn[foot] = foot_turn
    # While the heel is up the toes stay flat on the ground.
    flat = rotation("z", step.heading) @ rotation("z", -out_rest)
    planted = step.pitch < 0 and step.sole[2] < 0.12
    turn[toes] = _blend(foot_turn, flat, 0.85) if planted else foot_turn


def _arm(
    skeleton: Skeleton,
    beat: float,
    energy: float,
    side: float,
    name: str,
    chest: np.ndarray,
    turn: np.ndarray,
) -> None:
    shoulder, upper, lower, hand = (
        skeleton.index(f"{bone}.{name}") for bone in ("shoulder", "upperarm", "lowerarm", "hand")
    )
    swing = side * np.sin(beat) * energy  # the arm goes forward with the other leg
    droop = rotation("y", side * 6)
    turn[skeleton.index(f"clavicle.{name}")] = chest
    turn[shoulder] = chest @ droop
    along_rest = skeleton.tails[upper] - skeleton.heads[upper]
    fore_rest = skeleton.tails[lower] - skeleton.heads[lower]
    hinge_rest = np.cross(along_rest, fore_rest)
    forward = 20 * swing - 1
    bend = 40 + 6 * swing
    down = rotation("x", -forward) @ rotation("y", -side * (22 + 3 * swing)) @ np.array([0.0, 0.0, -1.0])
    hinge = rotation("z", side * 14) @ np.array([-1.0, 0.0, 0.0])
    hinge = hinge - down * (hinge @ down)
    hinge /= np.linalg.norm(hinge)
    fore = rotation(hinge, bend) @ down
    turn[upper] = chest @ _aim(along_rest, hinge_rest, down, hinge)
    turn[lower] = chest @ _aim(fore_rest, hinge_rest, fore, hinge)
    turn[hand] = turn[lower]


def to_local(skeleton: Skeleton, rest: np.ndarray, motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """What Blender keys: rotations (T,B,3,3) in each bone's rest frame, and the root bone's location (T,3).

    rest (B,3,3): the bones' rest axes as columns, world.
    """
    world = motion.rotations @ rest
    local = np.empty_like(world)
    for bone, parent in enumerate(skeleton.parents):
        base = rest[bone] if parent < 0 else world[:, parent] @ (rest[parent].T @ rest[bone])
        local[:, bone] = np.swapaxes(np.broadcast_to(base, world[:, bone].shape), -1, -2) @ world[:, bone]
    return local, (motion.root - skeleton.heads[0]) @ rest[0]
