"""How near cloth meshes are to the truth, and whether they could be cloth: error, motion, folds, stretch, penetration.

Vertices are (T,V,3) metres in the world. `free` (V,) bool chooses the vertices that may leave the body; rigid vertices
are those of the skeleton alone. A ratio to a truth that does not move or has no folds is NaN.
"""

from __future__ import annotations

import numpy as np

from ..cloth.constraints import hinges_of
from ..mesh.signed_distance import signed_distances
from ..mesh.topology import edges_of
from .pictures import ratio

STILL = 1e-6  # metres; motion below this is none
TOUCHING = 1e-3  # metres; cloth this deep in the body counts as inside


def node_errors(vertices: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distance (T,V) of every vertex from its true place, metres."""
    return np.linalg.norm(vertices - truth, axis=-1)


def mean_error(errors: np.ndarray, chosen: np.ndarray) -> float:
    """Mean of errors (T,V) over the chosen ones (T,V) or (V,) bool; NaN where there are none."""
    chosen = np.broadcast_to(chosen, errors.shape)
    return float(errors.mean(where=chosen, dtype=np.float64)) if chosen.any() else float("nan")


def acceleration_energy(vertices: np.ndarray, rigid: np.ndarray, free: np.ndarray) -> float:
    """Mean square, m2, of the second difference in time of what free vertices do beyond the rigid layer."""
    offset = vertices[:, free].astype(np.float64) - rigid[:, free]
    return float((np.diff(offset, n=2, axis=0) ** 2).sum(-1).mean()) if len(offset) > 2 and free.any() else float("nan")


def acceleration_ratio(vertices: np.ndarray, truth: np.ndarray, rigid: np.ndarray, free: np.ndarray) -> float:
    """`acceleration_energy` relative to the truth's: above 1 jerks, below is sluggish; twice the motion gives 4."""
    return ratio(acceleration_energy(vertices, rigid, free), acceleration_energy(truth, rigid, free), STILL**2)


def amplitude(vertices: np.ndarray, rigid: np.ndarray, free: np.ndarray) -> float:
    """Metres, RMS over frames and free vertices, by which the offset from the rigid layer leaves its mean over time."""
    offset = vertices[:, free].astype(np.float64) - rigid[:, free]
    return float(np.sqrt(((offset - offset.mean(0)) ** 2).sum(-1).mean())) if free.any() else float("nan")


def amplitude_ratio(vertices: np.ndarray, truth: np.ndarray, rigid: np.ndarray, free: np.ndarray) -> float:
    """`amplitude` relative to the truth's: below 1 the cloth swings too little."""
    return ratio(amplitude(vertices, rigid, free), amplitude(truth, rigid, free), STILL)


def bend_angles(vertices: np.ndarray, hinges: np.ndarray) -> np.ndarray:
    """Signed angles (...,H) between the two triangles of each hinge (H,4), radians; 0 is flat."""
    x0, x1, x2, x3 = (vertices[..., hinges[:, k], :].astype(np.float64) for k in range(4))
    edge = x1 - x0
    m, n = np.cross(edge, x2 - x0), np.cross(x3 - x0, edge)
    along = (np.cross(m, n) * edge).sum(-1) / np.maximum(np.linalg.norm(edge, axis=-1), 1e-12)
    return np.arctan2(along, (m * n).sum(-1))


def fold_energy(vertices: np.ndarray, faces: np.ndarray, bind: np.ndarray, free: np.ndarray) -> float:
    """Bending energy of free cloth, averaged over frames; no unit.

    Sum over hinges of 3 length^2 / area x (angle - bind angle)^2, with length and area (of both triangles) at bind
    pose: Grinspun et al., "Discrete Shells" (2003), eq. 1 in the form of Tamstorf and Grinspun (2013).
    """
    hinges, _ = hinges_of(faces, bind)
    hinges = hinges[free[hinges].all(1)]
    if len(hinges) == 0:
        return float("nan")
    x0, x1, x2, x3 = (bind[hinges[:, k]].astype(np.float64) for k in range(4))
    area = np.linalg.norm(np.cross(x1 - x0, x2 - x0), axis=1) + np.linalg.norm(np.cross(x1 - x0, x3 - x0), axis=1)
    stiffness = 3 * ((x1 - x0) ** 2).sum(1) / np.maximum(area / 2, 1e-12)
    rest = bend_angles(bind, hinges)
    energies = []
    for frame in vertices:
        turned = np.mod(bend_angles(frame, hinges) - rest + np.pi, 2 * np.pi) - np.pi
        energies.append((stiffness * turned**2).sum())
    return float(np.mean(energies))


def fold_ratio(vertices: np.ndarray, truth: np.ndarray, faces: np.ndarray, bind: np.ndarray, free: np.ndarray) -> float:
    """`fold_energy` relative to the truth's: below 1 too smooth, above creased or noisy."""
    return ratio(fold_energy(vertices, faces, bind, free), fold_energy(truth, faces, bind, free), 1e-9)


def edge_stretch(
    vertices: np.ndarray, faces: np.ndarray, bind: np.ndarray, free: np.ndarray, percentile: float = 99
) -> float:
    """Percentile over frames and edges between free vertices of length / length at bind pose; 1 is unstretched."""
    edges = edges_of(faces)
    edges = edges[free[edges].all(1)]
    if len(edges) == 0:
        return float("nan")
    rest = np.linalg.norm(bind[edges[:, 0]] - bind[edges[:, 1]], axis=1)
    length = np.linalg.norm(vertices[:, edges[:, 0]] - vertices[:, edges[:, 1]], axis=2)
    return float(np.percentile(length / np.maximum(rest, 1e-9), percentile))


def penetration(
    vertices: np.ndarray, cloth: np.ndarray, body: np.ndarray, body_faces: np.ndarray, percentile: float = 99
) -> tuple[float, float]:
    """How deep cloth lies inside the body.

    Args:
        vertices: (T,V,3) metres.
        cloth: (V,) bool, the vertices to judge.
        body: (T,V,3) metres, the body's mesh; only vertices of `body_faces` are read.
        body_faces: (F,3), normals outwards.
        percentile: over cloth vertices and frames together.

    Returns:
        Depth in millimetres at the percentile (outside counts as 0), and the share of vertices deeper than 1 mm. NaN
        where there is no cloth or no body.
    """
    if not cloth.any() or len(body_faces) == 0:
        return float("nan"), float("nan")
    depth = np.maximum(-signed_distances(vertices[:, cloth], body, body_faces), 0)
    return float(1000 * np.percentile(depth, percentile)), float((depth > TOUCHING).mean())
