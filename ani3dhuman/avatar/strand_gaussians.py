"""Gaussians of hair strands: long along the strand and as thin as it, a chain of them from root to tip."""

from __future__ import annotations

import math

import numpy as np

from ani3d_formats.hair_ribbons import ribbon_faces, tangents
from ani3d_formats.shot import Shot
from ani3d_formats.shot_meta import ObjectRange

LENGTH = 0.4  # standard deviation along the strand over the spacing of its Gaussians
THICKNESS = 0.4  # standard deviation across over the strand's thickness
FEWEST = 3  # Gaussians of a strand; where there are not enough of them, fewer and wider strands stand for all
MOST = 4  # Gaussians of a segment
ACROSS = (-0.75, -0.25, 0.25, 0.75)  # of half a strand's thickness, where its light is looked up
SHARE = 0.1, 0.5  # of all Gaussians, at least and at most


def fibre_normals(along: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """(S,n,3) unit normals of the side of round fibres that is seen, at places across them that show as much of it.

    `along` and `towards` (n,3) are unit vectors along the fibres and to the eye.
    """
    facing = towards - (towards * along).sum(1, keepdims=True) * along
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-6)
    across = np.cross(along, facing)
    return np.stack([math.sqrt(1 - place**2) * facing + place * across for place in ACROSS])


def strand_objects(shot: Shot) -> list[tuple[ObjectRange, np.ndarray]]:
    """The objects stored as ribbons, with the numbers of their faces, strand by strand, segment by segment."""
    found = []
    for item in shot.meta.objects:
        if not item.strands or item.vertex_count % (2 * item.strands):
            continue
        own = np.flatnonzero((shot["faces"][:, 0] >= item.rows.start) & (shot["faces"][:, 0] < item.rows.stop))
        expected = ribbon_faces(item.vertex_count // (2 * item.strands), item.strands) + item.vertex_start
        if np.array_equal(shot["faces"][own], expected):
            found.append((item, own))
    return found


def turned_to(shot: Shot, vertices: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """A mesh (V,3) whose ribbons of strands show their whole width to an `eye` (3,)."""
    turned = vertices
    for item, _ in strand_objects(shot):
        turned = turned.copy() if turned is vertices else turned
        edges = vertices[item.rows].reshape(-1, item.strands, 2, 3).astype(np.float64)
        middle = edges.mean(2)
        side = np.cross(tangents(middle), eye - middle)
        side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-12)
        half = np.linalg.norm(edges[:, :, 1] - edges[:, :, 0], axis=2)[..., None] / 2 * side
        turned[item.rows] = np.stack([middle - half, middle + half], axis=2).reshape(-1, 3)
    return turned


def shares_of(weights: list[float], others: float) -> list[float]:
    """Shares of all Gaussians for strands of these `weights`, against that of all `others`: within `SHARE` together."""
    total = sum(weights)
    if not total > 0:
        return [0.0] * len(weights)
    together = np.clip(total / (total + others), *SHARE) if others > 0 else 1.0
    return [float(together * weight / total) for weight in weights]


def strand_samples(shot: Shot, item: ObjectRange, own: np.ndarray, count: int) -> tuple[np.ndarray, ...]:
    """About `count` Gaussians along the strands of an object.

    Args:
        own: the numbers of its faces, as of `strand_objects`.
        count: no more than this, but one at least.

    Returns:
        (n,) triangle, (n,3) float32 barycentric coordinates and (n,3) float32 scales of each, the first axis along the
        strand, metres.
    """
    points = item.strands
    edges = shot["vertices"][item.rows].reshape(-1, points, 2, 3).astype(np.float64)
    taken = min(len(edges), max(1, count // FEWEST))
    chosen = np.unique(np.linspace(0, len(edges) - 1, taken).astype(int))
    each = int(np.clip(count // len(chosen), 1, MOST * (points - 1)))
    place = (np.arange(each) + 0.5) / each * (points - 1)
    segment = np.minimum(place.astype(int), points - 2)
    along = place - segment
    second = along > 0.5  # each segment's triangles are (a, c, b) and (d, b, c); a, b nearer to the root
    weights = np.where(
        second[:, None],
        np.stack([along - 0.5, 1 - along, np.full(each, 0.5)], 1),
        np.stack([0.5 - along, along, np.full(each, 0.5)], 1),
    )
    triangles = own[2 * (chosen[:, None] * (points - 1) + segment) + second]
    middle = edges[chosen].mean(2)
    length = np.linalg.norm(np.diff(middle, axis=1), axis=2).sum(1)
    width = np.linalg.norm(edges[chosen, :, 1] - edges[chosen, :, 0], axis=2)
    thick = width[:, segment] * (1 - along) + width[:, segment + 1] * along
    across = np.minimum(thick * len(edges) / len(chosen), np.maximum(thick, length[:, None] / each)) * THICKNESS
    reach = np.maximum(np.broadcast_to(LENGTH * length[:, None] / each, across.shape), across)
    scales = np.stack([reach, across, across], 2).reshape(-1, 3).astype(np.float32)
    barycentrics = np.tile(weights, (len(chosen), 1)).astype(np.float32)
    return triangles.ravel(), barycentrics, scales
