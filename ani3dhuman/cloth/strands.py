"""Hair strands: chains of particles that keep their length and, softly, their curves; their ribbons turn with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ani3d_formats.progress import Progress
from ani3d_formats.strands import tangents

from ..mesh.surface import Obstacle
from .constraints import Constraints
from .fabrics import FABRICS
from .garment import Pieces, Tell, simulate_pieces

HAIR = replace(FABRICS["hair"], bend=3e-5)
SHORT, LONG = 0.06, 0.3  # metres: short hair keeps its style, long hair hangs
STYLE = 0.35  # least pin weight of short hair
SPAN = 2  # points that a strut bridges; it keeps the bend between them


def simulate_strands(
    skinned: np.ndarray,
    rest: np.ndarray,
    points: int,
    pin_weights: np.ndarray,
    obstacle: Obstacle | None,
    fps: float,
    progress: Progress | None,
    tell: Tell,
) -> np.ndarray:
    """Simulate strands stored as ribbons.

    Args:
        skinned: (T,2*S*P,3) as the skeleton has them, world metres; rest: (2*S*P,3) bind pose.
        points: P, of each strand.
        pin_weights: (2*S*P,) 1 on the skin .. 0 free.
        obstacle: body and garments, with as many frames; None for none.
        fps: scene frames a second.
        progress: advanced once a frame.
        tell: called for each reason for which strands follow the skeleton.

    Returns:
        (T,2*S*P,3) float32; ribbons keep their width and turn with their strand.

    Raises:
        Cancelled: within one frame of the request.
    """
    line, still = _middles(skinned), _middles(rest[None])[0]
    pins = np.maximum(pin_weights.reshape(-1, 2).max(1), _style(still.reshape(-1, points, 3)))
    first = np.arange(len(still)).reshape(-1, points)
    edges = np.stack([first[:, :-1].ravel(), first[:, 1:].ravel()], 1)
    struts = np.stack([first[:, :-SPAN].ravel(), first[:, SPAN:].ravel()], 1)
    part = np.repeat(np.arange(len(first)), points)
    pieces = Pieces.of_parts(edges, part, still, pins)

    def build(resting: np.ndarray, held: np.ndarray) -> Constraints:
        nothing = np.zeros((0, 4), np.int64)
        return Constraints.of_graph(edges, nothing, nothing.astype(np.float32), resting, held, struts)

    def report(reason: str, chosen: np.ndarray) -> None:
        if chosen.any():
            tell(reason, np.flatnonzero(np.repeat(chosen[part], 2)))

    moved = simulate_pieces(line, pieces, build, obstacle, fps, HAIR, progress, report)
    ribbons = np.empty(skinned.shape, np.float32)
    for t, now in enumerate(moved):
        half = (skinned[t, 1::2] - skinned[t, 0::2]) / 2
        half = _turned(half, *(tangents(x.reshape(-1, points, 3)).reshape(-1, 3) for x in (line[t], now)))
        ribbons[t, 0::2], ribbons[t, 1::2] = now - half, now + half
    return ribbons


def _style(points: np.ndarray) -> np.ndarray:
    """Least pin weights (S*P,) of strands (S,P,3), by their length."""
    length = np.linalg.norm(np.diff(points, axis=1), axis=2).sum(1)
    return np.repeat(STYLE * np.clip((LONG - length) / (LONG - SHORT), 0, 1), points.shape[1])


def _middles(vertices: np.ndarray) -> np.ndarray:
    """Centre lines (T,S*P,3) of ribbons (T,2*S*P,3)."""
    return (vertices[:, 0::2] + vertices[:, 1::2]) / 2


def _turned(vectors: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Vectors (N,3) turned as directions (N,3) turn from `before` to `after`, on the shortest way (Rodrigues)."""
    axis, cosine = np.cross(before, after), (before * after).sum(1, keepdims=True)
    first = np.cross(axis, vectors)
    turned = vectors + first + np.cross(axis, first) / np.maximum(1 + cosine, 1e-6)
    return np.where(cosine > -0.999, turned, vectors)
