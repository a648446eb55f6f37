"""Perspective and orthographic projection of Gaussians, forward and backward, in one kernel each (EWA splatting).

The covariance is carried as a factor: Sigma = (R S)(R S)^T, so that cov2d = Q Q^T with Q = J W R S (2x3), and the
backward pass is a chain of small products. Small matrices are tuples, which LLVM keeps in registers; arithmetic is
float64, which costs nothing here and spares thin Gaussians from cancellation.

Source: Zwicker et al., EWA Splatting (2002), eq. 24-31; rules and clamps are those of gsplat's
`_fully_fused_projection` and its CUDA kernel.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ani3dhuman.rendering.cpu.footprint import (
    L11,
    L21,
    L22,
    LOG_ALPHA_MIN,
    LOG_OPACITY,
    MEAN_X,
    MEAN_Y,
    REACH_X,
    REACH_Y,
    RECORD,
    SCALE,
    SLOPE_X,
    SLOPE_Y,
    U,
)
from ani3dhuman.rendering.cpu.jit import kernel, parallel_kernel

CHUNK = 512  # Gaussians whose camera gradients are summed together: fixed, so that sums do not depend on threads
FOV_MARGIN = 0.15  # Jacobians are taken no further outside the picture than this share of its size
SIGMA_EXTENT = 3.33
REACH_MAX = 1e9  # pixels; more would not fit into the int32 of a radius

Matrix = tuple[float, ...]  # nine numbers, row-major


@kernel
def normalized(w: float, x: float, y: float, z: float) -> tuple[float, float, float, float, float]:
    """Unit quaternion, and one over its former length."""
    scale = 1.0 / math.sqrt(w * w + x * x + y * y + z * z)
    return w * scale, x * scale, y * scale, z * scale, scale


@kernel
def rotation_of(w: float, x: float, y: float, z: float) -> Matrix:
    """Row-major rotation matrix of a unit quaternion."""
    return (
        1.0 - 2.0 * (y * y + z * z),
        2.0 * (x * y - w * z),
        2.0 * (x * z + w * y),
        2.0 * (x * y + w * z),
        1.0 - 2.0 * (x * x + z * z),
        2.0 * (y * z - w * x),
        2.0 * (x * z - w * y),
        2.0 * (y * z + w * x),
        1.0 - 2.0 * (x * x + y * y),
    )


@kernel
def rotation_backward(w: float, x: float, y: float, z: float, g: Matrix) -> tuple[float, float, float, float]:
    """Gradient on the unit quaternion from the gradient `g` on its rotation matrix."""
    return (
        2.0 * (x * (g[7] - g[5]) + y * (g[2] - g[6]) + z * (g[3] - g[1])),
        2.0 * (w * (g[7] - g[5]) + y * (g[1] + g[3]) + z * (g[2] + g[6]) - 2.0 * x * (g[4] + g[8])),
        2.0 * (w * (g[2] - g[6]) + x * (g[1] + g[3]) + z * (g[5] + g[7]) - 2.0 * y * (g[0] + g[8])),
        2.0 * (w * (g[3] - g[1]) + x * (g[2] + g[6]) + y * (g[5] + g[7]) - 2.0 * z * (g[0] + g[4])),
    )


@kernel
def product(a: Matrix, b: Matrix) -> Matrix:
    """a b of row-major 3x3 matrices."""
    return (
        a[0] * b[0] + a[1] * b[3] + a[2] * b[6],
        a[0] * b[1] + a[1] * b[4] + a[2] * b[7],
        a[0] * b[2] + a[1] * b[5] + a[2] * b[8],
        a[3] * b[0] + a[4] * b[3] + a[5] * b[6],
        a[3] * b[1] + a[4] * b[4] + a[5] * b[7],
        a[3] * b[2] + a[4] * b[5] + a[5] * b[8],
        a[6] * b[0] + a[7] * b[3] + a[8] * b[6],
        a[6] * b[1] + a[7] * b[4] + a[8] * b[7],
        a[6] * b[2] + a[7] * b[5] + a[8] * b[8],
    )


@kernel
def transposed(a: Matrix) -> Matrix:
    return a[0], a[3], a[6], a[1], a[4], a[7], a[2], a[5], a[8]


@kernel
def apply(a: Matrix, x: float, y: float, z: float) -> tuple[float, float, float]:
    """a (x, y, z)."""
    return a[0] * x + a[1] * y + a[2] * z, a[3] * x + a[4] * y + a[5] * z, a[6] * x + a[7] * y + a[8] * z


@kernel
def rotation_part(viewmat: np.ndarray) -> Matrix:
    return (
        np.float64(viewmat[0, 0]),
        np.float64(viewmat[0, 1]),
        np.float64(viewmat[0, 2]),
        np.float64(viewmat[1, 0]),
        np.float64(viewmat[1, 1]),
        np.float64(viewmat[1, 2]),
        np.float64(viewmat[2, 0]),
        np.float64(viewmat[2, 1]),
        np.float64(viewmat[2, 2]),
    )


@kernel
def clamped_slopes(
    x: float, y: float, inverse_z: float, fx: float, fy: float, cx: float, cy: float, width: int, height: int
) -> tuple[float, float, bool, bool]:
    """x/z and y/z held near the field of view, where the linearisation is still fair, and whether each is free."""
    slope_x = x * inverse_z
    slope_y = y * inverse_z
    margin_x = FOV_MARGIN * width / fx
    margin_y = FOV_MARGIN * height / fy
    held_x = min(max(slope_x, -cx / fx - margin_x), (width - cx) / fx + margin_x)
    held_y = min(max(slope_y, -cy / fy - margin_y), (height - cy) / fy + margin_y)
    return held_x, held_y, held_x == slope_x, held_y == slope_y


@kernel
def factor_2d(
    g: Matrix,
    x: float,
    y: float,
    inverse_z: float,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    width: int,
    height: int,
    ortho: bool,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The four non-zero entries of the camera's Jacobian J, and Q = J g (2x3) of the camera-space factor g."""
    if ortho:
        j00, j02, j11, j12 = fx, 0.0, fy, 0.0
    else:
        held_x, held_y, _, _ = clamped_slopes(x, y, inverse_z, fx, fy, cx, cy, width, height)
        j00, j11 = fx * inverse_z, fy * inverse_z
        j02, j12 = -j00 * held_x, -j11 * held_y
    return (
        (j00, j02, j11, j12),
        (
            j00 * g[0] + j02 * g[6],
            j00 * g[1] + j02 * g[7],
            j00 * g[2] + j02 * g[8],
            j11 * g[3] + j12 * g[6],
            j11 * g[4] + j12 * g[7],
            j11 * g[5] + j12 * g[8],
        ),
    )


