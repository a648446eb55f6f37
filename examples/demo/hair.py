"""A ponytail of strands over a cap: combed from the hairline to a tie, free from there, and a few wisps.

The hairline is one curve around the head (`hairline_height`), shared with the scalp that paint.py darkens, so hair
grows out of painted roots and no bald patch can show. The cap's columns run from the hairline to the tie, as combed
strands do. The cap, its band and the combed strands stay on the head; tail and wisps are free to swing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from character import Human, Part
from dress import grid_quads
from mathutils.bvhtree import BVHTree

CAP_COLUMNS = 72
CAP_RINGS = 16
POINTS = 14  # of a strand
COMBED = 176
TAIL = 220
TAIL_LENGTH = 0.36
THICK = 0.0052  # metres, of a strand of tail or crown
# Wisps of each side, by angle from the face's front (degrees), and how long they are (metres).
WISPS = ((66, 0.07), (72, 0.095), (78, 0.06), (131, 0.035), (146, 0.045), (158, 0.035), (172, 0.045))
WISP = 0.0018  # metres, how thick they are
BAND = 0.0165, 0.0052, 20, 8  # radii of the hair band (metres), quads around it and across
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


def _evenly(line: np.ndarray) -> np.ndarray:
    """The polyline (N,3) with its points spaced evenly along it."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, length[-1], POINTS)
    return np.stack([np.interp(at, length, line[:, k]) for k in range(3)], axis=1)


