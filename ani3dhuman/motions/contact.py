"""Feet that stand: where a foot rests on the ground in the file, the rig's goes as the file's does; the leg bends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from .figure import shortest

SPEED = 0.25  # metres a second: a foot that is slower stands
HEIGHT = 0.06  # metres above where it stands: higher ones do not
EASE = 0.1  # seconds in which a foot is let go
REACH = 0.9999  # share of its length to which a leg can stretch


@dataclass(frozen=True)
class Leg:
    """Rows of the bones of a leg."""

    thigh: int
    shin: int
    foot: int


def settle(
    world: dict[int, np.ndarray],
    legs: Sequence[Leg],
    heads: np.ndarray,
    posed: Callable[[dict[int, np.ndarray]], np.ndarray],
    ankles: np.ndarray,
    fps: float,
) -> int:
    """Turn thighs and shins in `world` (row -> (T,3,3) from rest) so that standing feet go where the file's go.

    While a foot stands it keeps its mean distance from the file's ankle, so it slides just as much as in the file.

    Args:
        heads: (B,3) bones' heads at rest.
        posed: all bones (T,B,4,4) from rest for a `world`.
        ankles: (T,2,3) the file's, in the rig's world and size.

    Returns:
        Frames in which a foot stands, of both feet together.
    """
    moved = posed(world)
    count = 0
    for leg, own in zip(legs, ankles.transpose(1, 0, 2), strict=True):
        hip, knee, ankle = (
            np.einsum("tij,j->ti", moved[:, row, :3, :3], heads[row]) + moved[:, row, :3, 3]
            for row in (leg.thigh, leg.shin, leg.foot)
        )
        goal, weight = _goals(ankle, own, fps)
        count += int((weight == 1).sum())
        target = ankle + weight[:, None] * (goal - ankle)
        for t in np.flatnonzero(np.linalg.norm(target - ankle, axis=1) > 1e-7):
            first, second = _bent(hip[t], knee[t], ankle[t], target[t])
            world[leg.thigh][t] = first @ world[leg.thigh][t]
            world[leg.shin][t] = second @ world[leg.shin][t]
    return count


def _goals(ankle: np.ndarray, own: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Where an ankle (T,3) is to be (T,3), and how strictly (T,) 0..1."""
    speed = np.linalg.norm(np.gradient(own, axis=0), axis=1) * fps if len(own) > 1 else np.zeros(1)
    stands = (uniform_filter1d(speed, 3, mode="nearest") < SPEED) & (own[:, 2] < np.percentile(own[:, 2], 5) + HEIGHT)
    goal, weight = ankle.copy(), np.zeros(len(own))
    edges = np.flatnonzero(np.diff(np.r_[False, stands, False].astype(int)))
    time = np.arange(len(own))
    for start, stop in edges.reshape(-1, 2):
        offset = (ankle[start:stop] - own[start:stop]).mean(0)
        away = np.maximum(np.maximum(start - time, time - stop + 1), 0) / max(EASE * fps, 1)
        near = np.where(away < 1, 0.5 + 0.5 * np.cos(np.pi * np.minimum(away, 1)), 0)
        stronger = near > weight
        goal[stronger], weight[stronger] = (own + offset)[stronger], near[stronger]
    return goal, weight


def _bent(hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turns (3,3) of thigh and shin in the world that bring the ankle to `target`, the knee in its plane."""
    a, b = np.linalg.norm(knee - hip), np.linalg.norm(ankle - knee)
    way = target - hip
    d = np.clip(np.linalg.norm(way), abs(a - b) + 1e-6, REACH * (a + b))
    ahead = way / max(np.linalg.norm(way), 1e-9)
    side = knee - hip - ahead * ((knee - hip) @ ahead)
    if np.linalg.norm(side) < 1e-6:
        side = np.cross(ahead, [1.0, 0.0, 0.0])
    side /= max(np.linalg.norm(side), 1e-9)
    along = (a * a + d * d - b * b) / (2 * d)
    bent = hip + ahead * along + side * np.sqrt(max(a * a - along * along, 0))
    return shortest(knee - hip, bent - hip), shortest(ankle - knee, hip + ahead * d - bent)
