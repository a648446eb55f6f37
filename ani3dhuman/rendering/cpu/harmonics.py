"""View-dependent colour from real spherical harmonics of degree 0 to 3, forward and backward.

Order and signs are those of 3DGS files and gsplat's `_spherical_harmonics`; colour = max(0, sum + 0.5).
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ani3d_formats.gaussians import SH_C0

from ...jit import kernel, parallel_kernel

CHUNK = 512  # Gaussians whose camera gradients are summed together, as in projection
C0 = SH_C0
C1 = 0.4886025119029199
C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
C3 = (0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154, 1.445305721320277)


@kernel
def evaluate_basis(degree: int, x: float, y: float, z: float, basis: np.ndarray) -> None:
    """Fill basis (16,) at the unit direction (x, y, z)."""
    basis[0] = C0
    if degree >= 1:
        basis[1] = -C1 * y
        basis[2] = C1 * z
        basis[3] = -C1 * x
    if degree >= 2:
        basis[4] = C2[0] * x * y
        basis[5] = -C2[0] * y * z
        basis[6] = C2[1] * (3.0 * z * z - 1.0)
        basis[7] = -C2[0] * x * z
        basis[8] = C2[2] * (x * x - y * y)
    if degree >= 3:
        basis[9] = -C3[0] * y * (3.0 * x * x - y * y)
        basis[10] = C3[1] * x * y * z
        basis[11] = -C3[2] * y * (5.0 * z * z - 1.0)
        basis[12] = C3[3] * z * (5.0 * z * z - 3.0)
        basis[13] = -C3[2] * x * (5.0 * z * z - 1.0)
        basis[14] = C3[4] * z * (x * x - y * y)
        basis[15] = -C3[0] * x * (x * x - 3.0 * y * y)


@kernel
def evaluate_slopes(degree: int, x: float, y: float, z: float, slopes: np.ndarray) -> None:
    """Fill slopes (16,3): derivatives of the polynomials of `evaluate_basis` by x, y and z; comes in as zeros."""
    if degree >= 1:
        slopes[1, 1] = -C1
        slopes[2, 2] = C1
        slopes[3, 0] = -C1
    if degree >= 2:
        slopes[4, 0] = C2[0] * y
        slopes[4, 1] = C2[0] * x
        slopes[5, 1] = -C2[0] * z
        slopes[5, 2] = -C2[0] * y
        slopes[6, 2] = 6.0 * C2[1] * z
        slopes[7, 0] = -C2[0] * z
        slopes[7, 2] = -C2[0] * x
        slopes[8, 0] = 2.0 * C2[2] * x
        slopes[8, 1] = -2.0 * C2[2] * y
    if degree >= 3:
        slopes[9, 0] = -6.0 * C3[0] * x * y
        slopes[9, 1] = -3.0 * C3[0] * (x * x - y * y)
        slopes[10, 0] = C3[1] * y * z
        slopes[10, 1] = C3[1] * x * z
        slopes[10, 2] = C3[1] * x * y
        slopes[11, 1] = -C3[2] * (5.0 * z * z - 1.0)
        slopes[11, 2] = -10.0 * C3[2] * y * z
        slopes[12, 2] = 3.0 * C3[3] * (5.0 * z * z - 1.0)
        slopes[13, 0] = -C3[2] * (5.0 * z * z - 1.0)
        slopes[13, 2] = -10.0 * C3[2] * x * z
        slopes[14, 0] = 2.0 * C3[4] * x * z
        slopes[14, 1] = -2.0 * C3[4] * y * z
        slopes[14, 2] = C3[4] * (x * x - y * y)
        slopes[15, 0] = -3.0 * C3[0] * (x * x - y * y)
        slopes[15, 1] = 6.0 * C3[0] * x * y


@parallel_kernel
def colors_forward(
    degree: int,
    means: np.ndarray,  # (N,3)
    centres: np.ndarray,  # (C,3) camera positions
    coefficients: np.ndarray,  # (1 or C,N,K,3)
    radii: np.ndarray,  # (C,N,2); unseen Gaussians are skipped
    colors: np.ndarray,  # (C,N,3) out, comes in as zeros
) -> None:
    count = means.shape[0]
    bases = (degree + 1) ** 2
    for chunk in prange((count + CHUNK - 1) // CHUNK):
        basis = np.empty(16, np.float64)
        for camera in range(centres.shape[0]):
            table = coefficients[camera if coefficients.shape[0] > 1 else 0]
            for n in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK)):
                if radii[camera, n, 0] <= 0:
                    continue
                x = np.float64(means[n, 0]) - centres[camera, 0]
                y = np.float64(means[n, 1]) - centres[camera, 1]
                z = np.float64(means[n, 2]) - centres[camera, 2]
                shrink = 1.0 / max(math.sqrt(x * x + y * y + z * z), 1e-12)
                evaluate_basis(degree, x * shrink, y * shrink, z * shrink, basis)
                for c in range(3):
                    total = 0.5
                    for k in range(bases):
                        total += basis[k] * table[n, k, c]
                    colors[camera, n, c] = max(total, 0.0)


@parallel_kernel
def colors_backward(
    degree: int,
    means: np.ndarray,
    centres: np.ndarray,
    coefficients: np.ndarray,
    radii: np.ndarray,
    colors: np.ndarray,  # (C,N,3) what colors_forward wrote
    g_colors: np.ndarray,  # (C,N,3)
    g_means: np.ndarray,  # (N,3) out, as are the rest; all come in as zeros
    g_centre_chunks: np.ndarray,  # (chunks,C,3) float64
    g_coefficients: np.ndarray,  # like coefficients
) -> None:
    count = means.shape[0]
    bases = (degree + 1) ** 2
    for chunk in prange((count + CHUNK - 1) // CHUNK):
        basis = np.empty(16, np.float64)
        slopes = np.zeros((16, 3), np.float64)
        for camera in range(centres.shape[0]):
            own = camera if coefficients.shape[0] > 1 else 0
            table = coefficients[own]
            g_table = g_coefficients[own]
            for n in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK)):
                if radii[camera, n, 0] <= 0:
                    continue
                x = np.float64(means[n, 0]) - centres[camera, 0]
                y = np.float64(means[n, 1]) - centres[camera, 1]
                z = np.float64(means[n, 2]) - centres[camera, 2]
                shrink = 1.0 / max(math.sqrt(x * x + y * y + z * z), 1e-12)
                x *= shrink
                y *= shrink
                z *= shrink
                evaluate_basis(degree, x, y, z, basis)
                evaluate_slopes(degree, x, y, z, slopes)
                gx = 0.0
                gy = 0.0
                gz = 0.0
                for c in range(3):
                    if colors[camera, n, c] <= 0.0:
                        continue
                    g = np.float64(g_colors[camera, n, c])
                    for k in range(bases):
                        g_table[n, k, c] += basis[k] * g
                        weight = table[n, k, c] * g
                        gx += weight * slopes[k, 0]
                        gy += weight * slopes[k, 1]
                        gz += weight * slopes[k, 2]
                along = gx * x + gy * y + gz * z
                gx = (gx - along * x) * shrink
                gy = (gy - along * y) * shrink
                gz = (gz - along * z) * shrink
                g_means[n, 0] += gx
                g_means[n, 1] += gy
                g_means[n, 2] += gz
                g_centre_chunks[chunk, camera, 0] -= gx
                g_centre_chunks[chunk, camera, 1] -= gy
                g_centre_chunks[chunk, camera, 2] -= gz
