"""The physics layer: garments and hair simulated over the skinned body.

Every vertex of a garment or hair has a pin weight: 1 keeps it on the skin (waistband, scalp), 0 lets
it fly. What the skin says is the goal, the body is the obstacle, XPBD does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from ..progress import Progress
from .binding import edges_of
from .cloth_kernels import point_normals, step_frame
from .fabrics import FABRICS, ClothSettings


def hinges_of(faces: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inner edges as hinges of four vertices, with the weights whose combination of positions is the bend.

    Bergou et al., "A Quadratic Bending Model for Inextensible Surfaces" (2006), eq. 5 and 6.

    Args:
        faces: (F,3) triangles.
        vertices: (V,3) bind pose, which gives the angles.

    Returns:
        (H,4) vertices: both ends of the edge, then the two opposite corners; and (H,4) float32 weights.
    """
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    opposite = np.concatenate([faces[:, 2], faces[:, 0], faces[:, 1]])
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    edges, opposite = edges[order], opposite[order]
    shared = np.flatnonzero((edges[1:] == edges[:-1]).all(1))
    hinges = np.stack([*edges[shared].T, opposite[shared], opposite[shared + 1]], axis=1)
    x0, x1, x2, x3 = (vertices[hinges[:, k]].astype(np.float64) for k in range(4))
    at0 = _cotangent(x1 - x0, x2 - x0), _cotangent(x1 - x0, x3 - x0)
    at1 = _cotangent(x0 - x1, x2 - x1), _cotangent(x0 - x1, x3 - x1)
    weights = np.stack([at1[0] + at1[1], at0[0] + at0[1], -at0[0] - at1[0], -at0[1] - at1[1]], axis=1)
    return hinges, weights.astype(np.float32)


