"""Even samples on a triangle mesh: Poisson disks, so that Gaussians leave neither holes nor clumps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..jit import kernel

CANDIDATES = 14  # random points tried for each one wanted
MOST_EMPTY = 50  # times the area that counts, where more of a surface is holes


@kernel
def _throw_darts(points, normals, radius, cell, order):  # type: ignore[no-untyped-def]
    """Accept points in `order` unless an accepted one on the same side lies within `radius`; (P,) bool."""
    n = points.shape[0]
    low = np.array([points[:, k].min() for k in range(3)])
    size = [int((points[:, k].max() - low[k]) / cell) + 1 for k in range(3)]
    buckets = 1 << 20
    head = np.full(buckets, -1, np.int32)
    link = np.full(n, -1, np.int32)
    accepted = np.zeros(n, np.bool_)
    limit = radius * radius
    for i in order:
        cx, cy, cz = (
            int((points[i, 0] - low[0]) / cell),
            int((points[i, 1] - low[1]) / cell),
            int((points[i, 2] - low[2]) / cell),
        )
        free = True
        for x in range(max(cx - 1, 0), min(cx + 2, size[0])):
            for y in range(max(cy - 1, 0), min(cy + 2, size[1])):
                for z in range(max(cz - 1, 0), min(cz + 2, size[2])):
                    j = head[(x * 73856093 ^ y * 19349663 ^ z * 83492791) & (buckets - 1)]
                    while j >= 0 and free:
                        d = 0.0
                        facing = 0.0
                        for k in range(3):
                            d += (points[i, k] - points[j, k]) ** 2
                            facing += normals[i, k] * normals[j, k]
                        free = not (d < limit and facing > 0.2)
                        j = link[j]
        if free:
            accepted[i] = True
            bucket = (cx * 73856093 ^ cy * 19349663 ^ cz * 83492791) & (buckets - 1)
            link[i] = head[bucket]
            head[bucket] = i
    return accepted


Visible = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of points, as triangles (n,) and barycentric coordinates (n,3), those (n,) that count."""


def random_points(area: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`count` random points on triangles of `area` (F,): triangles (n,) and barycentric coordinates (n,3)."""
    triangles = rng.choice(len(area), count, p=area / area.sum())
    root, v = np.sqrt(rng.random(count)), rng.random(count)
    return triangles, np.stack([1 - root, root * (1 - v), root * v], axis=1)


def spread_samples(
    corners: np.ndarray, count: int, rng: np.random.Generator, visible: Visible | None = None
) -> tuple[np.ndarray, np.ndarray, float]:
    """About `count` points (within 3 %) spread evenly over triangles.

    Args:
        corners: (F,3,3) triangle corners, metres.
        count: how many points are wanted, at least 1.
        rng: source of randomness.
        visible: tells points that count from those where the surface has a hole.

    Returns:
        (n,) triangle of each point, (n,3) float32 barycentric coordinates, and the mean spacing in metres.
    """
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1) / 2
    triangles, barycentrics = random_points(area, CANDIDATES * count, rng)
    share = 1.0
    if visible is not None:
        share = max(float(visible(triangles, barycentrics).mean()), 1 / MOST_EMPTY)
        triangles, barycentrics = random_points(area, int(CANDIDATES * count / share), rng)
        kept = visible(triangles, barycentrics)
        triangles, barycentrics = triangles[kept], barycentrics[kept]
        if len(triangles) == 0:
            return triangles, barycentrics.astype(np.float32), 0.0
    points = np.einsum("nc,nck->nk", barycentrics, corners[triangles])
    normals = (cross / np.maximum(2 * area, 1e-20)[:, None])[triangles]
    order = rng.permutation(len(points))
    spacing = float(np.sqrt(share * area.sum() / count))
    radius = 0.8 * spacing
    for _ in range(6):
        kept = np.flatnonzero(_throw_darts(points, normals, radius, radius, order))
        if abs(len(kept) / count - 1) < 0.03:
            break
        radius *= float(np.sqrt(len(kept) / count))
    return triangles[kept], barycentrics[kept].astype(np.float32), spacing
