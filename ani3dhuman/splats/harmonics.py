"""Real spherical harmonics as 3DGS uses them, and their turning with the axes."""

from __future__ import annotations

import numpy as np

BANDS = ((0, 1), (1, 4), (4, 9), (9, 16))  # first and past the last coefficient of each degree


def basis(directions: np.ndarray) -> np.ndarray:
    """(N,16) values at unit directions (N,3), in the order and with the signs of 3DGS (degree 0 to 3)."""
    x, y, z = directions.T
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
        axis=1,
    )


def rotated(sh: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Coefficients (N,K,3) in axes turned by R (3,3): what was seen along d is seen along R d.

    Each degree turns by a matrix of its own (a representation of the rotation), found from the basis at fixed
    directions; exact in float64.
    """
    if sh.shape[1] == 1:
        return sh
    directions = np.random.default_rng(0).normal(size=(64, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before, after = basis(directions), basis(directions @ R.T)
    turned = [sh[:, :1]]
    for start, stop in BANDS[1:]:
        if stop <= sh.shape[1]:
            matrix = np.linalg.lstsq(after[:, start:stop], before[:, start:stop], rcond=None)[0]
            turned.append(np.einsum("ij,njc->nic", matrix.astype(np.float32), sh[:, start:stop], optimize=True))
    return np.concatenate(turned, axis=1)
