"""Control nodes: a few points that carry a cloud of Gaussians which has no mesh.

Nodes are spread evenly over the points. They move as particles of the cloth solver, joined to their neighbours; each
then fits the rotation of its neighbourhood, and every Gaussian follows the few nodes nearest to it. After Sumner,
Schmid, Pauly, "Embedded Deformation for Shape Manipulation" (2007), with rotations fitted as by Sorkine and Alexa,
"As-Rigid-As-Possible Surface Modeling" (2007), instead of solved for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from ..errors import Ani3DError
from .binding import matrix_to_quat
from .constraints import Constraints

NEIGHBOURS = 8  # nodes a node is joined to
CARRIERS = 4  # nodes that carry a Gaussian
DETOUR = 1.7  # how much longer than straight a way over the cloud may be for two nodes to count as neighbours
OPPOSITE = -0.8  # cosine of the angle at a node at which two of its neighbours lie on opposite sides


@dataclass(frozen=True)
class ControlNodes:
    """M nodes that carry N points.

    Attributes:
        rest: (M,3) node positions at rest, metres; indices: (M,) which points they are.
        edges: (E,2) neighbouring nodes.
        carriers: (N,K) nodes that carry each point; weights: (N,K), rows sum to 1.
        points: (N,3) the points at rest.
    """

    rest: np.ndarray
    indices: np.ndarray
    edges: np.ndarray
    carriers: np.ndarray
    weights: np.ndarray
    points: np.ndarray

    @classmethod
    def from_points(cls, points: np.ndarray, count: int = 800, neighbours: int = NEIGHBOURS) -> ControlNodes:
        """Spread nodes over points by farthest-point sampling.

        Args:
            points: (N,3) means of the Gaussians at rest, metres.
            count: nodes wanted, 256 to 2,000 for a garment; no more than there are different points.
            neighbours: nodes a node is joined to.

        Returns:
            The nodes.

        Raises:
            Ani3DError: ``nodes.points`` with fewer than 4 different points, or numbers that are not finite.
        """
        points = np.ascontiguousarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all() or count < 4:
            raise Ani3DError(
                "nodes.points",
                f"{count} control nodes for points of shape {points.shape} cannot be made.",
                "Give at least 4 nodes and finite points (N,3).",
            )
        indices = farthest_points(points, min(count, len(points)))
        if len(indices) < 4:
            raise Ani3DError(
                "nodes.points",
                f"Only {len(indices)} different points were given.",
                "Control nodes need at least 4 points in different places.",
            )
        rest = points[indices]
        edges = _neighbours(points, indices, neighbours)
        return cls(rest, indices, edges, *_carriers(points, rest, edges), points)

    def constraints(self, pin_weights: np.ndarray) -> Constraints:
        """Constraints for the cloth solver; pin_weights (M,) of the nodes."""
        return Constraints.of_graph(self.edges, *self._bends(), self.rest, pin_weights)

    def _bends(self) -> tuple[np.ndarray, np.ndarray]:
        """Where two neighbours lie on opposite sides of a node, the node belongs on the line between them.

        As hinges of the solver: (H,4) with weights; the fourth place repeats the node and weighs nothing.
        """
        a, b = np.concatenate([self.edges, self.edges[:, ::-1]]).T
        order = np.lexsort((b, a))
        a, b = a[order], b[order]
        starts = np.searchsorted(a, np.arange(len(self.rest) + 1))
        bends: list[tuple[int, int, int, int]] = []
        shares: list[float] = []
        for node in range(len(self.rest)):
            ring = b[starts[node] : starts[node + 1]]
            arms = self.rest[ring] - self.rest[node]
            lengths = np.maximum(np.linalg.norm(arms, axis=1), 1e-12)
            cosine = (arms @ arms.T) / lengths / lengths[:, None]
            for i, j in enumerate(cosine.argmin(1) if len(ring) else []):
                if cosine[i, j] < OPPOSITE and (i < j or cosine[j].argmin() != i):
                    bends.append((node, int(ring[i]), int(ring[j]), node))
                    shares.append(float(lengths[j] / (lengths[i] + lengths[j])))
        share = np.array(shares)
        weights = np.stack([-np.ones(len(share)), share, 1 - share, np.zeros(len(share))], 1)
        return np.array(bends, np.int64).reshape(-1, 4), weights.astype(np.float32)

    def rotations(self, nodes: np.ndarray, stiffness: float = 0.05) -> np.ndarray:
        """(M,3,3) rotation of each node's neighbourhood from rest to positions `nodes` (M,3).

        Weighted orthogonal Procrustes (Schoenemann 1966) over a node's edges, nearer ones weighing more. In a line of
        nodes the edges leave a turn open; `stiffness` adds what the node's neighbours say.
        """
        a, b = np.concatenate([self.edges, self.edges[:, ::-1]]).T
        before, after = self.rest[b] - self.rest[a], nodes[b].astype(np.float64) - nodes[a]
        covariance = np.zeros((len(self.rest), 3, 3))
        nearness = 1 / np.maximum((before**2).sum(1), 1e-18)
        np.add.at(covariance, a, nearness[:, None, None] * after[:, :, None] * before[:, None])
        covariance /= np.maximum(np.linalg.norm(covariance, axis=(1, 2), keepdims=True), 1e-18)
        rotations = _nearest_rotations(covariance)
        degree = np.maximum(np.bincount(a, minlength=len(self.rest)), 1)[:, None, None]
        mean = np.zeros_like(rotations)
        np.add.at(mean, a, rotations[b])
        return _nearest_rotations(covariance + stiffness * mean / degree)

    def deform(self, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Carry the points along.

        Args:
            nodes: (M,3) positions of the nodes, world metres.

        Returns:
            Means (N,3) float32, and the turns (N,4) float32 wxyz from rest: multiply them from the left to the
            Gaussians' quaternions (`binding.quat_multiply`).
        """
        rotations = self.rotations(nodes)
        quats = matrix_to_quat(torch.from_numpy(rotations)).numpy()
        means, turns = np.zeros(self.points.shape), np.zeros((len(self.points), 4))
        first = quats[self.carriers[:, 0]]
        for k in range(self.carriers.shape[1]):
            node, weight = self.carriers[:, k], self.weights[:, k, None]
            arm = self.points - self.rest[node]
            means += weight * (nodes[node] + np.einsum("nij,nj->ni", rotations[node], arm))
            same_side = np.where((quats[node] * first).sum(1, keepdims=True) < 0, -1.0, 1.0)
            turns += weight * same_side * quats[node]
        turns /= np.maximum(np.linalg.norm(turns, axis=1, keepdims=True), 1e-12)
        return means.astype(np.float32), turns.astype(np.float32)


