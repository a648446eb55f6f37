"""Gradients of `projection`: from means2d, covs2d, depths and compensations to means, quats, scales and viewmats."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel
from .footprint import U
from .projection import Frustum, apply, covariance, factor_2d, held, pose_of, product, rotation_part, with_columns
from .simd import WIDE_LANES, bits, both, first_lanes, select, splat64, sqrt
from .simd_memory import gather, load, scatter, store

CHUNK = 512  # Gaussians whose camera gradients are summed together: fixed, so that sums do not depend on threads


class ProjectedGradients(NamedTuple):
    """Gradients of `Projected`, flat: means2d (C*N*2,), covs2d (C*N*3,), depths and compensations (C*N,) or (0,)."""

    means2d: np.ndarray
    covs2d: np.ndarray
    depths: np.ndarray
    compensations: np.ndarray


class GaussianGradients(NamedTuple):
    """Gradients of means (N*3,), quats (N*4,), scales (N*3,), and of the cameras by chunk and lane.

    Attributes:
        views: (chunks*C*12*8,) float64: rotation row-major, then translation; comes in as zeros, or as (0,) for none.
    """

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    views: np.ndarray


@kernel
def rotation_backward(w, x, y, z, g):  # type: ignore[no-untyped-def]
    """Gradient on the unit quaternion from the gradient `g` on its rotation matrix."""
    return (
        2.0 * (x * (g[7] - g[5]) + y * (g[2] - g[6]) + z * (g[3] - g[1])),
        2.0 * (w * (g[7] - g[5]) + y * (g[1] + g[3]) + z * (g[2] + g[6]) - 2.0 * x * (g[4] + g[8])),
        2.0 * (w * (g[2] - g[6]) + x * (g[1] + g[3]) + z * (g[5] + g[7]) - 2.0 * y * (g[0] + g[8])),
        2.0 * (w * (g[3] - g[1]) + x * (g[2] + g[6]) + y * (g[5] + g[7]) - 2.0 * z * (g[0] + g[4])),
    )


@kernel
def transposed(a):  # type: ignore[no-untyped-def]
    return a[0], a[3], a[6], a[1], a[4], a[7], a[2], a[5], a[8]


@parallel_kernel
def project_backward(
    means: np.ndarray,
    quats: np.ndarray,
    scales: np.ndarray,
    viewmats: np.ndarray,
    Ks: np.ndarray,
    frustum: Frustum,
    radii: np.ndarray,  # of `Projected`
    gradients: ProjectedGradients,
    out: GaussianGradients,
) -> None:
    width, height, _, _, _, eps2d, ortho, _ = frustum
    g_means2d, g_covs2d, g_depths, g_compensations = gradients
    g_means, g_quats, g_scales, g_views = out
    count = means.shape[0] // 3
    has_depths, has_compensations = g_depths.shape[0] > 0, g_compensations.shape[0] > 0
    has_views = g_views.shape[0] > 0
    chunks = (count + CHUNK - 1) // CHUNK
    for chunk in prange(chunks):
        for n in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK), WIDE_LANES):
            valid = count - n
            to_x, to_y, to_z = splat64(0.0), splat64(0.0), splat64(0.0)
            to_sx, to_sy, to_sz = splat64(0.0), splat64(0.0), splat64(0.0)
            to_w, to_i, to_j, to_k = splat64(0.0), splat64(0.0), splat64(0.0), splat64(0.0)
            for camera in range(viewmats.shape[0]):
                at = U(camera) * U(count) + U(n)
                seen = gather(radii, at * U(2), 2, valid) > 0.0
                if bits(seen) == U(0):
                    continue
                viewmat = viewmats[camera]
                W = rotation_part(viewmat)
                Wt = transposed(W)
                fx, fy = np.float64(Ks[camera, 0, 0]), np.float64(Ks[camera, 1, 1])
                cx, cy = np.float64(Ks[camera, 0, 2]), np.float64(Ks[camera, 1, 2])
                mean, (x, y, z), R, unit, shrink, s = pose_of(n, valid, means, quats, scales, W, viewmat)
                M = with_columns(R, s[0], s[1], s[2])
                G = product(W, M)
                inverse_z = splat64(1.0) if ortho else 1.0 / select(seen, z, 1.0)
                (j00, j02, j11, j12), q = factor_2d(G, x, y, inverse_z, fx, fy, cx, cy, width, height, ortho)

                # each entry of the symmetric cov2d takes half of what its off-diagonal number takes
                g_xx = select(seen, gather(g_covs2d, at * U(3), 3, valid), 0.0)
                g_xy = select(seen, 0.5 * gather(g_covs2d, at * U(3) + U(1), 3, valid), 0.0)
                g_yy = select(seen, gather(g_covs2d, at * U(3) + U(2), 3, valid), 0.0)
                if has_compensations:
                    # compensation^2 = det(cov2d) / det(cov2d + eps2d I)
                    xx, xy, yy, sharp = covariance(q)
                    inverse = 1.0 / select(seen, sharp + eps2d * (xx + yy) + eps2d * eps2d, 1.0)
                    square = sharp * inverse
                    g_ratio = 0.5 * gather(g_compensations, at, 1, valid) / (sqrt(square) + 1e-6)
                    g_ratio = select(seen, g_ratio, 0.0)
                    rest = (1.0 - square) * inverse
                    g_xx = g_xx + g_ratio * (rest * (yy + eps2d) - eps2d * inverse)
                    g_xy = g_xy - g_ratio * rest * xy
                    g_yy = g_yy + g_ratio * (rest * (xx + eps2d) - eps2d * inverse)

                # cov2d = Q Q^T, Q = J G
                h0, h3 = 2.0 * (g_xx * q[0] + g_xy * q[3]), 2.0 * (g_xy * q[0] + g_yy * q[3])
                h1, h4 = 2.0 * (g_xx * q[1] + g_xy * q[4]), 2.0 * (g_xy * q[1] + g_yy * q[4])
                h2, h5 = 2.0 * (g_xx * q[2] + g_xy * q[5]), 2.0 * (g_xy * q[2] + g_yy * q[5])
                g_G = (
                    j00 * h0,
                    j00 * h1,
                    j00 * h2,
                    j11 * h3,
                    j11 * h4,
                    j11 * h5,
                    j02 * h0 + j12 * h3,
                    j02 * h1 + j12 * h4,
                    j02 * h2 + j12 * h5,
                )

                gu = select(seen, gather(g_means2d, at * U(2), 2, valid), 0.0)
                gv = select(seen, gather(g_means2d, at * U(2) + U(1), 2, valid), 0.0)
                g_x, g_y = j00 * gu, j11 * gv
                g_z = splat64(0.0)
                if has_depths:
                    g_z = select(seen, gather(g_depths, at, 1, valid), 0.0)
                if not ortho:
                    g_j00 = h0 * G[0] + h1 * G[1] + h2 * G[2]
                    g_j02 = h0 * G[6] + h1 * G[7] + h2 * G[8]
                    g_j11 = h3 * G[3] + h4 * G[4] + h5 * G[5]
                    g_j12 = h3 * G[6] + h4 * G[7] + h5 * G[8]
                    slope_x, slope_y = x * inverse_z, y * inverse_z
                    held_x, held_y = held(slope_x, cx, fx, width), held(slope_y, cy, fy, height)
                    # a slope that is held does not move with the mean
                    free_x = select(both(held_x <= slope_x, held_x >= slope_x), g_j02, 0.0)
                    free_y = select(both(held_y <= slope_y, held_y >= slope_y), g_j12, 0.0)
                    fx2, fy2 = j00 * inverse_z, j11 * inverse_z
                    g_x = g_x - fx2 * free_x
                    g_y = g_y - fy2 * free_y
                    g_z = g_z - fx2 * x * gu - fy2 * y * gv
                    g_z = g_z + fx2 * (held_x * (g_j02 + free_x) - g_j00) + fy2 * (held_y * (g_j12 + free_y) - g_j11)

                back_x, back_y, back_z = apply(Wt, g_x, g_y, g_z)
                to_x, to_y, to_z = to_x + back_x, to_y + back_y, to_z + back_z

                # G = W M, M = R S
                g_M = product(Wt, g_G)
                to_sx = to_sx + (g_M[0] * R[0] + g_M[3] * R[3] + g_M[6] * R[6])
                to_sy = to_sy + (g_M[1] * R[1] + g_M[4] * R[4] + g_M[7] * R[7])
                to_sz = to_sz + (g_M[2] * R[2] + g_M[5] * R[5] + g_M[8] * R[8])
                g_R = with_columns(g_M, s[0], s[1], s[2])
                gw, gi, gj, gk = rotation_backward(unit[0], unit[1], unit[2], unit[3], g_R)
                along = gw * unit[0] + gi * unit[1] + gj * unit[2] + gk * unit[3]
                to_w, to_i = to_w + (gw - along * unit[0]) * shrink, to_i + (gi - along * unit[1]) * shrink
                to_j, to_k = to_j + (gj - along * unit[2]) * shrink, to_k + (gk - along * unit[3]) * shrink

                if has_views:
                    g_W = product(g_G, transposed(M))
                    to_view = (
                        g_W[0] + g_x * mean[0], g_W[1] + g_x * mean[1], g_W[2] + g_x * mean[2],
                        g_W[3] + g_y * mean[0], g_W[4] + g_y * mean[1], g_W[5] + g_y * mean[2],
                        g_W[6] + g_z * mean[0], g_W[7] + g_z * mean[1], g_W[8] + g_z * mean[2],
                        g_x, g_y, g_z,
                    )  # fmt: skip
                    first = (U(chunk) * U(viewmats.shape[0]) + U(camera)) * U(12 * WIDE_LANES)
                    once = first_lanes(valid)
                    for k in range(12):
                        place = first + U(k * WIDE_LANES)
                        store(g_views, place, load(g_views, place) + select(once, to_view[k], 0.0))
            first = U(n)
            scatter(g_means, first * U(3), 3, valid, to_x)
            scatter(g_means, first * U(3) + U(1), 3, valid, to_y)
            scatter(g_means, first * U(3) + U(2), 3, valid, to_z)
            scatter(g_quats, first * U(4), 4, valid, to_w)
            scatter(g_quats, first * U(4) + U(1), 4, valid, to_i)
            scatter(g_quats, first * U(4) + U(2), 4, valid, to_j)
            scatter(g_quats, first * U(4) + U(3), 4, valid, to_k)
            scatter(g_scales, first * U(3), 3, valid, to_sx)
            scatter(g_scales, first * U(3) + U(1), 3, valid, to_sy)
            scatter(g_scales, first * U(3) + U(2), 3, valid, to_sz)
