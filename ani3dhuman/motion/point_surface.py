"""A surface for points without a mesh: small triangles around each point, turned outwards."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

from ..errors import Ani3DError

RING = 8  # neighbours that span a point's triangles
SWEEPS = 6  # times that parts which are inside out are turned
SURE = (0.2, 0.9)  # winding numbers of points whose side is known: about 1/2, 1/4 at the rim of an open surface


def faces_of_points(points: np.ndarray) -> np.ndarray:
    """Triangles over a cloud of points on a closed surface, a fan around each point; they overlap and are not a mesh.

    They are found at rest and move with their points, so that normals keep their side whatever the pose. Normals come
    from the plane through a point's neighbours and agree along the minimum spanning tree of the cloud (Hoppe et al.,
    "Surface Reconstruction from Unorganized Points", 1992); what this leaves inside out (thin parts, where the tree
    jumps to the other side) is found by its winding number. Parts thinner than the points' spacing, such as fingers,
    have no side that could be known: they get no triangles.

    Args:
        points: (N,3) metres, spread evenly (control nodes are).

    Returns:
        (F,3) int64 vertex indices, normals outwards by the right-hand rule.

    Raises:
        Ani3DError: ``points.few`` below 4 points.
    """
    if len(points) < 4:
        raise Ani3DError("points.few", f"{len(points)} points span no surface.", "Give at least 4.")
    points = points.astype(np.float64)
    _, near = cKDTree(points).query(points, k=min(RING + 1, len(points)))
    near = near[:, 1:]
    arms = points[near] - points[:, None]
    axes = np.linalg.eigh(arms.transpose(0, 2, 1) @ arms)[1]  # (N,3,3), the normal first
    normals, winding = _agree(points, axes[:, :, 0], near)
    side = np.cross(normals, axes[:, :, 2])
    angle = np.arctan2((arms * side[:, None]).sum(2), (arms * axes[:, None, :, 2]).sum(2))
    ring = np.take_along_axis(near, angle.argsort(1), 1)
    turned = np.take_along_axis(angle, angle.argsort(1), 1)
    span = np.mod(np.roll(turned, -1, axis=1) - turned, 2 * np.pi)
    here = np.broadcast_to(np.arange(len(points))[:, None], ring.shape)
    faces = np.stack([here, ring, np.roll(ring, -1, axis=1)], -1)
    sure = (winding > SURE[0]) & (winding < SURE[1])
    return faces[sure[:, None] & (span > 1e-3) & (span < 0.75 * np.pi)]  # a wider gap is the rim of the surface


def _agree(points: np.ndarray, normals: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals (N,3) with signs that agree among neighbours and point outwards, and the winding numbers (N,)."""
    n = len(points)
    a, b = np.repeat(np.arange(n), near.shape[1]), near.ravel()
    cost = 1.001 - np.abs((normals[a] * normals[b]).sum(1))
    tree = minimum_spanning_tree(coo_array((cost, (a, b)), shape=(n, n)).tocsr())
    parts, part = connected_components(tree, directed=False)
    signs = np.ones(n)
    for k in range(parts):
        own = np.flatnonzero(part == k)
        order, parents = breadth_first_order(tree, own[0], directed=False)
        for i in order[1:]:
            signs[i] = signs[parents[i]] * (1.0 if normals[i] @ normals[parents[i]] >= 0 else -1.0)
        # of a closed surface, normals times arms add up to three times the volume
        outwards = ((points[own] - points[own].mean(0)) * normals[own]).sum(1) @ signs[own]
        signs[own] *= 1.0 if outwards >= 0 else -1.0
    normals = normals * signs[:, None]
    area = np.linalg.norm(points[near[:, -1]] - points, axis=1) ** 2 * np.pi / near.shape[1]
    for _ in range(SWEEPS):
        winding = _winding(points, normals * area[:, None])
        if (winding >= 0).all():
            break
        normals[winding < 0] *= -1
    return normals, winding


def _winding(points: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Winding number (N,) at each point from the oriented areas (N,3) of all others: 1/2 on a surface turned outwards.

    It is -1/2 on a part that is turned inside out (Barill et al., "Fast Winding Numbers for Soups and Clouds", 2018).
    """
    winding = np.empty(len(points))
    for start in range(0, len(points), 256):
        r = points[None] - points[start : start + 256, None]
        cubed = np.maximum((r**2).sum(2), 1e-12) ** 1.5
        winding[start : start + 256] = ((r * areas).sum(2) / cubed).sum(1) / (4 * np.pi)
    return winding
