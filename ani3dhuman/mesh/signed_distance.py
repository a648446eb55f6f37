"""Exact signed distance from points to a moving triangle mesh.

The nearest point of the surface is found in a tree of boxes that is built once and refitted to every frame. The side is
told by the normal of the face, edge or corner on which the nearest point lies (Baerentzen and Aanaes, "Signed Distance
Computation Using the Angle Weighted Pseudonormal", 2005), which is right for any closed mesh. A mesh may be open: a
point whose nearest point lies on its rim has no side, and counts as outside.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from ..jit import kernel

LEAF = 4  # triangles


class Topology(NamedTuple):
    """Of F faces, E edges and P points.

    Attributes:
        faces: (F,3) points; edge_ids: (F,3) edges of each face, from corner k to the next.
        rim_edges: (E,) whether each edge is on the rim; rim_points: (P,) likewise.
    """

    faces: np.ndarray
    edge_ids: np.ndarray
    rim_edges: np.ndarray
    rim_points: np.ndarray


class Normals(NamedTuple):
    """Normals of faces (F,3), of edges (E,3) the sum of their faces', of points (P,3) the sum weighted by angle."""

    faces: np.ndarray
    edges: np.ndarray
    points: np.ndarray


class Boxes(NamedTuple):
    """B boxes in depth-first order over triangles.

    Attributes:
        order: (F,) triangles in the order of the leaves.
        first: (B,) of each box the first triangle; counts: (B,) how many, 0 for inner boxes.
        skip: (B,) the box to go on with where this one is left out.
        low, high: (B,3) corners, fitted to each frame.
    """

    order: np.ndarray
    first: np.ndarray
    counts: np.ndarray
    skip: np.ndarray
    low: np.ndarray
    high: np.ndarray


