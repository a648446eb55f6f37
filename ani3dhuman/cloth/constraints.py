"""What keeps a piece of cloth together: edges, hinges and tethers, found once from its rest shape."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, dijkstra

from ..mesh.topology import edges_of
from .material import Material, sheet, thread

PINNED = 0.99  # pin weight above which a vertex sits on the skin
STEEPEST = 4.0  # the largest cotangent in a hinge's weights
SMALL_PART = 0.05  # share of the vertices below which a loose island is taken for a button, not a garment
NO_JOINTS = np.zeros((0, 3), np.int64)
NO_FACES = np.zeros((0, 3), np.int64)


@dataclass(frozen=True)
class Constraints:
    """Constraints of P particles.

    Attributes:
        edges: (E,2) pairs that keep their distance `edge_rest` (E,), metres.
        hinges: (H,4) particles whose combination with `hinge_weights` (H,4) is the bend, zero when flat.
        joints: (S,3) neighbours along strands, from each root to its tip, which keep their bend.
        anchor: (P,) the pinned particle a particle hangs from, -1 for none, no further than `reach` (P,) metres.
        pinned: (P,) bool, particles that follow the skin.
        faces: (F,3) triangles; none where the particles are strands.
        material: what a fabric's numbers mean here.
    """

    edges: np.ndarray
    edge_rest: np.ndarray
    hinges: np.ndarray
    hinge_weights: np.ndarray
    joints: np.ndarray
    anchor: np.ndarray
    reach: np.ndarray
    pinned: np.ndarray
    faces: np.ndarray
    material: Material

    @classmethod
    def of_mesh(cls, faces: np.ndarray, rest: np.ndarray, pin_weights: np.ndarray) -> Constraints:
        """Constraints of a triangle mesh: faces (F,3), rest shape (P,3), pin weights (P,) 0..1.

        Faces that name a vertex twice are left out.
        """
        faces = sound_faces(faces)
        edges, hinges = edges_of(faces), hinges_of(faces, rest)
        material = sheet(faces, rest, edges, hinges, pin_weights > PINNED)
        graph = cls._of_graph(edges, *hinges, NO_JOINTS, rest, pin_weights, material)
        return replace(graph, faces=faces)

    @classmethod
    def of_strands(
        cls, edges: np.ndarray, joints: np.ndarray, rest: np.ndarray, pin_weights: np.ndarray
    ) -> Constraints:
        """Constraints of strands: edges (E,2), joints (S,3) from each root to its tip, rest (P,3), pins (P,)."""
        hinges, weights = np.zeros((0, 4), np.int64), np.zeros((0, 4), np.float32)
        return cls._of_graph(edges, hinges, weights, joints, rest, pin_weights, thread(edges, joints, rest))

    @classmethod
    def _of_graph(
        cls,
        edges: np.ndarray,
        hinges: np.ndarray,
        hinge_weights: np.ndarray,
        joints: np.ndarray,
        rest: np.ndarray,
        pin_weights: np.ndarray,
        material: Material,
    ) -> Constraints:
        """Small islands without a pinned vertex (buttons, loose points) follow the skin, or they would fall down."""
        pinned = (pin_weights > PINNED) | small_loose_parts(edges, pin_weights > PINNED)
        lengths = np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)
        bending = hinges, hinge_weights, joints
        return cls(
            edges, lengths.astype(np.float32), *bending, *tethers(rest, edges, pinned), pinned, NO_FACES, material
        )

    def that_move(self) -> Constraints:
        """The same without edges and hinges of pinned particles alone."""
        edge, hinge = (np.flatnonzero(~self.pinned[rows].all(1)) for rows in (self.edges, self.hinges))
        return self.in_order(edge, hinge, np.arange(len(self.joints)))

    def in_order(self, edge: np.ndarray, hinge: np.ndarray, joint: np.ndarray) -> Constraints:
        """The same with these of its edges, hinges and joints, in this order."""
        m = self.material
        return replace(
            self,
            edges=self.edges[edge],
            edge_rest=self.edge_rest[edge],
            hinges=self.hinges[hinge],
            hinge_weights=self.hinge_weights[hinge],
            joints=self.joints[joint],
            material=m._replace(
                stretch=m.stretch[edge],
                bend=m.bend[hinge],
                even=m.even[hinge],
                spacing=m.spacing[hinge],
                joints=m.joints[joint],
            ),
        )

    def islands(self) -> np.ndarray:
        """(P,) the number of each particle's connected piece."""
        return islands(self.edges, len(self.pinned))


def sound_faces(faces: np.ndarray) -> np.ndarray:
    """Those of faces (F,3) that name three different vertices."""
    faces = faces.astype(np.int64)
    return faces[(faces != np.roll(faces, 1, axis=1)).all(1)]


def islands(edges: np.ndarray, count: int) -> np.ndarray:
    """(count,) the number of the connected piece that each vertex belongs to, by edges (E,2)."""
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    return np.asarray(connected_components(graph, False)[1])


def small_loose_parts(edges: np.ndarray, pinned: np.ndarray) -> np.ndarray:
    """(P,) True in islands of the graph without any pinned vertex that hold less than `SMALL_PART` of all vertices."""
    n = len(pinned)
    island = islands(edges, n)
    small = np.bincount(island) < max(2, SMALL_PART * n)
    return (small & (np.bincount(island, pinned) == 0))[island]


def hinges_of(faces: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inner edges as hinges of four vertices, with the weights whose combination of positions is the bend.

    Bergou et al., "A Quadratic Bending Model for Inextensible Surfaces" (2006), eq. 5 and 6.

    Args:
        faces: (F,3) triangles.
        vertices: (V,3) bind pose, which gives the angles.

    Returns:
        (H,4) vertices: both ends of the edge, then the two opposite corners; and (H,4) float32 weights, smaller where
        a sliver would dominate.
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
    weights /= np.maximum(1, np.abs([*at0, *at1]).max(0) / STEEPEST)[:, None]
    return hinges, weights.astype(np.float32)


def _cotangent(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cotangents of the angles between vectors (H,3)."""
    return np.asarray((a * b).sum(1) / np.maximum(np.linalg.norm(np.cross(a, b), axis=1), 1e-12))


def tethers(vertices: np.ndarray, edges: np.ndarray, pinned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each vertex the nearest pinned vertex along the mesh (-1: none) and that distance in metres."""
    n = len(vertices)
    if not pinned.any():
        return np.full(n, -1, np.int64), np.zeros(n, np.float32)
    lengths = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    graph = coo_array((np.maximum(lengths, 1e-9), (edges[:, 0], edges[:, 1])), shape=(n, n)).tocsr()
    reach, _, sources = dijkstra(
        graph, directed=False, indices=np.flatnonzero(pinned), return_predecessors=True, min_only=True
    )
    connected = np.isfinite(reach)
    return np.where(connected, sources, -1), np.where(connected, reach * 1.02, 0).astype(np.float32)
