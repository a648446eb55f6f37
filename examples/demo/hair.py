"""Half-up hair: a cap combed from the hairline to a tie, a ponytail from there, and loose locks to the shoulders.

The hairline is one curve around the head (`hairline_height`), shared with the scalp that paint.py darkens, so hair
grows out of painted roots and no bald patch can show. The cap's columns run from the hairline to the tie, as combed
strands do; each lock is a narrow curved ribbon. The cap stays on the head; the locks are free to swing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from character import Human, Part
from dress import grid_quads, push_outside
from mathutils.bvhtree import BVHTree

CAP_COLUMNS = 72
CAP_RINGS = 16
TAIL_LOCKS = 15
TAIL_LENGTH = 0.27
LOOSE_LOCKS = 36
LOOSE_LENGTH = 0.31
LOCK_ROWS = 15
LOCK_COLUMNS = 4
# Hairline above the eyes (metres) by angle from the face's front (degrees): brow, temple, ear, nape.
LINE_ANGLES = np.array([0, 25, 42, 55, 68, 80, 92, 108, 125, 150, 180])
LINE_HEIGHTS = np.array([66, 64, 55, 38, 12, 0, 10, -10, -48, -72, -80]) / 1000


@dataclass(frozen=True)
class Head:
    """Centre of the skull (3,), height of the eyes, and the unit direction (3,) from the centre to the hair tie."""

    centre: np.ndarray
    eye_height: float
    tie: np.ndarray


def measure_head(human: Human) -> Head:
    eyes = np.stack([centre for centre, _ in human.eyes.values()])
    head = human.body.vertices[human.body.groups["ani3d_face"] > 0.5]
    depth = (head[:, 1].max() + eyes[:, 1].mean()) / 2
    tie = np.array([0.0, 0.78, 0.62])
    return Head(np.array([0.0, depth + 0.005, eyes[0, 2] + 0.03]), float(eyes[0, 2]), tie / np.linalg.norm(tie))


def hairline_height(head: Head, points: np.ndarray) -> np.ndarray:
    """(...,) how far points (...,3) lie above the hairline (metres): positive where hair grows."""
    away = points - head.centre
    angle = np.degrees(np.abs(np.arctan2(away[..., 0], -away[..., 1])))
    return points[..., 2] - head.eye_height - np.interp(angle, LINE_ANGLES, LINE_HEIGHTS)


def _frame(axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors (3,) that span the plane across `axis`, the first one sideways."""
    side = np.array([1.0, 0.0, 0.0])
    side = side - axis * (side @ axis)
    side /= np.linalg.norm(side)
    return side, np.cross(axis, side)


def _cap(head: Head, skull: BVHTree) -> np.ndarray:
    """(CAP_RINGS, CAP_COLUMNS, 3): ring 0 just under the skin at the hairline, the last one around the tie."""
    side, up = _frame(head.tie)
    turn = np.arange(CAP_COLUMNS) / CAP_COLUMNS * 2 * np.pi
    across = np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * up

    def on_skull(polar: float, column: int) -> np.ndarray:
        direction = np.cos(polar) * head.tie + np.sin(polar) * across[column]
        outside = head.centre + direction * 0.3
        hit, *_ = skull.ray_cast(tuple(outside), tuple(-direction), 0.3)
        return np.array(hit) if hit is not None else head.centre + direction * 0.09

    reach = np.zeros(CAP_COLUMNS)
    for column in range(CAP_COLUMNS):
        for polar in np.linspace(0.2, 2.6, 100):
            if hairline_height(head, on_skull(polar, column)) < 0:
                break
            reach[column] = polar
    for _ in range(2):
        reach = 0.5 * reach + 0.25 * (np.roll(reach, 1) + np.roll(reach, -1))

    along = np.linspace(0, 1, CAP_RINGS) ** 1.2
    cap = np.zeros((CAP_RINGS, CAP_COLUMNS, 3))
    for ring, t in enumerate(along):
        for column in range(CAP_COLUMNS):
            cap[ring, column] = on_skull(reach[column] * (1 - t) + 0.13 * t, column)
    out = cap - head.centre
    radius = np.linalg.norm(out, axis=2)
    smooth = radius.copy()
    for _ in range(6):
        smooth = 0.5 * smooth + 0.25 * (np.roll(smooth, 1, 1) + np.roll(smooth, -1, 1))
        smooth[1:-1] = 0.5 * smooth[1:-1] + 0.25 * (smooth[2:] + smooth[:-2])
    radius = np.maximum(radius, smooth)
    volume = 0.019 * np.minimum(along / 0.4, 1) ** 0.7 - 0.003
    volume = volume - 0.002 * np.clip((along - 0.8) / 0.2, 0, 1)
    strands = 0.0018 * np.sin(12 * turn) + 0.0012 * np.sin(19 * turn + 1)
    radius = radius + volume[:, None] + strands * np.sin(np.pi * along)[:, None]
    return head.centre + out / np.linalg.norm(out, axis=2, keepdims=True) * radius[..., None]


