"""Moving meshes as a few rigid bones with smooth weights (skinning decomposition, after Le and Deng 2012)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

INFLUENCES, CANDIDATES = 4, 5
ROUNDS = 6


@dataclass(frozen=True)
class Skinned:
    """Bones that move a mesh of V vertices at rest through T frames.

    Attributes:
        transforms: (T,B,4,4) float64 rigid, from rest to each frame.
        indices, weights: (V,4) of each vertex; rows sum to 1.
        rms, worst: metres between the mesh and what the bones make of it.
    """

    transforms: np.ndarray
    indices: np.ndarray
    weights: np.ndarray
    rms: float
    worst: float


def decompose(
    rest: np.ndarray, points: np.ndarray, bones: int, each_round: Callable[[], None] | None = None
) -> Skinned:
    """Find `bones` rigid bones whose weighted sum follows `points` (T,V,3) best from `rest` (V,3); four a vertex.

    Args:
        each_round: called after each of `ROUNDS` rounds; it may raise to stop.
    """
    rest, points = rest.astype(np.float64), points.astype(np.float64)
    owner = _clusters(rest, points, bones)
    count = int(owner.max()) + 1
    transforms = np.stack([_rigid(rest[owner == b], points[:, owner == b]) for b in range(count)], axis=1)
    indices = weights = np.zeros((0, 0))
    for _ in range(ROUNDS):
        indices, weights = _weights(rest, points, transforms)
        transforms = _refined(rest, points, transforms, indices, weights)
        if each_round:
            each_round()
    indices, weights = _weights(rest, points, transforms)
    away = np.linalg.norm(_carried(rest, transforms, indices, weights) - points, axis=2)
    return Skinned(transforms, indices, weights, float(np.sqrt(np.mean(away**2))), float(away.max()))


def _carried(rest: np.ndarray, transforms: np.ndarray, indices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(T,V,3) what bones and weights make of the rest pose."""
    moved = np.zeros((len(transforms), len(rest), 3))
    for k in range(indices.shape[1]):
        chosen = transforms[:, indices[:, k]]
        placed = np.einsum("tvij,vj->tvi", chosen[..., :3, :3], rest) + chosen[..., :3, 3]
        moved += weights[None, :, k, None] * placed
    return moved


def _rigid(rest: np.ndarray, points: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(T,4,4) that bring `rest` (N,3) nearest to `points` (T,N,3), each point counted by its weight (N,)."""
    share = np.full(len(rest), 1 / len(rest)) if weights is None else weights / weights.sum()
    middle, middles = share @ rest, np.einsum("n,tni->ti", share, points)
    covariance = np.einsum("n,tni,nj->tij", share, points - middles[:, None], rest - middle)
    U, _, Vt = np.linalg.svd(covariance)
    U[:, :, 2] *= np.sign(np.linalg.det(U @ Vt))[:, None]
    found = np.tile(np.eye(4), (len(points), 1, 1))
    found[:, :3, :3] = U @ Vt
    found[:, :3, 3] = middles - found[:, :3, :3] @ middle
    return found


def _missed(rest: np.ndarray, points: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """(V,) sum of squares between one bone's motion (T,4,4) and the mesh's."""
    placed = np.einsum("tij,vj->tvi", transform[:, :3, :3], rest) + transform[:, None, :3, 3]
    return ((placed - points) ** 2).sum((0, 2))


def _clusters(rest: np.ndarray, points: np.ndarray, bones: int) -> np.ndarray:
    """(V,) which bone each vertex starts with: the worst cluster is split until there are enough."""
    owner = np.zeros(len(rest), np.int64)
    for _ in range(min(bones, max(len(rest) // 4, 1)) - 1):
        parts = [np.flatnonzero(owner == b) for b in range(owner.max() + 1)]
        misses = [_missed(rest[own], points[:, own], _rigid(rest[own], points[:, own])) for own in parts]
        worst = int(np.argmax([miss.sum() for miss in misses]))
        own, miss = parts[worst], misses[worst]
        if len(own) < 8 or miss.sum() < 1e-12:
            break
        seed = own[miss.argmax()]
        # the half nearer to the vertex that is missed most, at rest and in motion
        path = np.concatenate([rest[own][None], points[:, own]])
        apart = ((path - path[:, own == seed]) ** 2).sum((0, 2))
        owner[own[apart < np.median(apart)]] = owner.max() + 1
        for _ in range(2):
            costs = [
                _missed(rest, points, _rigid(rest[owner == b], points[:, owner == b])) for b in range(owner.max() + 1)
            ]
            owner = np.unique(np.argmin(costs, axis=0), return_inverse=True)[1].reshape(-1)
    return owner


def _weights(rest: np.ndarray, points: np.ndarray, transforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best at most four of each vertex's nearest bones, and their weights: least squares, none below zero."""
    costs = np.stack([_missed(rest, points, transforms[:, b]) for b in range(transforms.shape[1])], axis=1)
    near = np.argsort(costs, axis=1, kind="stable")[:, : min(CANDIDATES, costs.shape[1])]
    columns = []
    for k in range(near.shape[1]):
        chosen = transforms[:, near[:, k]]
        placed = np.einsum("tvij,vj->vti", chosen[..., :3, :3], rest) + chosen[..., :3, 3].transpose(1, 0, 2)
        columns.append((placed - points.transpose(1, 0, 2)).reshape(len(rest), -1))
    A = np.stack(columns, axis=2)  # misses of the candidates; with weights that sum to 1 their mixture is to vanish
    gram = np.einsum("vnk,vnl->vkl", A, A)
    best = np.full(len(rest), np.inf)
    found = np.zeros((len(rest), near.shape[1]))
    for size in range(1, min(INFLUENCES, near.shape[1]) + 1):
        for subset in combinations(range(near.shape[1]), size):
            own = gram[:, subset][:, :, subset]
            ridge = 1e-9 * np.trace(own, axis1=1, axis2=2)[:, None, None] * np.eye(size) + 1e-18 * np.eye(size)
            solved = np.linalg.solve(own + ridge, np.ones((len(rest), size, 1)))[..., 0]
            mixed = solved / solved.sum(1, keepdims=True)
            cost = np.einsum("vk,vkl,vl->v", mixed, own, mixed)
            better = (mixed >= 0).all(1) & (cost < best * (1 - 1e-9) - 1e-15)
            best[better] = cost[better]
            found[better] = 0
            rows = np.flatnonzero(better)
            found[rows[:, None], subset] = mixed[better]
    order = np.argsort(-found, axis=1, kind="stable")[:, :INFLUENCES]
    weights = np.take_along_axis(found, order, 1)
    return np.take_along_axis(near, order, 1), weights / weights.sum(1, keepdims=True)


def _refined(
    rest: np.ndarray, points: np.ndarray, transforms: np.ndarray, indices: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Each bone moved to where the others leave it least to do."""
    moved = transforms.copy()
    total = _carried(rest, moved, indices, weights)
    for b in range(moved.shape[1]):
        share = np.where(indices == b, weights, 0).sum(1)
        own = np.flatnonzero(share > 1e-3)
        if len(own) < 3:
            continue
        part = np.einsum("tij,vj->tvi", moved[:, b, :3, :3], rest[own]) + moved[:, b, None, :3, 3]
        wanted = part + (points[:, own] - total[:, own]) / share[own, None]
        moved[:, b] = _rigid(rest[own], wanted, share[own] ** 2)
        after = np.einsum("tij,vj->tvi", moved[:, b, :3, :3], rest[own]) + moved[:, b, None, :3, 3]
        total[:, own] += share[own, None] * (after - part)
    return moved
