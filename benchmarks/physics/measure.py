"""What is measured of a simulated dress: stretch, how deep it lies in the body, how far the body comes out of it."""

from __future__ import annotations

import numpy as np

from ani3d_formats.regions import BODY, GARMENT
from ani3dhuman.cloth.constraints import PINNED
from ani3dhuman.mesh.kernels import point_normals
from ani3dhuman.mesh.surface import Obstacle
from ani3dhuman.mesh.topology import edges_of

from .scene import ARMS, COLUMNS, Dressed

SEEN = 0.001  # metres that the body must stand out of the cloth to count
NEAR = 0.015  # metres from the cloth within which the body counts: farther off it is seen past a fold, not through it


def edge_ratios(person: Dressed, vertices: np.ndarray) -> np.ndarray:
    """(T,E) lengths of the dress's edges over their lengths at rest, for vertices (T,V,3)."""
    edges = edges_of(person.faces[(person.regions[person.faces] == GARMENT).all(1)])
    rest = np.linalg.norm(person.vertices[edges[:, 0]] - person.vertices[edges[:, 1]], axis=1)
    return np.linalg.norm(vertices[:, edges[:, 0]] - vertices[:, edges[:, 1]], axis=2) / rest


def penetrations(person: Dressed, vertices: np.ndarray) -> np.ndarray:
    """(T,P) metres that each vertex of the dress lies under the body's surface, 0 outside."""
    body = Obstacle.of_faces(vertices, person.faces[(person.regions[person.faces] == BODY).all(1)])
    assert body is not None
    dress = vertices[:, person.regions == GARMENT]
    return np.stack([np.maximum(-body.at(t).heights(points)[0], 0) for t, points in enumerate(dress)])


def poke_share(person: Dressed, vertices: np.ndarray) -> float:
    """Share of the body's vertices under free cloth (trunk and legs) that stand out of it by more than a millimetre.

    Near the lower rim a point has no side: the two lowest rings are left out. So is what lies under pinned cloth, whose
    place is the skeleton's, and what looks at the outer side of a fold (a thigh beside the cloth between the legs).
    """
    own = np.flatnonzero(person.regions == GARMENT)
    dress = Obstacle.of_faces(vertices, person.faces[(person.regions[person.faces] == GARMENT).all(1)])
    assert dress is not None
    body_faces = person.faces[(person.regions[person.faces] == BODY).all(1)]
    arms = np.array([name.split(".")[0] in ARMS for name in person.bone_names])[person.weight_indices[:, 0]]
    beneath = np.flatnonzero((person.regions == BODY) & ~arms)
    out = total = 0
    for t, points in enumerate(vertices[:, beneath]):
        surface = dress.at(t)
        nearest, heights = surface.tree.query(points)[1], surface.heights(points)[0]
        cloth_normals = surface.normals[nearest]
        along = (point_normals(vertices[t], body_faces)[beneath] * cloth_normals).sum(1)
        inner = (
            (person.pins[own][nearest] < PINNED)
            & (nearest < len(own) - 2 * COLUMNS)
            & (np.abs(heights) < NEAR)
            & (along > 0)
        )
        out += int((heights[inner] > SEEN).sum())
        total += int(inner.sum())
    return out / total


def figures(person: Dressed, vertices: np.ndarray) -> dict[str, float]:
    """Flat figures of one simulation (T,V,3)."""
    ratios, depths = edge_ratios(person, vertices), 1000 * penetrations(person, vertices)
    free = person.pins[person.regions == GARMENT] < PINNED
    return {
        "edge_p99": float(np.percentile(ratios, 99)),
        "edge_p99_worst_frame": float(np.percentile(ratios, 99, axis=1).max()),
        "edge_max": float(ratios.max()),
        "penetration_p99_mm": float(np.percentile(depths, 99)),
        "penetration_free_p999_mm": float(np.percentile(depths[:, free], 99.9)),
        "penetration_free_max_mm": float(depths[:, free].max()),
        "poke_percent": 100 * poke_share(person, vertices),
    }
