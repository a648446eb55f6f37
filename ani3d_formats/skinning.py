"""The rigid layer: skinning of points by bone matrices, linear or with dual quaternions, vertex by vertex.

Matches Blender's Armature modifier when weights are normalised over the deforming bones. Without Preserve Volume
v' = sum_b w_b pose_b rest_b^-1 v, all in world space; with it see `dual_quaternions`.
"""

from __future__ import annotations

import numpy as np

from . import dual_quaternions

_FLAT = 1e-5  # smallest over largest singular value below which rounding decides whether a transform mirrors


def blended_transforms(
    weight_indices: np.ndarray,
    weight_values: np.ndarray,
    transforms: np.ndarray,
    preserve_volume: np.ndarray | None = None,
) -> np.ndarray:
    """Blend bone transforms per vertex for one frame.

    Args:
        weight_indices: (V,K) bone of each influence.
        weight_values: (V,K), rows sum to 1.
        transforms: (B,4,4) world transforms from bind pose to the frame.
        preserve_volume: (V,) bool, which vertices blend dual quaternions; None: none do.

    Returns:
        (V,3,4) affine transforms.
    """
    blended = np.zeros((len(weight_indices), 3, 4), np.float32)
    rows = transforms[:, :3].astype(np.float32)
    for k in range(weight_indices.shape[1]):
        blended += weight_values[:, k, None, None] * rows[weight_indices[:, k]]
    if preserve_volume is not None and preserve_volume.any():
        own = np.flatnonzero(preserve_volume)
        blended[own] = dual_quaternions.blended_transforms(weight_indices[own], weight_values[own], transforms)
    return blended


def skin(
    vertices: np.ndarray,
    weight_indices: np.ndarray,
    weight_values: np.ndarray,
    transforms: np.ndarray,
    preserve_volume: np.ndarray | None = None,
) -> np.ndarray:
    """Pose bind-pose `vertices` (V,3) by `transforms` (T,B,4,4); returns (T,V,3) float32, world metres.

    `preserve_volume` (V,) bool names the vertices that blend dual quaternions; None: none do.
    """
    posed = np.empty((len(transforms), len(vertices), 3), np.float32)
    for t, frame in enumerate(transforms):
        A = blended_transforms(weight_indices, weight_values, frame, preserve_volume)
        posed[t] = np.einsum("vij,vj->vi", A[:, :, :3], vertices) + A[:, :, 3]
    return posed


def blended_rotations(
    weight_indices: np.ndarray,
    weight_values: np.ndarray,
    transforms: np.ndarray,
    preserve_volume: np.ndarray | None = None,
) -> np.ndarray:
    """(T,V,3,3) rotation nearest to each vertex's blended transform: the bone-local frame in world space.

    Of a mirrored transform it is the rotation nearest to its negative: that one turns smoothly over the mesh and over
    time, where the nearest rotation jumps. Flattened and vanishing transforms have a rotation too. `preserve_volume` as
    in `skin`.
    """
    rotations = np.empty((len(transforms), len(weight_indices), 3, 3), np.float32)
    for t, frame in enumerate(transforms):
        blended = blended_transforms(weight_indices, weight_values, frame, preserve_volume)
        rotations[t] = nearest_rotations(blended[:, :, :3])
    return rotations


def nearest_rotations(matrices: np.ndarray) -> np.ndarray:
    """(N,3,3) float64 rotations nearest to linear maps (N,3,3), to their negatives where they mirror."""
    U, sizes, Vt = np.linalg.svd(matrices.astype(np.float64))
    mirrored, flat = np.linalg.det(U) * np.linalg.det(Vt) < 0, sizes[:, 2] <= _FLAT * sizes[:, 0]
    U[mirrored & ~flat] *= -1
    U[mirrored & flat, :, 2] *= -1
    return U @ Vt
