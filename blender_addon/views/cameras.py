# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cameras of the views stand: all around the whole character, and closer to its head and hands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from ani3d_formats.regions import REGIONS

from ..export.figure import Figure
from ..export.skeleton import OBJECT
from ..regions.heads import head_bones, upwards
from ..regions.name_matching import split_words

HEAD_SHARE, HAND_SHARE = 3 / 16, 1 / 8  # of the views, where the rig names such bones
REST_SHARE = 3 / 8  # of the views of the whole character are at rest
VIEWS_A_FRAME = 2
FIELD = 0.5  # radians that the longer side of a picture sees
FILLED, FILLED_CLOSE = 0.94, 0.82  # of the picture, by the whole character and by a part of it
RAYS, CLEAR = 60, 0.8  # places of a part that are looked at, and the share of them that shall be in sight
SIDES = ((0, 0), (0, -1.2), (0.9, 0), (-0.9, 0), (0, 1.2), (1.8, 0), (-1.8, 0), (np.pi, 0))  # radians to turn aside
GOLDEN = np.pi * (3 - np.sqrt(5))
LOWEST, HIGHEST = -0.35, 0.95  # radians, of cameras above the level of what they look at
# fmt: off
_HANDS = frozenset((
    "hand", "hands", "wrist", "palm", "mano", "main", "mao", "polso", "handgelenk", "кисть", "рука", "手", "手首", "손",
))
# fmt: on


@dataclass(frozen=True)
class Part:
    """Something to look at: `vertices` (P,) of the shot's, turned by the row `bone` of the skeleton (-1: by none)."""

    vertices: np.ndarray
    bone: int = -1


@dataclass(frozen=True)
class Shooting:
    """One view: pose 0 is at rest, pose p the p-th of the chosen frames; `azimuth` and `elevation` in radians.

    Azimuth 0 is on the part's -Y side at rest and grows towards +X.
    """

    pose: int
    part: Part
    azimuth: float
    elevation: float