@njit(cache=True)
def _farthest(points, count):  # type: ignore[no-untyped-def]
    chosen = np.empty(count, np.int64)
    away = np.full(points.shape[0], 1e30)
    middle = np.zeros(3)
    for k in range(3):
        middle[k] = points[:, k].mean()
    here, farthest = 0, -1.0
    for i in range(points.shape[0]):
        d = ((points[i] - middle) ** 2).sum()
        if d > farthest:
            here, farthest = i, d
    for c in range(count):
        chosen[c] = here
        following, farthest = 0, -1.0
        for i in range(points.shape[0]):
            dx, dy, dz = points[i, 0] - points[here, 0], points[i, 1] - points[here, 1], points[i, 2] - points[here, 2]
            away[i] = min(away[i], dx * dx + dy * dy + dz * dz)
            if away[i] > farthest:
                following, farthest = i, away[i]
        if farthest <= 0.0:
            return chosen[: c + 1]
        here = following
    return chosen


def farthest_points(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of up to `count` of points (N,3), each the farthest from those before; fewer where points coincide."""
    return _farthest(np.ascontiguousarray(points, np.float64), count)


def _near(nodes: np.ndarray, count: int, points: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    distance, index = cKDTree(nodes).query(nodes if points is None else points, k=count)
    return distance.reshape(-1, count), index.reshape(-1, count)


def _carriers(points: np.ndarray, rest: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (N,K) that carry each point and their weights (N,K): the nearest node and the nearest of its neighbours."""
    distance, index = _near(rest, min(3 * CARRIERS, len(rest)), points)
    joined = np.eye(len(rest), dtype=bool)
    joined[edges[:, 0], edges[:, 1]] = joined[edges[:, 1], edges[:, 0]] = True
    distance = np.where(joined[index[:, :1], index], distance, np.inf)
    order = np.argsort(distance, axis=1, kind="stable")[:, : CARRIERS + 1]
    distance, index = np.take_along_axis(distance, order, 1), np.take_along_axis(index, order, 1)
    # the last of them carries nothing, so that weights fade to 0 where another node takes over
    widest = np.where(np.isfinite(distance), distance, 0).max(1)
    cut = np.where(np.isfinite(distance[:, -1]), distance[:, -1], 1.5 * widest + 1e-9)[:, None]
    weights = np.where(np.isfinite(distance), 1 - np.minimum(distance / np.maximum(cut, 1e-12), 1), 0) ** 2
    weights[:, 0] += 1e-9
    weights = weights[:, : min(CARRIERS, len(rest) - 1)]
    return index[:, : weights.shape[1]], weights / weights.sum(1, keepdims=True)


def _neighbours(points: np.ndarray, indices: np.ndarray, count: int) -> np.ndarray:
    """Edges (E,2) from each node to its `count` nearest ones that the cloud joins by an about straight way.

    So none leads across the gap between two layers, a leg and the other, or a sleeve and the trunk.
    """
    spread = min(9, len(points))
    distance, index = _near(points, spread)
    rows = np.repeat(np.arange(len(points)), spread)
    graph = coo_array((distance.ravel() + 1e-9, (rows, index.ravel())), shape=(len(points), len(points))).tocsr()
    straight, near = _near(points[indices], min(2 * count + 1, len(indices)))
    limit = DETOUR * float(straight.max())
    pairs = []
    for start in range(0, len(indices), 64):  # in parts: the ways from all nodes to all points would fill memory
        some = np.arange(start, min(start + 64, len(indices)))
        ways = dijkstra(graph, directed=False, indices=indices[some], limit=limit)[:, indices]
        good = np.take_along_axis(ways, near[some], 1) <= DETOUR * straight[some]
        good[:, 0] = False  # the node itself
        good &= np.cumsum(good, axis=1) <= count
        pairs.append(np.stack([some[np.nonzero(good)[0]], near[some][good]], 1))
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)


def _nearest_rotations(matrices: np.ndarray) -> np.ndarray:
    """Proper rotations (M,3,3) nearest to matrices (M,3,3)."""
    U, _, Vt = np.linalg.svd(matrices)
    U[:, :, 2] *= np.where(np.linalg.det(U) * np.linalg.det(Vt) < 0, -1.0, 1.0)[:, None]
    return U @ Vt
