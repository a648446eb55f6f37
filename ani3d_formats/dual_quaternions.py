"""Dual quaternion skinning: the rigid layer of meshes whose Armature modifier has Preserve Volume.

Where linear blending averages matrices, and so flattens a twisted arm, this averages rigid motions (Kavan et al. 2007,
"Skinning with Dual Quaternions"). With unit quaternions q_b, signs chosen alike, and Q = sum_b w_b q_b, the blended
motion carries a point v to Im(sum_b w_b (T_b v) q_b conj(Q)) / |Q|^2, T_b v being where bone b alone would carry it.
Scale needs nothing more, it is in T_b v; so it is in Blender 5.0 too. Numpy only.
"""

from __future__ import annotations

import numpy as np


def nearest_quats(matrices: np.ndarray) -> np.ndarray:
    """Quaternions (...,4) wxyz, float64, of the rotations nearest to linear maps (...,3,3) of positive determinant.

    Source: Horn 1987; the quaternion is the greatest eigenvector of a matrix made of the map's entries.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = np.moveaxis(matrices.astype(np.float64), (-2, -1), (0, 1))
    rows = [
        [xx + yy + zz, zy - yz, xz - zx, yx - xy],
        [zy - yz, xx - yy - zz, xy + yx, xz + zx],
        [xz - zx, xy + yx, yy - xx - zz, yz + zy],
        [yx - xy, xz + zx, yz + zy, zz - xx - yy],
    ]
    horn = np.moveaxis(np.array(rows), (0, 1), (-2, -1))
    return np.linalg.eigh(horn)[1][..., -1]


def blended_transforms(weight_indices: np.ndarray, weight_values: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Blend bone transforms per vertex for one frame, as `ani3d_formats.skinning.blended_transforms` does linearly.

    A quaternion joins with the sign nearer to the sum of those before it. So the order of influences matters, but
    only to vertices of three or more bones that are more than half a turn apart.

    Args:
        weight_indices: (V,K) bone of each influence.
        weight_values: (V,K), rows sum to 1.
        transforms: (B,4,4) world transforms from bind pose to the frame; scale, if any, even and positive.

    Returns:
        (V,3,4) float32 affine transforms; their linear parts are rotations where no bone is scaled.
    """
    quats = nearest_quats(transforms[:, :3, :3])
    columns, w, v = transforms[:, :3].astype(np.float64), quats[:, :1, None], quats[:, 1:, None]
    # each column of a bone's matrix, taken as a quaternion without scalar part, times the bone's quaternion
    products = np.concatenate([-(v * columns).sum(1, keepdims=True), w * columns + _cross(columns, v)], axis=1)
    total = np.zeros((len(weight_indices), 4))
    summed = np.zeros((len(weight_indices), 4, 4))
    for bones, weights in zip(weight_indices.T, weight_values.T, strict=True):
        q = quats[bones]
        signed = np.where((total * q).sum(1) < 0, -weights, weights)[:, None]
        total += signed * q
        summed += signed[:, :, None] * products[bones]
    W, V = total[:, :1, None], total[:, 1:, None]
    blended = W * summed[:, 1:] - V * summed[:, :1] + _cross(V, summed[:, 1:])
    return (blended / (total**2).sum(1)[:, None, None]).astype(np.float32)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cross products along axis 1 of (N,3,k) arrays; `numpy.cross` takes several times as long."""
    (x, y, z), (u, v, w) = np.moveaxis(a, 1, 0), np.moveaxis(b, 1, 0)
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=1)