def _combed(cap: np.ndarray, centre: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(COMBED,POINTS,3) strands that lie on the cap (CAP_RINGS,CAP_COLUMNS,3), from the hairline into the tie."""
    lines = []
    fine = np.linspace(0, 1, 60)
    for number in range(COMBED):
        first = (number + rng.uniform(-0.4, 0.4)) / COMBED * CAP_COLUMNS
        wave, phase = rng.normal() * 0.45, rng.uniform(0, 6.28)
        column = (first + wave * np.sin(2.2 * fine + phase) * np.sin(np.pi * fine)) % CAP_COLUMNS
        ring = fine * (CAP_RINGS - 1)
        low, left = np.minimum(ring.astype(int), CAP_RINGS - 2), column.astype(int) % CAP_COLUMNS
        along, across = (ring - low)[:, None], (column - np.floor(column))[:, None]
        right = (left + 1) % CAP_COLUMNS
        line = (1 - along) * ((1 - across) * cap[low, left] + across * cap[low, right])
        line += along * ((1 - across) * cap[low + 1, left] + across * cap[low + 1, right])
        out = line - centre
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        over = 0.0012 + 0.0022 * rng.random() * np.sin(np.pi * np.minimum(fine / 0.8, 1)) ** 0.6
        lines.append(_evenly(line + out * np.asarray(over)[:, None]))
    return np.stack(lines)


def _tail(tie: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(TAIL,POINTS,3) strands out of the tie and over in an arc, then down, in a bundle that swells and thins out."""
    lines = []
    s = np.linspace(0, 1, 60)
    for number in range(TAIL):
        place, turn = np.sqrt((number + rng.uniform(0, 1)) / TAIL), number * 2.399963 + rng.normal() * 0.3
        length = TAIL_LENGTH * (1 - 0.28 * rng.random() ** 1.5 - 0.08 * place)
        pitch = np.radians(42 - 130 * (1 - np.exp(-s / 0.17)))
        step = length / (len(s) - 1)
        y = np.concatenate([[0], np.cumsum(np.cos(pitch[:-1]) * step)])
        z = np.concatenate([[0], np.cumsum(np.sin(pitch[:-1]) * step)])
        axis = tie + np.stack([np.zeros_like(y), y, z], axis=1)
        normal = np.stack([np.zeros_like(y), -np.sin(pitch), np.cos(pitch)], axis=1)
        swell = 0.010 + 0.027 * np.sin(np.pi * np.minimum(s / 1.25 + 0.02, 1)) ** 0.85 - 0.012 * s**2
        around = turn + (0.5 + 0.3 * rng.normal()) * s
        outward = np.cos(around)[:, None] * [1.0, 0, 0] + np.sin(around)[:, None] * normal
        lines.append(_evenly(axis + outward * (place * swell * (1 + 0.12 * rng.normal() * s))[:, None]))
    return np.stack(lines)


def _wisps(head: Head, skull: BVHTree, rng: np.random.Generator) -> np.ndarray:
    """(W,POINTS,3) short loose strands before the ears and at the nape, that bend away from the skin and fall."""
    lines = []
    t = np.linspace(0, 1, 40)[:, None]
    for side in (-1, 1):
        for angle, length in WISPS:
            azimuth = np.radians(side * (angle + rng.uniform(-3, 3)))
            away = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
            level = head.eye_height + float(np.interp(angle, LINE_ANGLES, LINE_HEIGHTS)) + 0.006
            outside = np.array([*head.centre[:2], level]) + away * 0.3
            hit, *_ = skull.ray_cast(tuple(outside), tuple(-away), 0.3)
            root = np.array(hit) - away * 0.002
            long = length * rng.uniform(0.85, 1.15)
            aside = np.array([np.cos(azimuth), np.sin(azimuth), 0.0]) * rng.normal() * 0.2 * long
            tip = root + away * (0.004 + 0.12 * long) + aside - [0, 0.06 * long if angle < 100 else 0, long]
            bulge = root + away * 0.009 - [0, 0, 0.15 * long]
            under = tip + away * 0.005 - aside + [0, 0, 0.45 * long]
            curve = (1 - t) ** 3 * root + 3 * (1 - t) ** 2 * t * bulge + 3 * (1 - t) * t**2 * under + t**3 * tip
            lines.append(_evenly(curve))
    return np.stack(lines)


@dataclass(frozen=True)
class Strands:
    """Strands of hair: points (S,POINTS,3) world metres, root first, radii (S,POINTS) metres, pins (S,POINTS) 0..1."""

    points: np.ndarray
    radii: np.ndarray
    pins: np.ndarray


def _band(tie: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) and quads (Q,4) of the band around the tie, which faces along the unit vector `axis`."""
    ring, tube, around, across = BAND
    side, up = _frame(axis)
    a = (np.arange(around) / around * 2 * np.pi)[:, None, None]
    b = (np.arange(across) / across * 2 * np.pi)[None, :, None]
    out = np.cos(a) * side + np.sin(a) * up
    points = tie + out * (ring + tube * np.cos(b)) + axis * tube * 1.3 * np.sin(b)
    quads = [
        (i * across + j, (i + 1) % around * across + j, (i + 1) % around * across + (j + 1) % across,
         i * across + (j + 1) % across)
        for i in range(around) for j in range(across)
    ]  # fmt: skip
    return points.reshape(-1, 3), np.array(quads)


def grow_hair(human: Human) -> tuple[Part, Strands]:
    """Cap and band as one mesh, with the groups ani3d_hair and ani3d_pin, and the strands."""
    head = measure_head(human)
    body, rng = human.body, np.random.default_rng(7)
    skull = BVHTree.FromPolygons(
        body.vertices.tolist(), body.quads[body.face_materials == body.materials.index("Head")].tolist()
    )
    cap = _cap(head, skull)
    tie = cap[-1].mean(0)
    combed, tail, wisps = _combed(cap, head.centre, rng), _tail(tie - head.tie * 0.006, rng), _wisps(head, skull, rng)

    u, v = np.meshgrid(np.arange(CAP_COLUMNS) / CAP_COLUMNS, np.linspace(0.98, 0.52, CAP_RINGS))
    uvs, quads = np.stack([u, v], -1).reshape(-1, 2), grid_quads(CAP_RINGS, CAP_COLUMNS, closed=True)
    corner_uvs = uvs[quads]
    wraps = np.ptp(corner_uvs[..., 0], axis=1) > 0.5
    corner_uvs[wraps, :, 0] += corner_uvs[wraps, :, 0] < 0.5
    ring, ring_quads = _band(tie + head.tie * 0.004, head.tie)
    points = np.concatenate([cap.reshape(-1, 3), ring])
    faces = np.concatenate([quads, ring_quads + cap.size // 3])
    corner_uvs = np.concatenate([corner_uvs, np.full((len(ring_quads), 4, 2), 0.5)])
    kinds = np.repeat([0, 1], [len(quads), len(ring_quads)])
    groups = {"ani3d_hair": np.ones(len(points)), "ani3d_pin": np.ones(len(points))}
    weights = np.zeros((len(points), len(human.skeleton.names)))
    weights[:, human.skeleton.index("head")] = 1
    part = Part("Hair", points, faces, corner_uvs, ("Hair", "Band"), kinds, weights, groups)

    s = np.linspace(0, 1, POINTS)
    falls = np.clip((s - 0.12) / 0.26, 0, 1)
    thin = 1 - np.clip((s - 0.45) / 0.55, 0, 1) ** 1.5
    radii = [
        np.broadcast_to(0.5 * THICK * (1.05 - 0.35 * s), combed.shape[:2]),
        0.5 * THICK * (0.72 + 0.28 * np.minimum(s / 0.2, 1)) * (0.2 + 0.8 * thin) * rng.uniform(0.85, 1.15, (TAIL, 1)),
        np.broadcast_to(0.5 * WISP * (0.15 + 0.85 * thin), wisps.shape[:2]),
    ]
    pins = [
        np.ones(combed.shape[:2]),
        np.broadcast_to(1 - falls**2 * (3 - 2 * falls), tail.shape[:2]),
        np.zeros(wisps.shape[:2]),
    ]
    return part, Strands(*(np.concatenate(each) for each in ([combed, tail, wisps], radii, pins)))
