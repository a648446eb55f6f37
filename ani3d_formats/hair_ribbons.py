"""Hair strands as ribbons of triangles, which is how a shot holds them (`shot_meta.ObjectRange.strands`).

Vertex 2*(s*P + p) + side is the left (0) or right (1) edge of point p of strand s, root first; the width of the ribbon
is the thickness of the strand.
"""

from __future__ import annotations

import numpy as np

ROOT_PINS = 1.0, 0.5, 0.25  # of a strand's first points
THINNEST = 5e-5  # metres, half a hair's breadth: ribbons have a width everywhere


def ribbons(points: np.ndarray, thickness: np.ndarray, thinnest: float = THINNEST) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (2*S*P,3) and faces (F,3) of strands; they face away from the middle of all roots.

    Args:
        points: (S,P,3), root first, P at least 2; thickness: (S,P), in the same unit.
        thinnest: least width.
    """
    strands, count = points.shape[:2]
    sides = across(points)
    half = np.maximum(thickness, thinnest)[..., None] / 2 * sides
    vertices = np.stack([points - half, points + half], axis=2).reshape(-1, 3)
    return vertices, ribbon_faces(strands, count)


def root_pins(points: int, strands: int) -> np.ndarray:
    """Pin weights (2*S*P,) float32 of ribbons: the root sits on the skin, the next points half."""
    one = np.zeros(points, np.float32)
    one[: len(ROOT_PINS)] = ROOT_PINS[:points]
    return np.tile(np.repeat(one, 2), strands)


def ribbon_faces(strands: int, points: int) -> np.ndarray:
    """Faces (2*S*(P-1),3) int32 of `strands` ribbons of `points` points; first edges run along the strand."""
    first = 2 * (np.arange(strands)[:, None] * points + np.arange(points - 1)).ravel()
    left, right, next_left, next_right = first, first + 1, first + 2, first + 3
    return np.stack([left, next_left, right, next_right, right, next_left], 1).reshape(-1, 3).astype(np.int32)


def tangents(points: np.ndarray) -> np.ndarray:
    """Unit directions (...,P,3) from root to tip at points (...,P,3); those of the neighbours where points coincide."""
    steps = np.diff(points, axis=-2).astype(np.float64)
    both = np.concatenate([steps[..., :1, :], (steps[..., 1:, :] + steps[..., :-1, :]) / 2, steps[..., -1:, :]], -2)
    whole = points[..., -1:, :] - points[..., :1, :]
    for other in (whole, np.broadcast_to([0.0, 0, -1], whole.shape)):
        both = np.where(np.linalg.norm(both, axis=-1, keepdims=True) > 1e-9, both, other)
    return both / np.linalg.norm(both, axis=-1, keepdims=True)


def across(points: np.ndarray) -> np.ndarray:
    """Unit directions (S,P,3) along a ribbon's width: square to the strand, and to the way out of the hair."""
    along = tangents(points)
    out = points.mean(1) - points[:, 0].mean(0)
    side = np.cross(along.mean(1), out)
    for other in ([0.0, 0, 1], [1.0, 0, 0]):  # a strand straight outwards
        flat = np.linalg.norm(side, axis=1) < 1e-3 * np.maximum(np.linalg.norm(out, axis=1), 1e-9)
        side[flat] = np.cross(along.mean(1), other)[flat]
    sides = np.empty(points.shape)
    for p in range(points.shape[1]):  # carried along the strand, so that the ribbon does not twist
        square = side - (side * along[:, p]).sum(1, keepdims=True) * along[:, p]
        size = np.linalg.norm(square, axis=1, keepdims=True)
        lost = size[:, 0] < 1e-6 * np.maximum(np.linalg.norm(side, axis=1), 1e-12)
        square[lost] = _any_square_to(along[lost, p])
        side = square / np.maximum(np.linalg.norm(square, axis=1, keepdims=True), 1e-12)
        sides[:, p] = side
    return sides


def _any_square_to(directions: np.ndarray) -> np.ndarray:
    axes = np.eye(3)[np.abs(directions).argmin(-1)]
    return np.cross(directions, axes)


def resampled(lines: np.ndarray, count: int) -> np.ndarray:
    """`count` points (S,count,K) evenly along polylines (S,N,K) whose first three columns are places."""
    lengths = np.linalg.norm(np.diff(lines[..., :3], axis=1), axis=2).cumsum(1)
    lengths = np.concatenate([np.zeros((len(lines), 1)), lengths], 1)
    wanted = lengths[:, -1:] * np.linspace(0, 1, count)
    before = (lengths[:, None, 1:-1] <= wanted[:, :, None]).sum(2)
    row = np.arange(len(lines))[:, None]
    step = np.maximum(lengths[row, before + 1] - lengths[row, before], 1e-12)
    share = np.clip((wanted - lengths[row, before]) / step, 0, 1)[..., None]
    return (1 - share) * lines[row, before] + share * lines[row, before + 1]
