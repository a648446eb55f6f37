"""Moving meshes as a few rigid bones with smooth weights (skinning decomposition, after Le and Deng 2012)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

INFLUENCES, CANDIDATES = 4, 5
ROUNDS = 6
NOTHING = 1e-12  # square metres that a vertex is missed by, summed over frames: it is followed
CHUNK = 2000  # vertices whose candidates' paths are in memory at a time


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
    middle = rest.mean(0, dtype=np.float64)  # near the origin sums of squares keep their digits
    mesh = _Mesh.of(rest - middle, points - middle)
    owner = _clusters(mesh, bones)
    transforms = _rigid_parts(mesh, owner)
    indices = weights = np.zeros((0, 0))
    for _ in range(ROUNDS):
        indices, weights = _weights(mesh, transforms)
        transforms = _refined(mesh, transforms, indices, weights)
        if each_round:
            each_round()
    indices, weights = _weights(mesh, transforms)
    away = np.linalg.norm((_carried(mesh, transforms, indices, weights) - mesh.paths).reshape(-1, 3), axis=1)
    moved = transforms.copy()
    moved[..., :3, 3] += middle - transforms[..., :3, :3] @ middle
    return Skinned(moved, indices, weights, float(np.sqrt(np.mean(away**2))), float(away.max()))


@dataclass(frozen=True)
class _Mesh:
    """V vertices: `rest` (V,4) homogeneous, `paths` (V,3T) through the frames, `squares` (V,) of those, summed.

    A bone (T,4,4) is a matrix (4,3T) that makes paths of places at rest, so that all of a mesh under all bones is one
    product of matrices.
    """

    rest: np.ndarray
    paths: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, rest: np.ndarray, points: np.ndarray) -> _Mesh:
        paths = np.ascontiguousarray(points.transpose(1, 0, 2), np.float64).reshape(len(rest), -1)
        return cls(np.c_[rest, np.ones(len(rest))].astype(np.float64), paths, np.einsum("vn,vn->v", paths, paths))


def _stacked(transforms: np.ndarray) -> np.ndarray:
    """(B,4,3T) matrices of bones (T,B,4,4)."""
    return np.ascontiguousarray(transforms[:, :, :3].transpose(1, 3, 0, 2)).reshape(transforms.shape[1], 4, -1)


def _carried(mesh: _Mesh, transforms: np.ndarray, indices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(V,3T) what bones and weights make of the rest pose."""
    moved = np.zeros_like(mesh.paths)
    for b, bone in enumerate(_stacked(transforms)):
        share = np.where(indices == b, weights, 0).sum(1)
        own = np.flatnonzero(share)
        moved[own] += (share[own, None] * mesh.rest[own]) @ bone
    return moved