@parallel_kernel
def project_forward(
    means: np.ndarray,  # (N,3)
    quats: np.ndarray,  # (N,4)
    scales: np.ndarray,  # (N,3)
    opacities: np.ndarray,  # (N,) bound the radii only
    viewmats: np.ndarray,  # (C,4,4)
    Ks: np.ndarray,  # (C,3,3)
    width: int,
    height: int,
    near_plane: float,
    far_plane: float,
    eps2d: float,
    ortho: bool,
    antialiased: bool,
    radius_clip: float,
    means2d: np.ndarray,  # (C,N,2) out, as are the rest; all come in as zeros
    covs2d: np.ndarray,  # (C,N,3) xx, xy, yy with eps2d
    depths: np.ndarray,  # (C,N)
    compensations: np.ndarray,  # (C,N)
    conics: np.ndarray,  # (C,N,3)
    radii: np.ndarray,  # (C,N,2) int32; zero marks a Gaussian that this camera does not see
    splats: np.ndarray,  # (C*N*8,) float64 records of `footprint`
) -> None:
    count = means.shape[0]
    splats32 = splats.view(np.float32)
    for chunk in prange((count + CHUNK - 1) // CHUNK):
        for camera in range(viewmats.shape[0]):
            W = rotation_part(viewmats[camera])
            fx, fy = np.float64(Ks[camera, 0, 0]), np.float64(Ks[camera, 1, 1])
            cx, cy = np.float64(Ks[camera, 0, 2]), np.float64(Ks[camera, 1, 2])
            for n in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK)):
                x, y, z = apply(W, np.float64(means[n, 0]), np.float64(means[n, 1]), np.float64(means[n, 2]))
                x += viewmats[camera, 0, 3]
                y += viewmats[camera, 1, 3]
                z += viewmats[camera, 2, 3]
                depths[camera, n] = z
                if z < near_plane or z > far_plane:
                    continue
                qw, qx, qy, qz, _ = normalized(
                    np.float64(quats[n, 0]),
                    np.float64(quats[n, 1]),
                    np.float64(quats[n, 2]),
                    np.float64(quats[n, 3]),
                )
                r = rotation_of(qw, qx, qy, qz)
                sx, sy, sz = np.float64(scales[n, 0]), np.float64(scales[n, 1]), np.float64(scales[n, 2])
                m = (
                    r[0] * sx,
                    r[1] * sy,
                    r[2] * sz,
                    r[3] * sx,
                    r[4] * sy,
                    r[5] * sz,
                    r[6] * sx,
                    r[7] * sy,
                    r[8] * sz,
                )
                inverse_z = 1.0 if ortho else 1.0 / z
                _, q = factor_2d(product(W, m), x, y, inverse_z, fx, fy, cx, cy, width, height, ortho)
                a = q[0] * q[0] + q[1] * q[1] + q[2] * q[2]
                b = q[0] * q[3] + q[1] * q[4] + q[2] * q[5]
                c = q[3] * q[3] + q[4] * q[4] + q[5] * q[5]
                sharp = a * c - b * b
                a += eps2d
                c += eps2d
                determinant = a * c - b * b
                if determinant <= 1e-30:
                    continue
                inverse = 1.0 / determinant
                u = fx * x * inverse_z + cx
                v = fy * y * inverse_z + cy
                means2d[camera, n, 0] = u
                means2d[camera, n, 1] = v
                covs2d[camera, n, 0] = a
                covs2d[camera, n, 1] = b
                covs2d[camera, n, 2] = c
                conics[camera, n, 0] = c * inverse
                conics[camera, n, 1] = -b * inverse
                conics[camera, n, 2] = a * inverse
                seen = np.float64(opacities[n])
                if antialiased:
                    compensations[camera, n] = math.sqrt(max(0.0, sharp * inverse))
                    seen *= compensations[camera, n]
                if seen * 255.0 < 1.0:
                    continue
                log_opacity = math.log2(seen)
                extent = min(SIGMA_EXTENT, math.sqrt(max(0.0, log_opacity - LOG_ALPHA_MIN)) / SCALE)
                root_a, root_c = math.sqrt(a), math.sqrt(c)
                reach_x = min(extent * root_a, REACH_MAX)
                reach_y = min(extent * root_c, REACH_MAX)
                radius_x = math.ceil(reach_x)
                radius_y = math.ceil(reach_y)
                if max(radius_x, radius_y) <= radius_clip:
                    continue
                if u + radius_x > 0 and u - radius_x < width and v + radius_y > 0 and v - radius_y < height:
                    radii[camera, n, 0] = radius_x
                    radii[camera, n, 1] = radius_y
                    g = U(camera) * U(count) + U(n)
                    at, at32 = g * U(RECORD), g * U(2 * RECORD)
                    inverse_root = 1.0 / root_c
                    l11 = SCALE * root_c * math.sqrt(inverse)
                    splats[at + MEAN_X] = u
                    splats[at + MEAN_Y] = v
                    splats[at + L11] = l11
                    splats[at + L21] = -b * inverse_root * inverse_root * l11
                    splats[at + L22] = SCALE * inverse_root
                    splats32[at32 + LOG_OPACITY] = log_opacity
                    splats32[at32 + SLOPE_Y] = b / a
                    splats32[at32 + SLOPE_X] = b * inverse_root * inverse_root
                    splats32[at32 + REACH_X] = reach_x
                    splats32[at32 + REACH_Y] = reach_y


