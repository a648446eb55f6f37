"""Even samples on a triangle mesh: Poisson disks, so that Gaussians leave neither holes nor clumps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..jit import kernel

CANDIDATES = 14  # random points tried for each one wanted
MOST_EMPTY = 50  # times the area that counts, where more of a surface is holes


@kernel
def _throw_darts(points, normals, radii, cell, order):  # type: ignore[no-untyped-def]
    """Accept points in `order` unless an accepted one on the same side lies within their mean radius; (P,) bool.

    `cell` is at least the largest of `radii` (P,).
    """
    n = points.shape[0]
    low = np.array([points[:, k].min() for k in range(3)])
    size = [int((points[:, k].max() - low[k]) / cell) + 1 for k in range(3)]
    buckets = 1 << 20
    head = np.full(buckets, -1, np.int32)
    link = np.full(n, -1, np.int32)
    accepted = np.zeros(n, np.bool_)
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
                        limit = 0.5 * (radii[i] + radii[j])
                        free = not (d < limit * limit and facing > 0.2)
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
    corners: np.ndarray,
    count: int,
    rng: np.random.Generator,
    visible: Visible | None = None,
    density: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """About `count` points (within 3 %) spread evenly over triangles, or as densely as `density` says.

    Args:
        corners: (F,3,3) triangle corners, metres.
        count: how many points are wanted, at least 1.
        rng: source of randomness.
        visible: tells points that count from those where the surface has a hole.
        density: (F,) points an area relative to each other, above 0; None for the same everywhere.

    Returns:
        (n,) triangle of each point, (n,3) float32 barycentric coordinates, and (n,) the spacing there in metres.
    """
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1) / 2
    weighted = area if density is None else area * density
    triangles, barycentrics = random_points(weighted, CANDIDATES * count, rng)
    share = 1.0
    if visible is not None:
        share = max(float(visible(triangles, barycentrics).mean()), 1 / MOST_EMPTY)
        triangles, barycentrics = random_points(weighted, int(CANDIDATES * count / share), rng)
        kept = visible(triangles, barycentrics)
        triangles, barycentrics = triangles[kept], barycentrics[kept]
        if len(triangles) == 0:
            return triangles, barycentrics.astype(np.float32), np.zeros(0)
    points = np.einsum("nc,nck->nk", barycentrics, corners[triangles])
    normals = (cross / np.maximum(2 * area, 1e-20)[:, None])[triangles]
    order = rng.permutation(len(points))
    spacing = np.full(len(points), np.sqrt(share * weighted.sum() / count))
    if density is not None:
        spacing /= np.sqrt(density[triangles])
    factor = 0.8
    for _ in range(6):
        kept = np.flatnonzero(_throw_darts(points, normals, factor * spacing, factor * spacing.max(), order))
        if abs(len(kept) / count - 1) < 0.03:
            break
        factor *= float(np.sqrt(len(kept) / count))
    return triangles[kept], barycentrics[kept].astype(np.float32), spacing[kept]