def _ribbon(axis: np.ndarray, outward: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    """(N, LOCK_COLUMNS, 3) a lock along axis (N,3), bulging along the unit vectors outward (N,3), tapered."""
    s = np.linspace(0, 1, len(axis))
    along = np.gradient(axis, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, outward)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    out = np.cross(across, along)
    half = width * (0.62 + 0.5 * np.sin(np.pi * np.minimum(s + 0.1, 1))) * np.clip((1 - s) / 0.3, 0.08, 1) ** 0.7
    centre = axis + across * (0.005 * np.sin(6 * s + 6.28 * rng.random()) * s)[:, None]
    place = np.linspace(-1, 1, LOCK_COLUMNS)[:, None]
    half = half[:, None, None]
    return centre[:, None] + across[:, None] * place * half - out[:, None] * place**2 * half * 0.45


def _evenly(line: np.ndarray) -> np.ndarray:
    """The polyline (N,3) with its points spaced evenly along it."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, length[-1], len(line))
    return np.stack([np.interp(at, length, line[:, k]) for k in range(3)], axis=1)


def _tail(tie: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """The ponytail's ribbons: out of the tie and over, then down, spread around the tail's axis in two layers."""
    ribbons = []
    for lock in range(TAIL_LOCKS):
        inner = lock >= TAIL_LOCKS * 2 // 3
        turn = lock * 2.399963
        length = TAIL_LENGTH * (1 - 0.2 * rng.random())
        s = np.linspace(0, 1, LOCK_ROWS)
        pitch = np.radians(30 - 118 * (1 - np.exp(-s / 0.14)))
        step = length / (LOCK_ROWS - 1)
        y = np.concatenate([[0], np.cumsum(np.cos(pitch[:-1]) * step)])
        z = np.concatenate([[0], np.cumsum(np.sin(pitch[:-1]) * step)])
        axis = tie + np.stack([np.zeros_like(y), y, z], axis=1)
        normal = np.stack([np.zeros_like(y), -np.sin(pitch), np.cos(pitch)], axis=1)
        swell = (0.013 + 0.028 * np.sin(np.pi * np.minimum(s / 0.9, 1)) ** 0.8 - 0.006 * s) * (0.45 if inner else 1)
        around = turn + 0.25 * s
        outward = np.cos(around)[:, None] * [1, 0, 0] + np.sin(around)[:, None] * normal
        ribbons.append(_ribbon(axis + outward * swell[:, None], outward, 0.021, rng))
    return ribbons


def _loose(head: Head, skull: BVHTree, body: BVHTree, rng: np.random.Generator) -> list[np.ndarray]:
    """The loose lower hair: from temple to temple around the back, down over or behind the shoulders.

    Two layers of locks, the outer ones rooted higher; each bends round neck and shoulders without touching them.
    """
    ribbons = []
    for layer, count in ((0, LOOSE_LOCKS // 2), (1, LOOSE_LOCKS - LOOSE_LOCKS // 2)):
        for lock in range(count):
            spread = (lock + 0.5) / count * 2 - 1
            azimuth = np.radians(180 + 103 * spread)
            away = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
            front = np.abs(spread) > 0.76
            line = float(np.interp(np.degrees(np.abs(np.arctan2(away[0], -away[1]))), LINE_ANGLES, LINE_HEIGHTS))
            level = np.array([0, 0, head.eye_height + line + 0.028 + 0.022 * layer])
            outside = np.array([*head.centre[:2], 0]) + level + away * 0.3
            hit, *_ = skull.ray_cast(tuple(outside), tuple(-away), 0.3)
            root = np.array(hit) + away * 0.004
            length = LOOSE_LENGTH * (0.88 + 0.16 * rng.random()) * (0.9 if front else 1.0)
            tip = root - np.array([0, 0, length])
            tip[:2] = [
                0.105 * np.sin(azimuth) * (1.0 if front else 0.95),
                head.centre[1] - 0.10 * np.cos(azimuth),
            ]
            tip[0] *= 0.8 + 0.4 * rng.random()
            tip[1] += -0.075 if front else 0.045
            t = np.linspace(0, 1, LOCK_ROWS)[:, None]
            bulge = root + away * (0.010 + 0.006 * layer) + [0, 0, -0.06]
            under = tip + away * 0.01 + [0, 0, 0.12]
            axis = (1 - t) ** 3 * root + 3 * (1 - t) ** 2 * t * bulge + 3 * (1 - t) * t**2 * under + t**3 * tip
            for _ in range(3):
                axis[1:] = push_outside(axis[1:], body, 0.009 + 0.007 * layer)
                axis[1:-1] = 0.5 * axis[1:-1] + 0.25 * (axis[2:] + axis[:-2])
            axis = _evenly(axis)
            radial = axis - [0, head.centre[1] - 0.01, 0]
            radial[:, 2] = 0
            ribbons.append(_ribbon(axis, radial / np.linalg.norm(radial, axis=1, keepdims=True), 0.023, rng))
    return ribbons


def grow_hair(human: Human) -> Part:
    """The hair as one mesh: cap, ponytail and loose locks, with the groups ani3d_hair and ani3d_pin."""
    head = measure_head(human)
    body, rng = human.body, np.random.default_rng(7)
    skull = BVHTree.FromPolygons(
        body.vertices.tolist(), body.quads[body.face_materials == body.materials.index("Head")].tolist()
    )
    cap = _cap(head, skull)
    whole = BVHTree.FromPolygons(body.vertices.tolist(), body.quads.tolist())
    ribbons = _tail(cap[-1].mean(0) - head.tie * 0.004, rng) + _loose(head, skull, whole, rng)

    u, v = np.meshgrid(np.arange(CAP_COLUMNS) / CAP_COLUMNS, np.linspace(0.98, 0.52, CAP_RINGS))
    vertices, quads = [cap.reshape(-1, 3)], [grid_quads(CAP_RINGS, CAP_COLUMNS, closed=True)]
    uvs, pin = [np.stack([u, v], -1).reshape(-1, 2)], [np.ones(cap.size // 3)]
    s = np.linspace(0, 1, LOCK_ROWS)
    free = np.clip((s - 0.08) / 0.2, 0, 1)
    for lock, ribbon in enumerate(ribbons):
        known = sum(len(block) for block in vertices)
        vertices.append(ribbon.reshape(-1, 3))
        quads.append(grid_quads(LOCK_ROWS, LOCK_COLUMNS, closed=False) + known)
        left = (lock * 0.618) % 0.9
        u, v = np.meshgrid(left + np.linspace(0, 0.09, LOCK_COLUMNS), np.linspace(0.48, 0.02, LOCK_ROWS))
        uvs.append(np.stack([u, v], -1).reshape(-1, 2))
        pin.append(np.repeat(1 - free**2 * (3 - 2 * free), LOCK_COLUMNS))
    points, faces, corner = np.concatenate(vertices), np.concatenate(quads), np.concatenate(uvs)
    corner_uvs = corner[faces]
    wraps = np.ptp(corner_uvs[..., 0], axis=1) > 0.5
    corner_uvs[wraps, :, 0] += corner_uvs[wraps, :, 0] < 0.5
    groups = {"ani3d_hair": np.ones(len(points)), "ani3d_pin": np.concatenate(pin)}
    weights = _weights(human, points)
    return Part("Hair", points, faces, corner_uvs, ("Hair",), np.zeros(len(faces), int), weights, groups)


def _weights(human: Human, points: np.ndarray) -> np.ndarray:
    """(V,B): rigid to the head, going over to the chest where hair lies on the shoulders, as painted weights would."""
    skeleton = human.skeleton
    chin = skeleton.heads[skeleton.index("head"), 2] - 0.04
    low = np.clip((chin - points[:, 2]) / 0.14, 0, 1)
    weights = np.zeros((len(points), len(skeleton.names)))
    weights[:, skeleton.index("spine5")] = 0.8 * low**2 * (3 - 2 * low)
    weights[:, skeleton.index("head")] = 1 - weights[:, skeleton.index("spine5")]
    return weights
