"""Which simulations are dropped: exploded, stretched beyond reason, or inside the body."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.spatial import cKDTree

from ani3dhuman.mesh.kernels import point_normals

from .bodies import triangles
from .garments import Part

MAX_STRETCH = 1.35  # 99.5th percentile of edge length over rest length
MAX_EDGE = 3.0  # the longest edge over its rest length: one torn or spiked vertex shows
MAX_SPEED = 0.35  # metres a frame relative to the skeleton, 99.5th percentile: faster cloth was flung away
DEPTH = 0.005  # metres under the skin that count as inside
MAX_INSIDE = 0.02  # share of a part's free vertices inside the body in its worst frame
EVERY = 3  # frames between looks for intersections


@dataclass(frozen=True)
class Figures:
    """Measures of a simulation over all its parts; see the limits at the top of this file.

    `swing` is the mean distance of free vertices from the rigid layer, metres.
    """

    stretch: float
    longest: float
    speed: float
    inside: float
    swing: float

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 5) for name, value in asdict(self).items()}


def judge(figures: Figures) -> str | None:
    """Why a simulation is dropped, or None when it is kept."""
    if not all(np.isfinite(list(asdict(figures).values()))):
        return "exploded: positions are not finite"
    if figures.speed > MAX_SPEED:
        return f"exploded: cloth moves {figures.speed:.2f} m a frame"
    if figures.longest > MAX_EDGE:
        return f"spiked: an edge grew {figures.longest:.1f} times"
    if figures.stretch > MAX_STRETCH:
        return f"stretched: edges grow {figures.stretch:.2f} times"
    if figures.inside > MAX_INSIDE:
        return f"intersects the body: {100 * figures.inside:.1f} % of free vertices"
    return None


def measure(
    parts: list[Part], truth: list[np.ndarray], rigid: list[np.ndarray], body: np.ndarray, body_quads: np.ndarray
) -> Figures:
    """Figures of a simulation.

    Args:
        parts: cloth and hair in bind pose.
        truth, rigid: (T,V,3) of each part, world metres.
        body: (T,B,3) skin that cloth collides with; body_quads: (Q,4).
    """
    if not all(np.isfinite(t).all() for t in truth):
        return Figures(*(float("nan"),) * 5)
    motions = [_motion(*each) for each in zip(parts, truth, rigid, strict=True)]
    stretch, longest, speed, swing = zip(*motions, strict=True)
    free = [part.pins < 0.5 for part in parts]
    faces = triangles(body_quads).astype(np.int64)
    inside = [0.0]
    for t in range(0, len(body), EVERY):
        normals = point_normals(np.ascontiguousarray(body[t], np.float32), faces)
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        tree = cKDTree(body[t])
        inside += [_share_inside(moved[t][f], tree, normals) for moved, f in zip(truth, free, strict=True) if f.any()]
    return Figures(max(stretch), max(longest), max(speed), max(inside), float(np.mean(swing)))


def _motion(part: Part, truth: np.ndarray, rigid: np.ndarray) -> tuple[float, float, float, float]:
    edges = np.unique(np.sort(np.concatenate([part.quads[:, [k, (k + 1) % 4]] for k in range(4)]), axis=1), axis=0)
    rest = np.linalg.norm(part.vertices[edges[:, 0]] - part.vertices[edges[:, 1]], axis=1)
    free_edges = part.pins[edges].min(1) < 0.99
    grown = np.linalg.norm(truth[:, edges[free_edges, 0]] - truth[:, edges[free_edges, 1]], axis=2) / rest[free_edges]
    offset = truth - rigid
    # against the rigid layer's own mean velocity: a skirt's rigid vertices may themselves move fast
    velocity = np.diff(truth, axis=0) - np.diff(rigid, axis=0).mean(1, keepdims=True)
    speed = np.percentile(np.linalg.norm(velocity, axis=2), 99.5)
    free = part.pins < 0.5
    swing = np.linalg.norm(offset[:, free], axis=2).mean() if free.any() else 0.0
    return float(np.percentile(grown, 99.5)), float(grown.max()), float(speed), float(swing)


def _share_inside(points: np.ndarray, tree: cKDTree, normals: np.ndarray) -> float:
    """Share of points deeper than DEPTH under the skin: behind the tangent planes at their three nearest vertices."""
    distance, near = tree.query(points, k=3)
    away = points[:, None] - tree.data[near]
    depth = -np.einsum("pkj,pkj->pk", away, normals[near])
    deep = (depth > DEPTH).all(1) & (distance[:, 0] < 0.08)
    return float(deep.mean())
