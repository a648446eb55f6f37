"""A result's Gaussians on the bones of a baked character: each goes with one of the vertices that it is nearest to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from ani3d_formats.frames import FrameCache
from ani3d_formats.skinning import blended_transforms, skin

from ..gltf.export_character import Bones, RiggedMesh, strongest
from ..splats.splats import Splats

INFLUENCES = 4  # of each Gaussian
CANDIDATES = 6  # vertices of each mesh, of which the one counts that moves most like the Gaussian
TRIED = 12  # frames that this is judged by


@dataclass(frozen=True)
class RiggedSplats:
    """Gaussians in bind pose, Z up, with `joints` (N,4) and `weights` (N,4); metres to the result, rms and at most."""

    splats: Splats
    joints: np.ndarray
    weights: np.ndarray
    rms: float
    worst: float


def rigged_splats(
    cache: FrameCache, frames: range, meshes: Sequence[RiggedMesh], bones: Bones, apart: np.ndarray
) -> RiggedSplats:
    """Bring the Gaussians of the first frame into bind pose.

    Args:
        meshes: as they are written, in bind pose; bones: whose pose begins at the first of `frames`.
        apart: (3,) metres from the result's origin to the meshes'.
    """
    splats = Splats.of_frame(cache.frame(frames[0]))
    splats = replace(splats, means=splats.means - apart)
    transforms = bones.pose @ np.linalg.inv(bones.rest)
    parts = [_strongest(mesh) for mesh in meshes]
    posed = [
        skin(mesh.vertices, *part, transforms[:1])[0].astype(np.float64)
        for mesh, part in zip(meshes, parts, strict=True)
    ]
    tried = np.unique(np.linspace(0, len(frames) - 1, TRIED).astype(int))
    paths = np.stack([cache.frame(frames[t])["position"] - apart for t in tried])
    best = np.full(splats.count, np.inf)
    joints, weights = np.zeros((splats.count, INFLUENCES), np.int64), np.zeros((splats.count, INFLUENCES), np.float32)
    for points, (own_joints, own_weights) in zip(posed, parts, strict=True):
        near = cKDTree(points).query(splats.means, k=min(CANDIDATES, len(points)), workers=-1)[1]
        for rows in near.reshape(splats.count, -1).T:
            given = own_joints[rows], own_weights[rows]
            shown = skin(_unmoved(splats.means, *given, transforms[0])[0], *given, transforms[tried])
            cost = ((shown - paths) ** 2).sum((0, 2))
            better = cost < best
            best[better], joints[better], weights[better] = cost[better], given[0][better], given[1][better]
    means, back = _unmoved(splats.means, joints, weights, transforms[0])
    U, _, Vt = np.linalg.svd(back)
    U[:, :, 2] *= np.sign(np.linalg.det(U @ Vt))[:, None]
    at_rest = replace(splats.turned_each(U @ Vt), means=means)
    squares, worst = 0.0, 0.0
    for frame, now in zip(frames, transforms, strict=True):
        shown = skin(means, joints, weights, now[None])[0]
        away = np.linalg.norm(shown - (cache.frame(frame)["position"] - apart), axis=1)
        squares, worst = squares + float(np.mean(away**2)), max(worst, float(away.max()))
    return RiggedSplats(at_rest, joints, weights, float(np.sqrt(squares / len(frames))), worst)


def _unmoved(
    means: np.ndarray, joints: np.ndarray, weights: np.ndarray, transforms: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where skinning by `transforms` (B,4,4) has brought `means` (N,3) from, and the matrices (N,3,3) back."""
    moved = blended_transforms(joints, weights, transforms).astype(np.float64)
    back = np.linalg.pinv(moved[:, :, :3])
    return np.einsum("nij,nj->ni", back, means - moved[:, :, 3]).astype(np.float32), back


def _strongest(mesh: RiggedMesh) -> tuple[np.ndarray, np.ndarray]:
    """The joints (V,4) and weights (V,4) that count most; rows sum to 1."""
    joints, weights = strongest(mesh, INFLUENCES)
    weights = weights.astype(np.float32)
    room = ((0, 0), (0, INFLUENCES - weights.shape[1]))
    return np.pad(joints, room), np.pad(weights / weights.sum(1, keepdims=True), room)
