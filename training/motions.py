"""Random ways of moving: walking, turning, hopping, swaying, blended over time; and cameras to watch them."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from ani3dhuman.camera import CameraPath

from .characters import Character

FPS = 24.0


def random_motion(rng: np.random.Generator, character: Character, frames: int) -> np.ndarray:
    """(T,B,4,4) world transforms from bind pose to each frame, at 24 fps."""
    time = np.arange(frames) / FPS
    gait = _envelope(rng, frames) if rng.random() < 0.85 else np.zeros(frames)
    twist = _envelope(rng, frames) * (rng.random() < 0.4)
    hop = _envelope(rng, frames) * (rng.random() < 0.3)
    sway = _envelope(rng, frames) * (rng.random() < 0.5)
    cadence = rng.uniform(0.7, 1.2) * (1 + 0.15 * _drift(rng, frames, 0.5))
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(cadence) / FPS
    stride = rng.uniform(0.3, 0.55)  # radians of thigh swing
    speed = gait * stride * cadence * 1.5

    rate = 0.5 * _drift(rng, frames, 1.0)  # radians a second
    for _ in range(rng.integers(0, 2)):
        begin, span = rng.uniform(0, frames / FPS), rng.uniform(1.0, 1.8)
        turn = rng.choice([-1, 1]) * rng.uniform(0.5, 2.6)
        rate = rate + turn / span * np.exp(-(((time - begin) / (span * 0.4)) ** 2)) / (0.4 * np.sqrt(np.pi))
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rate) / FPS
    twist_phase = 2 * np.pi * rng.uniform(0.4, 0.9) * time + rng.uniform(0, 6)
    hips_yaw = 0.12 * gait * np.sin(phase) + 0.35 * twist * np.sin(twist_phase)
    hips_roll = 0.06 * gait * np.cos(phase) + 0.1 * sway * np.sin(twist_phase * 0.7)
    hop_phase = 2 * np.pi * rng.uniform(0.9, 1.6) * time
    air = hop * np.maximum(np.sin(hop_phase), -0.35)
    forward = np.stack([np.sin(heading), -np.cos(heading)], 1)
    side = np.stack([np.cos(heading), np.sin(heading)], 1)
    ground = np.cumsum(speed[:, None] * forward, 0) / FPS + 0.08 * (sway * np.sin(twist_phase * 0.7))[:, None] * side
    lift = 0.018 * gait * np.cos(2 * phase) + 0.1 * air
    crouch = np.clip(-air, 0, 1)

    angles = _limbs(rng, character.bone_names, time, phase, gait * stride, crouch, twist * np.sin(twist_phase))
    local = np.zeros((frames, len(character.bone_names), 3))
    for name, (axis, values) in angles.items():
        local[:, character.bone_names.index(name), axis] += values
    turns = Rotation.from_euler("xyz", local.reshape(-1, 3)).as_matrix().reshape(*local.shape, 3)
    root = Rotation.from_euler("xyz", np.stack([np.zeros(frames), hips_roll, heading + hips_yaw], 1)).as_matrix()
    turns[:, 0] = root @ turns[:, 0]
    travel = np.concatenate([ground, lift[:, None]], 1)
    return _chain(character, turns, travel)


def _limbs(
    rng: np.random.Generator,
    names: tuple[str, ...],
    time: np.ndarray,
    phase: np.ndarray,
    swing: np.ndarray,
    crouch: np.ndarray,
    twist: np.ndarray,
) -> dict[str, tuple[int, np.ndarray]]:
    """Euler angle tracks per bone about one world axis of the bind pose (0: x, forward swing; 1: y, sideways)."""
    tracks: dict[str, tuple[int, np.ndarray]] = {}
    arm_gain, arm_rest = rng.uniform(0.3, 1.2), rng.uniform(0.1, 0.9)
    kick = rng.uniform(0, 0.35) * np.maximum(np.sin(2 * np.pi * rng.uniform(0.3, 0.7) * time), 0) ** 2
    for side, sign in (("L", 1.0), ("R", -1.0)):
        leg = sign * np.sin(phase)
        bend = np.maximum(np.cos(phase) * sign, 0) ** 1.5
        extra = kick if sign > 0 else 0 * kick
        tracks[f"upperleg.{side}"] = (0, -swing * leg - 0.5 * crouch - extra - 0.15 * swing)
        tracks[f"lowerleg.{side}"] = (0, 1.5 * swing * bend + 1.0 * crouch + 0.4 * extra)
        tracks[f"upperarm.{side}"] = (0, arm_gain * swing * leg + 0.3 * twist)
        tracks[f"lowerarm.{side}"] = (0, -0.3 * arm_gain * np.abs(swing) - 0.2 * crouch)
        tracks[f"shoulder.{side}"] = (1, sign * arm_rest * np.ones_like(time))
    tracks["spine2"] = (0, 0.05 + 0.25 * crouch)
    tracks["spine3"] = (2, -0.5 * twist - 0.15 * swing * np.sin(phase))
    tracks["head"] = (2, rng.uniform(0.1, 0.8) * _drift(rng, len(time), 0.8))
    tracks["neck"] = (0, rng.uniform(0.05, 0.3) * _drift(rng, len(time), 0.8))
    return {name: track for name, track in tracks.items() if name in names}


def _chain(character: Character, turns: np.ndarray, travel: np.ndarray) -> np.ndarray:
    """Forward kinematics: each bone turns about its head, in world axes of the bind pose."""
    frames, bones = turns.shape[:2]
    world = np.zeros((frames, bones, 4, 4))
    for b in range(bones):
        head = character.bone_heads[b]
        step = np.broadcast_to(np.eye(4), (frames, 4, 4)).copy()
        step[:, :3, :3] = turns[:, b]
        step[:, :3, 3] = head - np.einsum("tij,j->ti", turns[:, b], head)
        parent = character.bone_parents[b]
        if parent < 0:
            step[:, :3, 3] += travel
            world[:, b] = step
        else:
            world[:, b] = world[:, parent] @ step
    return world.astype(np.float32)


def random_cameras(rng: np.random.Generator, subject: np.ndarray, width: int = 480, height: int = 832) -> CameraPath:
    """Cameras that hold `subject` (T,3) in view: any side, slow orbit, some pitch and distance."""
    frames = len(subject)
    aim = gaussian_filter1d(subject, 6.0, axis=0, mode="nearest")
    azimuth = rng.uniform(0, 2 * np.pi) + rng.uniform(-0.7, 0.7) * np.linspace(-0.5, 0.5, frames) * frames / FPS
    elevation = np.radians(rng.uniform(-8, 28))
    distance = rng.uniform(2.2, 5.0)
    away = np.stack(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation) + 0 * azimuth], 1
    )
    eye = aim + distance * away
    forward = -away
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    down = np.cross(forward, right)
    R = np.stack([right, down, forward], 1)
    viewmats = np.zeros((frames, 4, 4), np.float32)
    viewmats[:, :3, :3], viewmats[:, 3, 3] = R, 1
    viewmats[:, :3, 3] = -np.einsum("tij,tj->ti", R, eye)
    focal = height / 2 / np.tan(np.radians(rng.uniform(28, 50)) / 2)
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
    return CameraPath(viewmats, np.repeat(K[None], frames, 0), width, height)


def _envelope(rng: np.random.Generator, frames: int) -> np.ndarray:
    """A gain 0..1 that changes slowly, starts and stops included."""
    return np.clip(0.65 + 0.7 * _drift(rng, frames, 1.2), 0, 1)


def _drift(rng: np.random.Generator, frames: int, seconds: float) -> np.ndarray:
    """Smooth unit noise with this correlation time."""
    sigma = seconds * FPS / 2
    pad = int(4 * sigma)
    noise = gaussian_filter1d(rng.normal(size=frames + 2 * pad), sigma)[pad : pad + frames]
    return noise * np.sqrt(2 * np.sqrt(np.pi) * sigma)
