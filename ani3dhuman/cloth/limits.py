"""What a displacement may do to cloth: not stretch it, not push it into the body."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from ani3d_formats.regions import is_loose

from ..clip import CoarseClip
from ..mesh.kernels import limit_edges, point_normals
from ..mesh.topology import edges_of

ROUNDS = 12
FREE_STRETCH = 1.06  # an edge may be this much longer than at rest
MAX_RIGID_STRETCH = 1.15  # or as long as the rigid layer has it, but no longer than this; skinning stretches hems
MAX_STRETCH = 1.25  # nor may staying out of the body make it longer than this
MIN_STRETCH = 0.75  # nor shorter than this share of rest, or of the coarse layer
CLEARANCE = 0.008  # metres kept from the body, unless the coarse layer is closer already
LEAST_CLEARANCE = 0.003  # metres kept even where the coarse layer is closer or inside
REACH = 0.06  # metres inside the body beyond which a vertex is taken to lie on another limb's far side
AGREEMENT = 0.6  # length of the mean normal of neighbouring body points below which they are not one surface
SMOOTHING = 0.7  # frames (sigma) over which what the limits did is evened out: each frame is limited by itself
STEP = 0.03  # metres that cloth is moved before it is held against the body again


def limit_offsets(clip: CoarseClip, offsets: np.ndarray) -> np.ndarray:
    """Offsets (T,V,3) metres made admissible: edges keep their length within bounds, nothing enters the body.

    Vertices without freedom stay exactly where the coarse layer has them. A coarse layer of its own may have stretched
    its edges as it likes; those of a rigid one are brought back.
    """
    freedom = clip.freedom
    faces = clip.avatar.binding.faces.numpy()
    moving = np.flatnonzero(freedom > 0)
    if len(moving) == 0:
        return np.zeros_like(offsets)
    edges = edges_of(faces[(freedom[faces] > 0).any(1)])
    rest = np.linalg.norm(clip.bind_vertices[edges[:, 0]] - clip.bind_vertices[edges[:, 1]], axis=1).astype(np.float32)
    body_faces = faces[~is_loose(clip.vertex_regions[faces]).any(1)]
    limited = np.zeros_like(offsets)
    tolerated = MAX_RIGID_STRETCH if np.array_equal(clip.vertices, clip.rigid_vertices) else np.inf
    offsets = np.where((freedom > 0)[:, None], offsets, 0).astype(np.float32)
    last = []
    for t, coarse in enumerate(clip.vertices):
        now = np.linalg.norm(coarse[edges[:, 0]] - coarse[edges[:, 1]], axis=1)
        shortest = np.minimum(MIN_STRETCH * rest, now)
        longest = np.maximum(FREE_STRETCH * rest, np.minimum(now, tolerated * rest))
        last.append(np.maximum(longest, MAX_STRETCH * rest))
        body = _Body(coarse, body_faces) if len(body_faces) else None
        if body:
            wanted = np.clip(body.heights(coarse[moving])[0], LEAST_CLEARANCE, CLEARANCE)
        strides = int(np.ceil(np.linalg.norm(offsets[t, moving], axis=1).max() / STEP))
        x = coarse.astype(np.float32)
        for _ in range(strides):
            x += offsets[t] / strides
            limit_edges(x, freedom, edges, shortest, longest, ROUNDS)
            if body:
                x[moving] += body.push(x[moving], wanted, freedom[moving])
        limited[t, moving] = x[moving] - coarse[moving]
    limited = gaussian_filter1d(limited, SMOOTHING, axis=0, mode="nearest")
    # the body pushes one end of an edge and not the other, where hair lies in an ear for one
    for t, coarse in enumerate(clip.vertices):
        if not limited[t].any():
            continue
        x = coarse + limited[t]
        limit_edges(x, freedom, edges, np.zeros_like(rest), last[t], ROUNDS)
        limited[t, moving] = (x - coarse)[moving]
    return limited


class _Body:
    """The body's surface of one frame: its points, normals and a tree to find them by."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        used, compact = np.unique(faces, return_inverse=True)
        self.points = np.ascontiguousarray(vertices[used], np.float32)
        self.normals = point_normals(self.points, compact.reshape(-1, 3))
        self.tree = cKDTree(self.points)

    def heights(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Height of queries (Q,3) over the surface, metres, and the unit direction (Q,3) it is measured in.

        Planes of the three nearest body points are blended by distance; where they face each other (between the
        legs) the nearest one decides alone.
        """
        distance, near = self.tree.query(queries, k=min(3, len(self.points)))
        distance, near = distance.reshape(len(queries), -1), near.reshape(len(queries), -1)
        weight = 1 / (distance**2 + 1e-6)
        weight = (weight / weight.sum(1, keepdims=True))[..., None]
        torn = np.linalg.norm((self.normals[near] * weight).sum(1), axis=1) < AGREEMENT
        weight[torn] = 0
        weight[torn, 0] = 1
        away = (self.normals[near] * weight).sum(1)
        away = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
        return ((queries - (self.points[near] * weight).sum(1)) * away).sum(1), away

    def push(self, queries: np.ndarray, wanted: np.ndarray, freedom: np.ndarray) -> np.ndarray:
        """Pushes (Q,3) that bring points back to their wanted height (Q,), gently where they are nearly pinned."""
        height, away = self.heights(queries)
        depth = np.where(height > -REACH, np.maximum(wanted - height, 0), 0)
        return (np.minimum(1, 4 * freedom) * depth)[:, None] * away
