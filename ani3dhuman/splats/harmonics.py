"""Real spherical harmonics as 3DGS uses them, and their turning with the axes."""

from __future__ import annotations

import numpy as np

BANDS = ((0, 1), (1, 4), (4, 9), (9, 16))  # first and past the last coefficient of each degree
ROWS = 16_384  # turned at a time


def basis(directions: np.ndarray) -> np.ndarray:
    """(...,16) values at unit directions (...,3), in the order and with the signs of 3DGS (degree 0 to 3)."""
    x, y, z = np.moveaxis(directions, -1, 0)
    xx, yy, zz = x * x, y * y, z * z
    one = np.ones_like(x)
    return np.stack(
        [
            0.28209479177387814 * one,
            -0.4886025119029199 * y,
            0.4886025119029199 * z,
            -0.4886025119029199 * x,
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * zz - xx - yy),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (xx - yy),
            -0.5900435899266435 * y * (3 * xx - yy),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * zz - xx - yy),
            0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -0.4570457994644658 * x * (4 * zz - xx - yy),
            1.445305721320277 * z * (xx - yy),
            -0.5900435899266435 * x * (xx - 3 * yy),
        ],
        axis=-1,
    )


def rotated(sh: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Coefficients (N,K,3) in axes turned by R, (3,3) or one a row (N,3,3): what was seen along d is seen along R d.

    Each degree turns by a matrix of its own (a representation of the rotation), found from the basis at fixed
    directions; exact but for float32.
    """
    if sh.shape[1] == 1:
        return sh
    if R.ndim == 3 and len(sh) > ROWS:
        parts = [rotated(sh[k : k + ROWS], R[k : k + ROWS]) for k in range(0, len(sh), ROWS)]
        return np.concatenate(parts)
    directions = _spread()
    before, after = basis(directions @ R), basis(directions)
    turned = [sh[:, :1]]
    for start, stop in BANDS[1:]:
        if stop <= sh.shape[1]:
            matrix = np.linalg.pinv(after[:, start:stop]) @ before[..., start:stop]
            turned.append(matrix.astype(np.float32) @ sh[:, start:stop])
    return np.concatenate(turned, axis=1)


def seen(sh: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Colours (N,3) sRGB of coefficients (N,K,3) along unit directions (N,3) from the eye; 0 where they are darker."""
    values = basis(directions)[:, : sh.shape[1]].astype(np.float32)
    return np.maximum(np.einsum("nk,nkc->nc", values, sh) + np.float32(0.5), 0)


def seen_from(sh: np.ndarray, means: np.ndarray, quats: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Colours (N,3) sRGB of Gaussians whose coefficients (N,K,3) are in each one's own axes.

    Args:
        means: (N,3) metres; quats: (N,4) wxyz, unit; eye: (3,) metres, all in the world.
    """
    away = means - eye.astype(np.float32)
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    # the line of sight in each Gaussian's axes: turned by the inverse of its rotation
    w, axis = quats[:, :1], -quats[:, 1:]
    across = 2 * np.cross(axis, away)
    return seen(sh, away + w * across + np.cross(axis, across))


def matrices(quats: np.ndarray) -> np.ndarray:
    """Rotations (N,3,3) float64 of quaternions (N,4) wxyz of any length but zero."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_quat(quats[:, [1, 2, 3, 0]]).as_matrix())


def _spread() -> np.ndarray:
    """(16,3) unit directions, evenly over the sphere."""
    turns = np.arange(16) + 0.5
    z, angle = 1 - turns / 8, turns * np.pi * (3 - np.sqrt(5))
    return np.stack([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z], 1)