def signed_distances(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Distance (T,Q) in metres of points (T,Q,3) from the mesh of the same frame; negative is inside.

    Args:
        points: (T,Q,3) metres.
        vertices: (T,V,3) metres.
        faces: (F,3) vertex indices, at least one face, normals outwards.
    """
    used, compact = np.unique(faces, return_inverse=True)
    compact = np.ascontiguousarray(compact.reshape(-1, 3))
    moving = np.asarray(vertices[:, used], np.float64)
    points = np.ascontiguousarray(points, np.float64)
    topology = _topology(compact, len(used))
    centres = moving[0][compact].mean(1)
    boxes = _tree(centres)
    nearest = np.asarray(cKDTree(centres).query(points[0])[1], np.int64)
    distances = np.empty(points.shape[:2])
    for t in range(len(points)):
        corners = np.ascontiguousarray(moving[t][compact])
        _fit(corners, boxes)
        _search(points[t], corners, topology, _pseudonormals(corners, topology), boxes, nearest, distances[t])
    return distances


def _topology(faces: np.ndarray, points: int) -> Topology:
    pairs = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    edges, ids, uses = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    rim_points = np.zeros(points, bool)
    rim_points[edges[uses == 1]] = True
    return Topology(faces, np.ascontiguousarray(ids.reshape(-1, 3)), uses == 1, rim_points)


def _pseudonormals(corners: np.ndarray, topology: Topology) -> Normals:
    """Normals of a frame with these corners (F,3,3)."""
    edges, points = len(topology.rim_edges), len(topology.rim_points)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    to_next = np.roll(corners, -1, axis=1) - corners
    to_next /= np.maximum(np.linalg.norm(to_next, axis=2, keepdims=True), 1e-300)
    angles = np.arccos(np.clip(-(to_next * np.roll(to_next, 1, axis=1)).sum(2), -1, 1))
    at_edges, at_points = np.empty((edges, 3)), np.empty((points, 3))
    for k in range(3):
        at_edges[:, k] = np.bincount(topology.edge_ids.ravel(), np.repeat(normals[:, k], 3), edges)
        at_points[:, k] = np.bincount(topology.faces.ravel(), (angles * normals[:, k, None]).ravel(), points)
    return Normals(normals, at_edges, at_points)


def _tree(centres: np.ndarray) -> Boxes:
    """Boxes over triangle centres (F,3), halved along their longest side; not fitted yet."""
    order = np.arange(len(centres))
    first: list[int] = []
    count: list[int] = []
    skip: list[int] = []

    def split(start: int, stop: int) -> None:
        box = len(first)
        first.append(start)
        count.append(stop - start if stop - start <= LEAF else 0)
        skip.append(0)
        if count[box] == 0:
            inside = order[start:stop]
            axis = int(np.ptp(centres[inside], axis=0).argmax())
            order[start:stop] = inside[np.argsort(centres[inside, axis], kind="stable")]
            split(start, (start + stop) // 2)
            split((start + stop) // 2, stop)
        skip[box] = len(first)

    split(0, len(centres))
    corners = np.empty((2, len(first), 3))
    return Boxes(order, np.array(first), np.array(count), np.array(skip), *corners)


@kernel
def _fit(corners, boxes):  # type: ignore[no-untyped-def]
    """Fit boxes to triangles (F,3,3); children come after their box, so the last is done first."""
    order, first, count, skip, low, high = boxes
    for box in range(len(first) - 1, -1, -1):
        for k in range(3):
            if count[box] == 0:
                other = skip[box + 1]
                low[box, k] = min(low[box + 1, k], low[other, k])
                high[box, k] = max(high[box + 1, k], high[other, k])
            else:
                a, b = np.inf, -np.inf
                for i in range(first[box], first[box] + count[box]):
                    for c in range(3):
                        a, b = min(a, corners[order[i], c, k]), max(b, corners[order[i], c, k])
                low[box, k], high[box, k] = a, b


@kernel
def _dot(ax, ay, az, bx, by, bz):  # type: ignore[no-untyped-def]
    return ax * bx + ay * by + az * bz


@kernel
def _nearest_on(triangle, p):  # type: ignore[no-untyped-def]
    """Vector from `p` (3,) to the nearest point of a triangle (3,3), and where it lies: 0..2 corner, 3..5 edge, 6 face.

    The cases are those of Ericson, "Real-Time Collision Detection" (2005), 5.1.5.
    """
    ax, ay, az = triangle[0, 0] - p[0], triangle[0, 1] - p[1], triangle[0, 2] - p[2]
    bx, by, bz = triangle[1, 0] - p[0], triangle[1, 1] - p[1], triangle[1, 2] - p[2]
    cx, cy, cz = triangle[2, 0] - p[0], triangle[2, 1] - p[1], triangle[2, 2] - p[2]
    ux, uy, uz = bx - ax, by - ay, bz - az
    vx, vy, vz = cx - ax, cy - ay, cz - az
    d1, d2 = -_dot(ux, uy, uz, ax, ay, az), -_dot(vx, vy, vz, ax, ay, az)
    if d1 <= 0 and d2 <= 0:
        return ax, ay, az, 0
    d3, d4 = -_dot(ux, uy, uz, bx, by, bz), -_dot(vx, vy, vz, bx, by, bz)
    if d3 >= 0 and d4 <= d3:
        return bx, by, bz, 1
    c = d1 * d4 - d3 * d2
    if c <= 0 and d1 >= 0 and d3 <= 0:
        s = d1 / (d1 - d3) if d1 != d3 else 0.0
        return ax + s * ux, ay + s * uy, az + s * uz, 3
    d5, d6 = -_dot(ux, uy, uz, cx, cy, cz), -_dot(vx, vy, vz, cx, cy, cz)
    if d6 >= 0 and d5 <= d6:
        return cx, cy, cz, 2
    b = d5 * d2 - d1 * d6
    if b <= 0 and d2 >= 0 and d6 <= 0:
        s = d2 / (d2 - d6) if d2 != d6 else 0.0
        return ax + s * vx, ay + s * vy, az + s * vz, 5
    a = d3 * d6 - d5 * d4
    if a <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        total = (d4 - d3) + (d5 - d6)
        s = (d4 - d3) / total if total > 0 else 0.0
        return bx + s * (cx - bx), by + s * (cy - by), bz + s * (cz - bz), 4
    s, w = b / (a + b + c), c / (a + b + c)
    return ax + s * ux + w * vx, ay + s * uy + w * vy, az + s * uz + w * vz, 6


@kernel
def _search(points, corners, topology, normals, boxes, nearest, distances):  # type: ignore[no-untyped-def]
    """Signed distances (Q,) of points (Q,3), in place; `nearest` (Q,): triangles of the last frame, then of this."""
    order, first, count, skip, low, high = boxes
    for q in range(len(points)):
        p = points[q]
        face = nearest[q]
        x, y, z, place = _nearest_on(corners[face], p)
        best = _dot(x, y, z, x, y, z)
        box = 0
        while box < len(first):
            away = 0.0
            for k in range(3):
                gap = max(low[box, k] - p[k], p[k] - high[box, k], 0.0)
                away += gap * gap
            if away >= best:
                box = skip[box]
                continue
            for i in range(first[box], first[box] + count[box]):
                rx, ry, rz, at = _nearest_on(corners[order[i]], p)
                squared = _dot(rx, ry, rz, rx, ry, rz)
                if squared < best:
                    best, face, place, x, y, z = squared, order[i], at, rx, ry, rz
            box += 1
        nearest[q] = face
        if place == 6:
            n, rim = normals.faces[face], False
        elif place >= 3:
            edge = topology.edge_ids[face, place - 3]
            n, rim = normals.edges[edge], topology.rim_edges[edge]
        else:
            corner = topology.faces[face, place]
            n, rim = normals.points[corner], topology.rim_points[corner]
        inside = not rim and _dot(x, y, z, n[0], n[1], n[2]) > 0
        distances[q] = -np.sqrt(best) if inside else np.sqrt(best)