@parallel_kernel
def project_backward(
    means: np.ndarray,
    quats: np.ndarray,
    scales: np.ndarray,
    viewmats: np.ndarray,
    Ks: np.ndarray,
    width: int,
    height: int,
    eps2d: float,
    ortho: bool,
    radii: np.ndarray,
    g_means2d: np.ndarray,  # (C,N,2)
    g_covs2d: np.ndarray,  # (C,N,3)
    g_depths: np.ndarray,  # (C,N), or (0,0) for none, as is the next
    g_compensations: np.ndarray,  # (C,N)
    g_means: np.ndarray,  # (N,3) out, as are the rest; all come in as zeros
    g_quats: np.ndarray,  # (N,4)
    g_scales: np.ndarray,  # (N,3)
    g_view_chunks: np.ndarray,  # (chunks,C,12) float64: rotation row-major, then translation
) -> None:
    count = means.shape[0]
    has_depths = g_depths.shape[0] > 0
    has_compensations = g_compensations.shape[0] > 0
    for chunk in prange((count + CHUNK - 1) // CHUNK):
        for camera in range(viewmats.shape[0]):
            W = rotation_part(viewmats[camera])
            Wt = transposed(W)
            fx, fy = np.float64(Ks[camera, 0, 0]), np.float64(Ks[camera, 1, 1])
            cx, cy = np.float64(Ks[camera, 0, 2]), np.float64(Ks[camera, 1, 2])
            view = g_view_chunks[chunk, camera]
            for n in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK)):
                if radii[camera, n, 0] <= 0:
                    continue
                mx, my, mz = np.float64(means[n, 0]), np.float64(means[n, 1]), np.float64(means[n, 2])
                x, y, z = apply(W, mx, my, mz)
                x += viewmats[camera, 0, 3]
                y += viewmats[camera, 1, 3]
                z += viewmats[camera, 2, 3]
                qw, qx, qy, qz, shrink = normalized(
                    np.float64(quats[n, 0]),
                    np.float64(quats[n, 1]),
                    np.float64(quats[n, 2]),
                    np.float64(quats[n, 3]),
                )
                r = rotation_of(qw, qx, qy, qz)
                sx, sy, sz = np.float64(scales[n, 0]), np.float64(scales[n, 1]), np.float64(scales[n, 2])
                m = (
                    r[0] * sx,
                    r[1] * sy,
                    r[2] * sz,
                    r[3] * sx,
                    r[4] * sy,
                    r[5] * sz,
                    r[6] * sx,
                    r[7] * sy,
                    r[8] * sz,
                )
                G = product(W, m)
                inverse_z = 1.0 if ortho else 1.0 / z
                jacobian, q = factor_2d(G, x, y, inverse_z, fx, fy, cx, cy, width, height, ortho)
                j00, j02, j11, j12 = jacobian

                # each entry of the symmetric cov2d takes half of what its off-diagonal number takes
                g_xx = np.float64(g_covs2d[camera, n, 0])
                g_xy = 0.5 * g_covs2d[camera, n, 1]
                g_yy = np.float64(g_covs2d[camera, n, 2])
                if has_compensations:
                    xx = q[0] * q[0] + q[1] * q[1] + q[2] * q[2]
                    xy = q[0] * q[3] + q[1] * q[4] + q[2] * q[5]
                    yy = q[3] * q[3] + q[4] * q[4] + q[5] * q[5]
                    sharp = xx * yy - xy * xy
                    xx += eps2d
                    yy += eps2d
                    inverse_determinant = 1.0 / (xx * yy - xy * xy)
                    a, b, c = yy * inverse_determinant, -xy * inverse_determinant, xx * inverse_determinant
                    # compensation^2 = det(cov2d) / det(cov2d + eps2d I)
                    square = max(0.0, sharp * inverse_determinant)
                    g_ratio = 0.5 * g_compensations[camera, n] / (math.sqrt(square) + 1e-6)
                    rest = 1.0 - square
                    g_xx += g_ratio * (rest * a - eps2d * inverse_determinant)
                    g_xy += g_ratio * rest * b
                    g_yy += g_ratio * (rest * c - eps2d * inverse_determinant)

                # cov2d = Q Q^T, Q = J G
                h0 = 2.0 * (g_xx * q[0] + g_xy * q[3])
                h1 = 2.0 * (g_xx * q[1] + g_xy * q[4])
                h2 = 2.0 * (g_xx * q[2] + g_xy * q[5])
                h3 = 2.0 * (g_xy * q[0] + g_yy * q[3])
                h4 = 2.0 * (g_xy * q[1] + g_yy * q[4])
                h5 = 2.0 * (g_xy * q[2] + g_yy * q[5])
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

                gu, gv = np.float64(g_means2d[camera, n, 0]), np.float64(g_means2d[camera, n, 1])
                g_z = np.float64(g_depths[camera, n]) if has_depths else 0.0
                if ortho:
                    g_x = fx * gu
                    g_y = fy * gv
                else:
                    g_j00 = h0 * G[0] + h1 * G[1] + h2 * G[2]
                    g_j02 = h0 * G[6] + h1 * G[7] + h2 * G[8]
                    g_j11 = h3 * G[3] + h4 * G[4] + h5 * G[5]
                    g_j12 = h3 * G[6] + h4 * G[7] + h5 * G[8]
                    held_x, held_y, free_x, free_y = clamped_slopes(x, y, inverse_z, fx, fy, cx, cy, width, height)
                    inverse_z2 = inverse_z * inverse_z
                    g_x = fx * inverse_z * gu
                    g_y = fy * inverse_z * gv
                    g_z -= (fx * x * gu + fy * y * gv) * inverse_z2
                    g_z += (fx * (held_x * g_j02 - g_j00) + fy * (held_y * g_j12 - g_j11)) * inverse_z2
                    if free_x:
                        g_x -= fx * g_j02 * inverse_z2
                        g_z += fx * held_x * g_j02 * inverse_z2
                    if free_y:
                        g_y -= fy * g_j12 * inverse_z2
                        g_z += fy * held_y * g_j12 * inverse_z2

                back_x, back_y, back_z = apply(Wt, g_x, g_y, g_z)
                g_means[n, 0] += back_x
                g_means[n, 1] += back_y
                g_means[n, 2] += back_z

                # G = W M, M = R S
                g_m = product(Wt, g_G)
                g_scales[n, 0] += g_m[0] * r[0] + g_m[3] * r[3] + g_m[6] * r[6]
                g_scales[n, 1] += g_m[1] * r[1] + g_m[4] * r[4] + g_m[7] * r[7]
                g_scales[n, 2] += g_m[2] * r[2] + g_m[5] * r[5] + g_m[8] * r[8]
                g_r = (
                    g_m[0] * sx,
                    g_m[1] * sy,
                    g_m[2] * sz,
                    g_m[3] * sx,
                    g_m[4] * sy,
                    g_m[5] * sz,
                    g_m[6] * sx,
                    g_m[7] * sy,
                    g_m[8] * sz,
                )
                gw, gx, gy, gz = rotation_backward(qw, qx, qy, qz, g_r)
                along = gw * qw + gx * qx + gy * qy + gz * qz
                g_quats[n, 0] += (gw - along * qw) * shrink
                g_quats[n, 1] += (gx - along * qx) * shrink
                g_quats[n, 2] += (gy - along * qy) * shrink
                g_quats[n, 3] += (gz - along * qz) * shrink

                g_W = product(g_G, transposed(m))
                view[0] += g_W[0] + g_x * mx
                view[1] += g_W[1] + g_x * my
                view[2] += g_W[2] + g_x * mz
                view[3] += g_W[3] + g_y * mx
                view[4] += g_W[4] + g_y * my
                view[5] += g_W[5] + g_y * mz
                view[6] += g_W[6] + g_z * mx
                view[7] += g_W[7] + g_z * my
                view[8] += g_W[8] + g_z * mz
                view[9] += g_x
                view[10] += g_y
                view[11] += g_z
