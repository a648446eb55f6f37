"""The rigid layer: linear blend skinning of points by bone matrices.

Matches Blender's Armature modifier without Preserve Volume when weights are normalised over the
deforming bones: v' = sum_b w_b pose_b rest_b^-1 v, all in world space.
"""

from __future__ import annotations

import numpy as np


def blended_transforms(weight_indices: np.ndarray, weight_values: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """Blend bone transforms per vertex for one frame.

    Args:
        weight_indices: (V,K) bone of each influence.
        weight_values: (V,K), rows sum to 1.
        transforms: (B,4,4) world transforms from bind pose to the frame.

    Returns:
        (V,3,4) affine transforms.
    """
    blended = np.zeros((len(weight_indices), 3, 4), np.float32)
    rows = transforms[:, :3].astype(np.float32)
    for k in range(weight_indices.shape[1]):
        blended += weight_values[:, k, None, None] * rows[weight_indices[:, k]]
    return blended


def skin(
    vertices: np.ndarray, weight_indices: np.ndarray, weight_values: np.ndarray, transforms: np.ndarray
) -> np.ndarray:
    """Pose bind-pose `vertices` (V,3) by `transforms` (T,B,4,4); returns (T,V,3) float32, world metres."""
    posed = np.empty((len(transforms), len(vertices), 3), np.float32)
    for t, frame in enumerate(transforms):
        A = blended_transforms(weight_indices, weight_values, frame)
        posed[t] = np.einsum("vij,vj->vi", A[:, :, :3], vertices) + A[:, :, 3]
    return posed


def blended_rotations(weight_indices: np.ndarray, weight_values: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """(T,V,3,3) rotation nearest to each vertex's blended transform: the bone-local frame in world space."""
    rotations = np.empty((len(transforms), len(weight_indices), 3, 3), np.float32)
    for t, frame in enumerate(transforms):
        U, _, Vt = np.linalg.svd(blended_transforms(weight_indices, weight_values, frame)[:, :, :3])
        U[:, :, 2] *= np.sign(np.linalg.det(U) * np.linalg.det(Vt))[:, None]
        rotations[t] = U @ Vt
    return rotations