def plan(figure: Figure, count: int, frames: Sequence[int]) -> tuple[list[int], list[Shooting]]:
    """`count` views of a character: the frames that they show, spread over `frames`, and the views by their poses."""
    heads, hands = _heads(figure), _hands(figure)
    close = round(HEAD_SHARE * count) if heads else 0
    grips = round(HAND_SHARE * count) // max(1, len(hands)) * len(hands)
    wide = count - close - grips
    at_rest = max(1, round(REST_SHARE * wide)) if frames else wide
    chosen = _spread(frames, max(1, -(-(wide - at_rest) // VIEWS_A_FRAME))) if wide > at_rest else []
    poses = len(chosen) + 1
    views = [Shooting(0, _whole(figure), *angles) for angles in _around(at_rest, at_rest)]
    for row, (azimuth, elevation) in enumerate(_around(wide - at_rest, 0)):
        views.append(Shooting(1 + row % len(chosen), _whole(figure), azimuth, elevation))
    for row in range(close):
        side = (0.0, 0.7, -0.7, 1.6, -1.6, np.pi)[row % 6]
        views.append(Shooting(_pose(row, close, poses), heads[row % len(heads)], side, (0.05, 0.3, -0.2)[row % 3]))
    for row in range(grips):
        side, high = ((0.0, 1.1), (np.pi, -0.2))[row // len(hands) % 2]
        pose = _pose(row // len(hands), grips // len(hands), poses)
        views.append(Shooting(pose, hands[row % len(hands)], side, high))
    return chosen, sorted(views, key=lambda view: view.pose)


def _whole(figure: Figure) -> Part:
    return Part(np.arange(len(figure.vertices)))


def _pose(row: int, count: int, poses: int) -> int:
    return row * poses // count


def _spread(frames: Sequence[int], count: int) -> list[int]:
    """Up to `count` frames from the middles of as many pieces of the range."""
    count = min(count, len(frames))
    return [frames[int((row + 0.5) * len(frames) / count)] for row in range(count)]


def _around(count: int, even: int) -> Iterator[tuple[float, float]]:
    """Azimuths and elevations of `count` cameras; azimuths in equal steps where `even` is their number."""
    for row in range(count):
        share = (row * 0.618034 + 0.5) % 1
        azimuth = 2 * np.pi * row / even if even else row * GOLDEN
        sine = np.sin(LOWEST) + share * (np.sin(HIGHEST) - np.sin(LOWEST))
        yield azimuth, float(np.arcsin(sine))


def _heads(figure: Figure) -> list[Part]:
    """The face, else what the bones of the head hold, without its hair."""
    rows = np.flatnonzero(head_bones(figure.rig.names, figure.rig.parents))
    held = _held(figure, rows)
    bone = int(rows[0]) if len(rows) else -1
    skin = ~np.isin(figure.region_ids, [REGIONS.index("hair"), REGIONS.index("garment")])
    faces = figure.region_ids == REGIONS.index("face")
    for chosen in (faces & held, faces, held & skin, held):
        if chosen.sum() > 2:
            return [Part(np.flatnonzero(chosen), bone)]
    return []


def _hands(figure: Figure) -> list[Part]:
    """What bones named as hands hold, and the fingers on them; the two that hold most."""
    names, parents = figure.rig.names, figure.rig.parents
    bones = [row for row, name in enumerate(names) if not name.startswith(OBJECT)]
    named = {row for row in bones if _HANDS & set(split_words(names[row]))}
    parts = []
    for root in sorted(named):
        if named & set(upwards(parents[root], parents)):
            continue
        below = [row for row in bones if root in upwards(row, parents)]
        held = np.flatnonzero(_held(figure, np.array(below)))
        if len(held) > 2:
            parts.append(Part(held, root))
    return sorted(parts, key=lambda part: len(part.vertices), reverse=True)[:2]


def _held(figure: Figure, rows: np.ndarray) -> np.ndarray:
    """(V,) bool: vertices that the skeleton's `rows` hold by more than half."""
    return (figure.weight_values * np.isin(figure.weight_indices, rows)).sum(1) > 0.5


def clear_sight(view: Shooting, points: np.ndarray, turn: np.ndarray, tree: BVHTree) -> Shooting:
    """The view, from another side where other parts of the character hide too much of what it looks at.

    Args:
        points: (P,3) the part's places in the pose of the view, metres.
        turn: (3,3) how the part is turned.
        tree: the whole character's triangles in that pose.
    """
    chosen = points[np.linspace(0, len(points) - 1, min(len(points), RAYS)).astype(int)]
    size = float(np.ptp(points, axis=0).max())
    best, most = view, -1.0
    for azimuth, elevation in SIDES:
        tried = replace(
            view, azimuth=view.azimuth + azimuth, elevation=float(np.clip(view.elevation + elevation, -1, 1))
        )
        away = -_forward(tried, turn)
        starts, way = (chosen + 0.01 * size * away).tolist(), Vector(away.tolist())
        hits = (tree.ray_cast(Vector(start), way)[3] for start in starts)
        # its own far side hides half of it at any rate
        seen = float(np.mean([distance is None or distance < size for distance in hits]))
        if seen > most + 0.1:
            best, most = tried, seen
        if most > CLEAR:
            break
    return best


def _forward(view: Shooting, turn: np.ndarray) -> np.ndarray:
    """(3,) where the camera of a view looks."""
    high, side = view.elevation, view.azimuth
    return -turn @ np.array([np.cos(high) * np.sin(side), -np.cos(high) * np.cos(side), np.sin(high)])


def viewmat_of(
    view: Shooting, points: np.ndarray, turn: np.ndarray, K: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """World to camera (4,4) of the closest camera that sees all of a part.

    Args:
        points: (P,3) the part's places in the pose of the view, metres.
        turn: (3,3) how the part is turned.
        K: (3,3) pixel intrinsics; `size` of the picture, pixels.
    """
    forward = _forward(view, turn)
    upwards_now = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.99 else turn @ np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, upwards_now)
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    local = points @ R.T
    filled = FILLED if view.part.bone < 0 else FILLED_CLOSE
    half = filled * np.array(size) / 2 / K[[0, 1], [0, 1]]  # tangents of half the fields of view
    # x is seen where |x - eye| <= half * (z - eye_z)
    low, top = (local[:, :2] + half * local[:, 2:]).min(0), (local[:, :2] - half * local[:, 2:]).max(0)
    nearest = local[:, 2].min() - max(0.1 * float(np.ptp(local, axis=0).max()), 1e-3)
    eye = np.array([*((low + top) / 2), min(((low - top) / (2 * half)).min(), nearest)])
    viewmat = np.eye(4)
    viewmat[:3, :3], viewmat[:3, 3] = R, -eye
    return viewmat