def _rigid(rest: np.ndarray, paths: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """(T,4,4) that bring `rest` (N,3) nearest to `paths` (N,3T), each point counted by its weight (N,)."""
    share = np.full(len(rest), 1 / len(rest)) if weights is None else weights / weights.sum()
    middle, middles = share @ rest, (share @ paths).reshape(-1, 3)
    covariance = (paths.T @ (share[:, None] * (rest - middle))).reshape(-1, 3, 3)
    U, _, Vt = np.linalg.svd(covariance)
    U[:, :, 2] *= np.sign(np.linalg.det(U @ Vt))[:, None]
    found = np.tile(np.eye(4), (len(middles), 1, 1))
    found[:, :3, :3] = U @ Vt
    found[:, :3, 3] = middles - found[:, :3, :3] @ middle
    return found


def _rigid_parts(mesh: _Mesh, owner: np.ndarray) -> np.ndarray:
    """(T,B,4,4) one bone for each number in `owner` (V,)."""
    parts = (owner == b for b in range(int(owner.max()) + 1))
    return np.stack([_rigid(mesh.rest[own, :3], mesh.paths[own]) for own in parts], axis=1)


def _missed(mesh: _Mesh, bones: np.ndarray) -> np.ndarray:
    """(V,B) sums of squares between each bone's motion, (B,4,3T), and the mesh's."""
    count = len(bones)
    against = (mesh.paths @ bones.reshape(4 * count, -1).T).reshape(-1, count, 4)
    inner = bones @ bones.transpose(0, 2, 1)
    own = np.einsum("bij,vi,vj->vb", inner, mesh.rest, mesh.rest, optimize=True)
    return np.asarray(own - 2 * np.einsum("vbi,vi->vb", against, mesh.rest) + mesh.squares[:, None])


def _clusters(mesh: _Mesh, bones: int) -> np.ndarray:
    """(V,) which bone each vertex starts with: the worst cluster is split until there are enough."""
    count = len(mesh.rest)
    owner = np.zeros(count, np.int64)
    for _ in range(min(bones, max(count // 4, 1)) - 1):
        misses = _missed(mesh, _stacked(_rigid_parts(mesh, owner)))[np.arange(count), owner]
        worst = int(np.argmax(np.bincount(owner, misses)))
        own = np.flatnonzero(owner == worst)
        miss = misses[own]
        if len(own) < 8 or miss.sum() < NOTHING * len(own):
            break
        seed = own[miss.argmax()]
        # the half nearer to the vertex that is missed most, at rest and in motion
        apart = ((mesh.rest[own] - mesh.rest[seed]) ** 2).sum(1) + ((mesh.paths[own] - mesh.paths[seed]) ** 2).sum(1)
        owner[own[apart < np.median(apart)]] = owner.max() + 1
        for _ in range(2):
            costs = _missed(mesh, _stacked(_rigid_parts(mesh, owner)))
            owner = np.unique(np.argmin(costs, axis=1), return_inverse=True)[1].reshape(-1)
    return owner


def _weights(mesh: _Mesh, transforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best at most four of each vertex's nearest bones, and their weights: least squares, none below zero."""
    stacked = _stacked(transforms)
    near = np.argsort(_missed(mesh, stacked), axis=1, kind="stable")[:, :CANDIDATES]
    # what each candidate misses; with weights that sum to 1 their mixture is to vanish
    gram = _gram(mesh, stacked, near)
    best = np.full(len(near), np.inf)
    found = np.zeros(near.shape)
    for size in range(1, min(INFLUENCES, near.shape[1]) + 1):
        for subset in combinations(range(near.shape[1]), size):
            own = gram[:, subset][:, :, subset]
            ridge = 1e-9 * np.trace(own, axis1=1, axis2=2)[:, None, None] * np.eye(size) + 1e-18 * np.eye(size)
            solved = np.linalg.solve(own + ridge, np.ones((len(near), size, 1)))[..., 0]
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


def _gram(mesh: _Mesh, stacked: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(V,K,K) inner products of what each vertex's bones `near` (V,K) miss of its path."""
    found = np.empty((len(near), near.shape[1], near.shape[1]))
    for start in range(0, len(near), CHUNK):
        rows = slice(start, start + CHUNK)
        # grouped by bone the candidates' paths are products of matrices
        missed = np.empty((len(near[rows]), near.shape[1], mesh.paths.shape[1]))
        for b, bone in enumerate(stacked):
            vertex, place = np.nonzero(near[rows] == b)
            missed[vertex, place] = mesh.rest[rows][vertex] @ bone - mesh.paths[rows][vertex]
        found[rows] = missed @ missed.transpose(0, 2, 1)
    return found


def _refined(mesh: _Mesh, transforms: np.ndarray, indices: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Each bone moved to where the others leave it least to do."""
    moved = transforms.copy()
    total = _carried(mesh, moved, indices, weights)
    for b in range(moved.shape[1]):
        share = np.where(indices == b, weights, 0).sum(1)
        own = np.flatnonzero(share > 1e-3)
        if len(own) < 3:
            continue
        part = mesh.rest[own] @ _stacked(moved[:, b : b + 1])[0]
        wanted = part + (mesh.paths[own] - total[own]) / share[own, None]
        moved[:, b] = _rigid(mesh.rest[own, :3], wanted, share[own] ** 2)
        after = mesh.rest[own] @ _stacked(moved[:, b : b + 1])[0]
        total[own] += share[own, None] * (after - part)
    return moved
