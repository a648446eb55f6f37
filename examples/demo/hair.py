"""A ponytail: a cap of hair combed from the hairline to the tie, and tapered locks that fall from there.

The hairline is one curve around the head (`hairline_height`), shared with the scalp that paint.py darkens, so hair
grows out of painted roots and no bald patch can show. The cap's columns run from the hairline to the tie, as combed
strands do; each lock is a narrow curved ribbon. All of it follows the head bone; only the locks are free to swing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from character import Human, Part
from dress import grid_quads
from mathutils.bvhtree import BVHTree

CAP_COLUMNS = 72
CAP_RINGS = 16
LOCKS = 22
LOCK_ROWS = 20
LOCK_COLUMNS = 4
LENGTH = 0.36
# Hairline above the eyes (metres) by angle from the face's front (degrees): brow, temple, ear, nape.
LINE_ANGLES = np.array([0, 25, 42, 55, 68, 80, 92, 108, 125, 150, 180])
LINE_HEIGHTS = np.array([70, 68, 58, 40, 14, 2, 12, -8, -48, -72, -80]) / 1000


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
    volume = 0.013 * np.minimum(along / 0.35, 1) ** 0.8 - 0.003
    volume = volume - 0.002 * np.clip((along - 0.8) / 0.2, 0, 1)
    strands = 0.0018 * np.sin(12 * turn) + 0.0012 * np.sin(19 * turn + 1)
    radius = radius + volume[:, None] + strands * np.sin(np.pi * along)[:, None]
    return head.centre + out / np.linalg.norm(out, axis=2, keepdims=True) * radius[..., None]


def _locks(head: Head, tie: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """LOCKS ribbons (LOCK_ROWS, LOCK_COLUMNS, 3) from the tie: out and over, then down, spread around the tail's axis."""
    ribbons = []
    for lock in range(LOCKS):
        ring = 1.0 if lock < 14 else 0.45
        turn = lock * 2.399963
        length = LENGTH * (1 - 0.22 * rng.random()) * (1 if ring == 1.0 else 0.94)
        s = np.linspace(0, 1, LOCK_ROWS)
        # The axis leaves along the tie and bends into the vertical within its first third.
        pitch = np.radians(28 - 118 * (1 - np.exp(-s / 0.13)))
        step = length / (LOCK_ROWS - 1)
        y = np.concatenate([[0], np.cumsum(np.cos(pitch[:-1]) * step)])
        z = np.concatenate([[0], np.cumsum(np.sin(pitch[:-1]) * step)])
        axis = tie + np.stack([np.zeros_like(y), y, z], axis=1)
        normal = np.stack([np.zeros_like(y), -np.sin(pitch), np.cos(pitch)], axis=1)
        swell = 0.014 + 0.030 * np.sin(np.pi * np.minimum(s / 0.9, 1)) ** 0.8 - 0.006 * s
        around = turn + 0.25 * s
        outward = np.cos(around)[:, None] * [1, 0, 0] + np.sin(around)[:, None] * normal
        tangent = -np.sin(around)[:, None] * [1, 0, 0] + np.cos(around)[:, None] * normal
        wave = 0.004 * np.sin(7 * s + 6.28 * rng.random()) * s
        centre = axis + outward * (swell * ring)[:, None] + tangent * wave[:, None]
        width = 0.022 * (0.55 + 0.6 * np.sin(np.pi * np.minimum(s + 0.12, 1))) * np.clip((1 - s) / 0.25, 0.07, 1)
        across = np.linspace(-1, 1, LOCK_COLUMNS)
        ribbons.append(
            centre[:, None]
            + tangent[:, None] * (across[:, None] * width[:, None, None])
            - outward[:, None] * (across[:, None] ** 2 * width[:, None, None] * 0.45)
        )
    return ribbons


def grow_hair(human: Human) -> Part:
    """The hair as one mesh: cap and locks, rigid to the head, with the groups ani3d_hair and ani3d_pin."""
    head = measure_head(human)
    face_quads = human.body.quads[human.body.face_materials == human.body.materials.index("Head")]
    skull = BVHTree.FromPolygons(human.body.vertices.tolist(), face_quads.tolist())
    cap = _cap(head, skull)
    tie = cap[-1].mean(0) - head.tie * 0.004
    ribbons = _locks(head, tie, np.random.default_rng(7))

    lid = np.arange((CAP_RINGS - 1) * CAP_COLUMNS, CAP_RINGS * CAP_COLUMNS)
    vertices, quads, uvs, pin = [cap.reshape(-1, 3)], [grid_quads(CAP_RINGS, CAP_COLUMNS, closed=True)], [], []
    u, v = np.meshgrid(np.arange(CAP_COLUMNS) / CAP_COLUMNS, np.linspace(0.98, 0.52, CAP_RINGS))
    uvs.append(np.stack([u, v], -1).reshape(-1, 2))
    pin.append(np.ones(len(lid) * CAP_RINGS))
    for lock, ribbon in enumerate(ribbons):
        known = sum(len(block) for block in vertices)
        vertices.append(ribbon.reshape(-1, 3))
        quads.append(grid_quads(LOCK_ROWS, LOCK_COLUMNS, closed=False) + known)
        left = (lock * 0.618) % 0.9
        u, v = np.meshgrid(left + np.linspace(0, 0.09, LOCK_COLUMNS), np.linspace(0.48, 0.02, LOCK_ROWS))
        uvs.append(np.stack([u, v], -1).reshape(-1, 2))
        free = np.clip((np.linspace(0, 1, LOCK_ROWS) - 0.08) / 0.16, 0, 1)
        pin.append(np.repeat(1 - free**2 * (3 - 2 * free), LOCK_COLUMNS))
    points, faces, corner = np.concatenate(vertices), np.concatenate(quads), np.concatenate(uvs)
    corner_uvs = corner[faces]
    wraps = np.ptp(corner_uvs[..., 0], axis=1) > 0.5
    corner_uvs[wraps, :, 0] += corner_uvs[wraps, :, 0] < 0.5
    weights = np.zeros((len(points), len(human.skeleton.names)))
    weights[:, human.skeleton.index("head")] = 1
    groups = {"ani3d_hair": np.ones(len(points)), "ani3d_pin": np.concatenate(pin)}
    return Part("Hair", points, faces, corner_uvs, ("Hair",), np.zeros(len(faces), int), weights, groups)