def _cotangent(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cotangents of the angles between vectors (H,3); slivers are limited so that no hinge dominates."""
    return np.clip((a * b).sum(1) / np.maximum(np.linalg.norm(np.cross(a, b), axis=1), 1e-12), -4, 4)


def tethers(vertices: np.ndarray, edges: np.ndarray, pinned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each vertex the nearest pinned vertex along the mesh (-1: none) and that distance in metres."""
    n = len(vertices)
    if not pinned.any():
        return np.full(n, -1, np.int64), np.zeros(n, np.float32)
    lengths = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    graph = coo_array((lengths, (edges[:, 0], edges[:, 1])), shape=(n, n)).tocsr()
    reach, _, sources = dijkstra(
        graph, directed=False, indices=np.flatnonzero(pinned), return_predecessors=True, min_only=True
    )
    connected = np.isfinite(reach)
    return np.where(connected, sources, -1), np.where(connected, reach * 1.02, 0).astype(np.float32)


@dataclass(frozen=True)
class Obstacle:
    """What the cloth must not enter: points of a moving triangle mesh, (T,P,3) metres, faces (F,3)."""

    vertices: np.ndarray
    faces: np.ndarray


def simulate(
    skinned: np.ndarray,
    faces: np.ndarray,
    bind_vertices: np.ndarray,
    pin_weights: np.ndarray,
    obstacle: Obstacle | None,
    fps: float,
    settings: ClothSettings = FABRICS["cotton"],
    progress: Progress | None = None,
) -> np.ndarray:
    """Simulate one garment over a clip.

    Args:
        skinned: (T,P,3) positions the skeleton gives, world metres.
        faces: (F,3) triangles of the garment.
        bind_vertices: (P,3) bind pose, which gives the rest lengths.
        pin_weights: (P,) 1 on the skin .. 0 free.
        obstacle: the body, with as many frames; None for none.
        fps: scene frames a second.
        settings: fabric and solver.
        progress: advanced once a frame.

    Returns:
        (T,P,3) float32 world positions. Frames without any free vertex equal `skinned`.
    """
    edges = edges_of(faces)
    hinges, hinge_weights = hinges_of(faces, bind_vertices)
    pinned = pin_weights > 0.99
    inv_mass = np.where(pinned, 0, 1).astype(np.float32)
    hold = np.maximum(settings.hold * np.clip(pin_weights, 0, 1) ** 2, settings.shape).astype(np.float32)
    anchor, reach = tethers(bind_vertices, edges, pinned)
    edge_rest = np.linalg.norm(bind_vertices[edges[:, 0]] - bind_vertices[edges[:, 1]], axis=1).astype(np.float32)
    lead, velocity = _preroll(skinned, settings.preroll)
    x = (skinned[0] + lead[0]).astype(np.float32)
    v = np.broadcast_to(velocity * np.float32(fps), x.shape).astype(np.float32).copy()
    frames = np.empty(skinned.shape, np.float32)
    frames[0] = x
    for step in range(1, settings.preroll + len(skinned)):
        now, before = step - settings.preroll, step - settings.preroll - 1
        a, b = max(before, 0), max(now, 0)
        shift_a, shift_b = lead[min(step - 1, settings.preroll)], lead[min(step, settings.preroll)]
        body_from, body_to, normals, near = _surroundings(obstacle, x, a, b, shift_a, shift_b)
        step_frame(
            x, v, inv_mass, hold,
            (skinned[a] + shift_a).astype(np.float32), (skinned[b] + shift_b).astype(np.float32),
            edges, edge_rest, hinges, hinge_weights, anchor, reach, near, body_from, body_to, normals,
            1.0 / fps, settings.substeps, settings.stretch, settings.bend, settings.damping,
            settings.viscosity,
            settings.gravity, settings.thickness, settings.friction,
        )  # fmt: skip
        if now >= 0:
            frames[now] = x
            if progress:
                progress.advance()
    return frames


def _preroll(skinned: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (count+1,3) that bring the first pose in at its own mean velocity, and that velocity per frame."""
    velocity = (skinned[1] - skinned[0]).mean(0) if len(skinned) > 1 else np.zeros(3)
    remaining = np.arange(count, -1, -1)[:, None]
    return (-remaining * velocity).astype(np.float32), velocity.astype(np.float32)


def _surroundings(
    obstacle: Obstacle | None, x: np.ndarray, a: int, b: int, shift_a: np.ndarray, shift_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Body points at both ends of a frame, their normals, and the candidates nearest to each particle."""
    if obstacle is None:
        empty = np.zeros((0, 3), np.float32)
        return empty, empty, empty, np.zeros((len(x), 0), np.int64)
    body_from = (obstacle.vertices[a] + shift_a).astype(np.float32)
    body_to = (obstacle.vertices[b] + shift_b).astype(np.float32)
    near = cKDTree((body_from + body_to) / 2).query(x, k=min(12, len(body_from)))[1].reshape(len(x), -1)
    return body_from, body_to, point_normals(body_to, obstacle.faces), near


def simulate_character(
    skinned: np.ndarray,
    faces: np.ndarray,
    bind_vertices: np.ndarray,
    regions: np.ndarray,
    pin_weights: np.ndarray,
    fps: float,
    garment: ClothSettings = FABRICS["cotton"],
    hair: ClothSettings = FABRICS["hair"],
    progress: Progress | None = None,
) -> np.ndarray:
    """Let a whole character's garment, then its hair, swing over what lies beneath.

    Args:
        skinned: (T,V,3) all vertices as the skeleton gives them, world metres.
        faces: (F,3); bind_vertices: (V,3).
        regions: (V,) indices into `ani3dhuman.shot.REGIONS`.
        pin_weights: (V,) 1 on the skin .. 0 free; only read for garment and hair.
        fps: scene frames a second.
        garment, hair: fabrics.
        progress: total should be 2 * T.

    Returns:
        (T,V,3) float32; body and face are untouched.
    """
    moved = skinned.astype(np.float32).copy()
    face_region = regions[faces].max(axis=1)
    layers = ((3, garment, face_region < 2), (2, hair, face_region != 2))
    for region, fabric, beneath in layers:
        own = np.flatnonzero(regions == region)
        if len(own) == 0 or (pin_weights[own] > 0.99).all():
            continue
        index = np.full(len(regions), -1)
        index[own] = np.arange(len(own))
        own_faces = index[faces]
        own_faces = own_faces[(own_faces >= 0).all(1)]
        obstacle = _obstacle(moved, faces[beneath])
        moved[:, own] = simulate(
            skinned[:, own], own_faces, bind_vertices[own], pin_weights[own], obstacle, fps,
            fabric, progress,
        )  # fmt: skip
    return moved


def _obstacle(vertices: np.ndarray, faces: np.ndarray) -> Obstacle | None:
    if len(faces) == 0:
        return None
    used, compact = np.unique(faces, return_inverse=True)
    return Obstacle(vertices[:, used], compact.reshape(-1, 3))
