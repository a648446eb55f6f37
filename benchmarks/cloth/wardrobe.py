"""Pieces of cloth and hair cut to a body, beside those of `cloth_truth.garments`; metres, bind pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ani3d_formats.regions import GARMENT, HAIR
from cloth_truth.bodies import Body
from cloth_truth.garments import Part, grid_quads, near_weights, outline, smoothstep


def part(name: str, points: np.ndarray, quads: np.ndarray, pins: np.ndarray, weights: np.ndarray) -> Part:
    """A garment without a pattern."""
    return Part(name, GARMENT, points, quads, np.zeros((*quads.shape, 2)), weights, np.clip(pins, 0, 1))


def around(
    body: Body,
    name: str,
    heights: tuple[float, float, float],
    ease: float,
    hem: float,
    opening: float = 0.0,
    spacing: float = 0.023,
    held: float = 0.05,
) -> Part:
    """A dress, skirt, coat or apron about trunk and legs.

    Args:
        heights: upper edge, waist and hem as shares of the person's height.
        ease: metres kept from the convex outline of the body, above the waist.
        hem: metres that the hem stands out further.
        opening: degrees left open in front; below 0: only so many degrees in front are there.
        spacing: metres between vertices; held: metres below the upper edge that are pinned.
    """
    tall, trunk = body.height, body.vertices[body.trunk]
    upper, waist, low = (share * tall for share in heights)
    rings = np.linspace(upper, low, max(4, round((upper - low) / spacing)))
    axis_y = float(trunk[np.abs(trunk[:, 2] - waist) < 0.03][:, 1].mean())
    rough = 2 * np.pi * (0.2 + hem / 2)
    columns = max(12, round(rough / spacing * (1 if opening >= 0 else -opening / 360)))
    half = np.pi - np.radians(opening) / 2 if opening > 0 else np.radians(-opening) / 2
    if opening == 0:
        angle = np.arange(columns) / columns * 2 * np.pi
    else:
        angle = np.linspace(-half, half, columns) + (np.pi if opening > 0 else 0)
    fit = np.stack([outline(trunk, z, angle, axis_y) for z in rings]) + ease
    down = np.clip((waist - rings) / (waist - low), 0, 1)[:, None]
    below = down[:, 0] > 0
    fit[below] = np.maximum.accumulate(fit[below], axis=0)
    radius = fit + hem * down**0.9
    points = np.stack(
        [radius * np.sin(angle), axis_y - radius * np.cos(angle), np.broadcast_to(rings[:, None], radius.shape)], -1
    ).reshape(-1, 3)
    quads = grid_quads(len(rings), columns, closed=opening == 0)
    pins = 1 - smoothstep((upper - points[:, 2] - 0.4 * held) / held)
    return part(name, points, quads, pins, near_weights(points, trunk, body.weights[body.trunk]))


def sleeve(body: Body, side: str, ease: float, bell: float, reach: float = 0.95, spacing: float = 0.02) -> Part:
    """A sleeve from below the shoulder towards the wrist, `ease` metres from the arm and `bell` more at its end."""
    skeleton = body.skeleton
    bones = [skeleton.index(f"{bone}.{side}") for bone in ("upperarm", "lowerarm", "hand")]
    joints = skeleton.heads[bones]
    lengths = np.linalg.norm(np.diff(joints, axis=0), axis=1)
    far = np.linspace(0.16 * lengths[0], reach * lengths.sum(), max(6, round(reach * lengths.sum() / spacing)))
    path = np.stack([np.interp(far, [0, lengths[0], lengths.sum()], joints[:, k]) for k in range(3)], 1)
    skin = body.arms & (body.vertices[:, 0] * (1 if side == "L" else -1) > 0.1)
    away = np.linalg.norm(body.vertices[skin][:, None] - path, axis=2)
    closest = away.argmin(1)
    arm = np.array([away[np.abs(closest - k) <= 1, k].max() for k in range(len(path))])
    arm = np.minimum(arm, np.median(arm) * 1.5)
    share = np.linspace(0, 1, len(path))
    columns = round(2 * np.pi * (arm.mean() + ease + bell / 2) / spacing)
    points, quads = tube(path, arm + ease + bell * share**1.5, columns)
    pins = np.repeat(1 - smoothstep((share - 0.04) / 0.12), columns)
    return part("sleeve", points, quads, pins, near_weights(points, body.vertices[skin], body.weights[skin]))


def tube(path: np.ndarray, radii: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and quads of a tube along `path` (N,3) with `radii` (N,); its frame is carried along without twist."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along[0], [0.0, 1, 0] if abs(along[0, 1]) < 0.9 else [1.0, 0, 0])
    rings = []
    turn = np.arange(columns) / columns * 2 * np.pi
    for centre, axis, radius in zip(path, along, radii, strict=True):
        side = side - axis * (side @ axis)
        side /= np.linalg.norm(side)
        other = np.cross(axis, side)
        rings.append(centre + radius * (np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * other))
    return np.concatenate(rings), grid_quads(len(path), columns, closed=True)[:, ::-1]


def trousers(body: Body, ease: float, bell: float, spacing: float = 0.022) -> Part:
    """Wide trousers: a ring about the hips that parts into two legs along a seam from front to back."""
    tall, trunk = body.height, body.vertices[body.trunk]
    waist, crotch, ankle = 0.6 * tall, 0.475 * tall, 0.06 * tall
    half, between = 34, 9  # columns of a leg's outer side, vertices of the seam
    columns = 2 * half
    axis_y = float(trunk[np.abs(trunk[:, 2] - waist) < 0.03][:, 1].mean())
    angle = np.arange(columns) / columns * 2 * np.pi  # 0 in front, to her left
    rings = np.linspace(waist, crotch, max(5, round((waist - crotch) / spacing)))
    fit = np.stack([outline(trunk, z, angle, axis_y) for z in rings]) + ease
    points = [
        np.stack([r * np.sin(angle), axis_y - r * np.cos(angle), np.full(columns, z)], 1)
        for r, z in zip(fit, rings, strict=True)
    ]
    quads = [grid_quads(len(rings), columns, closed=True)]
    last = (len(rings) - 1) * columns
    front, back = points[-1][0], points[-1][half]
    share = np.linspace(0, 1, between + 2)[1:-1, None]
    points.append(front + (back - front) * share - [0, 0, 0.02] * np.sin(np.pi * share))
    seam = last + columns + np.arange(between)  # front to back
    count = last + columns + between
    steps = np.linspace(crotch, ankle, max(10, round((crotch - ankle) / spacing)))[1:]
    for side in (1, -1):
        outer = last + (np.arange(half + 1) if side > 0 else (-np.arange(half + 1)) % columns)
        above = np.concatenate([outer, seam[::-1]])  # front, outside, back, inside, front
        loop = np.concatenate(points)[above]
        bones = [body.skeleton.index(f"{b}.{'L' if side > 0 else 'R'}") for b in ("upperleg", "lowerleg", "foot")]
        joints = body.skeleton.heads[bones][::-1]
        leg = body.vertices[body.trunk & (body.vertices[:, 0] * side > 0)]
        grown = np.linspace(0, 1, len(steps))
        for z, down in zip(steps, grown, strict=True):
            centre = np.array([np.interp(z, joints[:, 2], joints[:, k]) for k in range(2)])
            turn = np.linspace(0, 2 * np.pi, len(above), endpoint=False) * side
            near = leg[np.abs(leg[:, 2] - z) < 0.025][:, :2]
            wide = np.linalg.norm(near - centre, axis=1).max() if len(near) else 0.06
            circle = centre + (min(wide, 0.12) + ease + bell * down) * np.stack([np.sin(turn), -np.cos(turn)], 1)
            circle[:, 0] = side * np.maximum(side * circle[:, 0], 0.006)  # legs stay on their own side
            blend = smoothstep(np.array(min(1.0, 4 * down + 0.15)))
            flat = (1 - blend) * loop[:, :2] + blend * circle
            flat[:, 0] = side * np.maximum(side * flat[:, 0], 0.006)
            points.append(np.concatenate([flat, np.full((len(above), 1), z)], axis=1))
            own = count + np.arange(len(above))
            pair = np.stack([above, own, np.roll(own, -1), np.roll(above, -1)], 1)
            quads.append(pair if side > 0 else pair[:, ::-1])
            above, count = own, count + len(above)
    placed = np.concatenate(points)
    pins = 1 - smoothstep((waist - placed[:, 2] - 0.02) / 0.05)
    return part("trousers", placed, np.concatenate(quads), pins, near_weights(placed, trunk, body.weights[body.trunk]))


def poncho(body: Body, length: float = 0.62, slope: float = 46.0, spacing: float = 0.024) -> Part:
    """A cone with a hole for the neck, over shoulders and arms; `slope` degrees below level."""
    neck = body.skeleton.heads[body.skeleton.index("neck")]
    rows = round(length / spacing)
    far = np.linspace(0.075, 0.075 + length, rows)
    columns = round(2 * np.pi * 0.4 * length / spacing) + 24
    angle = np.arange(columns) / columns * 2 * np.pi
    wave = 1 + 0.03 * np.cos(6 * angle) * (far[:, None] / far[-1])
    radius = far[:, None] * np.cos(np.radians(slope)) * wave + 0.02
    height = neck[2] + 0.035 - (far - far[0])[:, None] * np.sin(np.radians(slope)) + 0 * radius
    points = np.stack([1.25 * radius * np.sin(angle), neck[1] - radius * np.cos(angle), height], -1).reshape(-1, 3)
    pins = 1 - smoothstep((np.repeat(far - far[0], columns) - 0.03) / 0.04)
    near = ~body.arms & (body.vertices[:, 2] > 0.6 * body.height)
    weights = near_weights(points, body.vertices[near], body.weights[near])
    return part("poncho", points, grid_quads(rows, columns, closed=True), pins, weights)


def scarf(body: Body, width: float = 0.075, spacing: float = 0.014) -> Part:
    """A band that goes once and a half around the neck; both ends hang in front. Held at the nape."""
    neck = body.skeleton.heads[body.skeleton.index("neck")]
    skin = body.vertices[body.trunk & (body.vertices[:, 2] > 0.7 * body.height)]
    middle = np.array([0.0, neck[1] - 0.005, neck[2] + 0.01])
    turn = np.linspace(-1.5 * np.pi - 0.55, 1.5 * np.pi + 0.55, 140)  # 0 at the nape; ends in front
    radius = 0.088 + 0.016 * (turn - turn[0]) / np.pi / 2
    loop = np.stack([radius * np.sin(turn), middle[1] + radius * np.cos(turn), np.full(len(turn), middle[2])], 1)
    hang = np.linspace(0, 0.36, 26)[1:, None]
    ends = []
    for at, lean in ((loop[0], -0.02), (loop[-1], 0.02)):
        low = at + hang * [0.1 * np.sign(lean), -0.12, -1.0]
        aside = np.abs(skin[:, None, [2, 0]] - low[:, [2, 0]])
        beside = (aside[..., 0] < 0.03) & (aside[..., 1] < 0.06)
        chest = np.where(beside, skin[:, 1, None], np.inf).min(0)
        low[:, 1] = np.minimum(low[:, 1], chest - (0.014 if lean < 0 else 0.03))
        ends.append(low)
    path = np.concatenate([ends[0][::-1], loop, ends[1]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    even = np.linspace(0, length[-1], round(length[-1] / spacing))
    path = np.stack([np.interp(even, length, path[:, k]) for k in range(3)], 1)
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    out = path - [0, middle[1], 0]
    out[:, 2] = 0
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    across = np.cross(out, along)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    columns = max(4, round(width / spacing) + 1)
    offset = np.linspace(-0.5, 0.5, columns) * width
    points = (path[:, None] + offset[:, None] * across[:, None]).reshape(-1, 3)
    from_nape = np.repeat(np.abs(even - even[-1] / 2), columns)
    pins = 0.995 * (1 - smoothstep((from_nape - 0.02) / 0.03))
    weights = near_weights(points, skin, body.weights[body.trunk & (body.vertices[:, 2] > 0.7 * body.height)])
    return part("scarf", points, grid_quads(len(path), columns, closed=False), pins, weights)


def locks(body: Body, paths: Sequence[np.ndarray], radii: Sequence[np.ndarray], columns: int, held: float) -> Part:
    """Hair as closed tubes along `paths` (N,3), that taper by `radii` (N,); `held` metres from each root are pinned."""
    points, quads, pins, start = [], [], [], 0
    for path, thick in zip(paths, radii, strict=True):
        own, faces = tube(path, thick, columns)
        far = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
        points.append(own)
        quads.append(faces + start)
        pins.append(np.repeat(1 - smoothstep((far - held) / held), columns))
        start += len(own)
    weights = np.zeros((start, len(body.skeleton.names)))
    weights[:, body.skeleton.index("head")] = 1
    hair = part("hair", np.concatenate(points), np.concatenate(quads), np.concatenate(pins), weights)
    return replace(hair, region=HAIR)


def behind_head(body: Body, z: float) -> np.ndarray:
    """The point (3,) of the back of the head at a height `z`, in the middle."""
    head = body.vertices[body.head & (np.abs(body.vertices[:, 2] - z) < 0.02)]
    return np.array([0.0, head[:, 1].max(), z])


def ponytail(body: Body, length: float = 0.5) -> Part:
    """One thick tail from high at the back of the head, out and down along the back."""
    root = behind_head(body, 0.945 * body.height)
    far = np.linspace(0, 1, 40)
    out = 0.075 * smoothstep(far / 0.25)
    path = root + np.stack(
        [0 * far, out - 0.004, 0.02 * np.sin(np.pi * np.minimum(far / 0.3, 1)) - length * far**1.15], 1
    )
    radii = 0.026 * np.sqrt(np.clip(1.02 - far, 0.02, 1)) * (0.6 + 0.4 * smoothstep(far / 0.15))
    return locks(body, [path], [radii], 14, 0.035)


def braid(body: Body, length: float = 0.52, strand: float = 0.0105) -> Part:
    """Three strands plaited down the back, with a gap between them."""
    root = behind_head(body, 0.9 * body.height)
    far = np.linspace(0, 1, 110)
    paths = []
    for k in range(3):
        turn = 2 * np.pi * (4.5 * far + k / 3)
        paths.append(
            root
            + np.stack(
                [
                    0.026 * np.sin(turn),
                    0.055 * smoothstep(far / 0.2) + 0.026 + 0.0165 * np.sin(2 * turn),
                    -length * far,
                ],
                1,
            )
        )
    radii = strand * np.sqrt(np.clip(1.03 - far, 0.03, 1))
    return locks(body, paths, [radii] * 3, 8, 0.03)
