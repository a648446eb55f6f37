"""Perspective and orthographic projection, eight Gaussians at a time (EWA splatting).

The covariance is carried as a factor: Sigma = (R S)(R S)^T, so that cov2d = Q Q^T with Q = J W R S (2x3), and the way
back (`projection_backward`) is a chain of small products. Small matrices are tuples of vectors, one Gaussian a lane;
arithmetic is float64, which spares thin Gaussians from cancellation.

Source: Zwicker et al., EWA Splatting (2002), eq. 24-31; rules and clamps are those of gsplat's
`_fully_fused_projection` and its CUDA kernel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel
from .footprint import (
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
from .simd import WIDE_LANES, bits, both, ceil, exponent_and_mantissa, maximum, minimum, select, splat64, sqrt
from .simd_memory import gather, scatter

CHUNK = 512  # Gaussians a thread takes at once
FOV_MARGIN = 0.15  # Jacobians are taken no further outside the picture than this share of its size
SIGMA_EXTENT = 3.33
REACH_MAX = 1e9  # pixels; more would not fit into the int32 of a radius

Matrix = tuple[Any, ...]  # nine vectors or numbers, row-major


class Frustum(NamedTuple):
    """What is drawn of space, and how: `View` in numbers that kernels take."""

    width: int
    height: int
    near_plane: float
    far_plane: float
    radius_clip: float
    eps2d: float
    ortho: bool
    antialiased: bool


class Projected(NamedTuple):
    """Gaussians as C cameras see them, flat; zeros where a Gaussian is not between the planes.

    Attributes:
        means2d: (C*N*2,); covs2d: (C*N*3,) float64 xx, xy, yy with eps2d; depths, compensations: (C*N,).
        conics: (C*N*3,); radii: (C*N*2,) int32, zero for a Gaussian that this camera does not see.
        splats: (C*N*8,) float64 records of `footprint`; zeros where unseen.
    """

    means2d: np.ndarray
    covs2d: np.ndarray
    depths: np.ndarray
    compensations: np.ndarray
    conics: np.ndarray
    radii: np.ndarray
    splats: np.ndarray


@kernel
def log2(x):  # type: ignore[no-untyped-def]
    """log2 of normal positive numbers, error below 2e-9: exponent, plus the series of atanh for the mantissa."""
    exponent, mantissa = exponent_and_mantissa(x)
    large = mantissa > 1.4142135623730951
    mantissa = select(large, 0.5 * mantissa, mantissa)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square = s * s
    series = 1.0 + square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square * (1 / 9 + square * (1 / 11)))))
    return select(large, exponent + 1.0, exponent) + 2.8853900817779268 * s * series


@kernel
def rotation_of(w, x, y, z):  # type: ignore[no-untyped-def]
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
def product(a, b):  # type: ignore[no-untyped-def]
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
def with_columns(a, x, y, z):  # type: ignore[no-untyped-def]
    """a with its columns times x, y and z."""
    return a[0] * x, a[1] * y, a[2] * z, a[3] * x, a[4] * y, a[5] * z, a[6] * x, a[7] * y, a[8] * z


@kernel
def apply(a, x, y, z):  # type: ignore[no-untyped-def]
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
def pose_of(n, valid, means, quats, scales, W, viewmat):  # type: ignore[no-untyped-def]
    """Camera-space means (x, y, z), rotations R, unit quaternions with one over their former length, and scales."""
    first = U(n)
    mean = (
        gather(means, first * U(3), 3, valid),
        gather(means, first * U(3) + U(1), 3, valid),
        gather(means, first * U(3) + U(2), 3, valid),
    )
    x, y, z = apply(W, mean[0], mean[1], mean[2])
    w, i = gather(quats, first * U(4), 4, valid), gather(quats, first * U(4) + U(1), 4, valid)
    j, k = gather(quats, first * U(4) + U(2), 4, valid), gather(quats, first * U(4) + U(3), 4, valid)
    shrink = 1.0 / sqrt(w * w + i * i + j * j + k * k)
    unit = (w * shrink, i * shrink, j * shrink, k * shrink)
    scale = (
        gather(scales, first * U(3), 3, valid),
        gather(scales, first * U(3) + U(1), 3, valid),
        gather(scales, first * U(3) + U(2), 3, valid),
    )
    camera = (
        x + np.float64(viewmat[0, 3]), y + np.float64(viewmat[1, 3]), z + np.float64(viewmat[2, 3])
    )  # fmt: skip
    return mean, camera, rotation_of(unit[0], unit[1], unit[2], unit[3]), unit, shrink, scale


@kernel
def held(slope, center, focal, size):  # type: ignore[no-untyped-def]
    """x/z or y/z held near the field of view, where the linearisation is still fair."""
    margin = FOV_MARGIN * size / focal
    return minimum(maximum(slope, -center / focal - margin), (size - center) / focal + margin)


@kernel
def factor_2d(g, x, y, inverse_z, fx, fy, cx, cy, width, height, ortho):  # type: ignore[no-untyped-def]
    """The four non-zero entries of the camera's Jacobian J, and Q = J g (2x3) of the camera-space factor g."""
    j00, j11 = fx * inverse_z, fy * inverse_z
    perspective = 0.0 if ortho else 1.0
    j02 = -perspective * j00 * held(x * inverse_z, cx, fx, width)
    j12 = -perspective * j11 * held(y * inverse_z, cy, fy, height)
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


@kernel
def covariance(q):  # type: ignore[no-untyped-def]
    """xx, xy, yy of Q Q^T, and its determinant as a sum of squares (Cauchy-Binet), so that it is never negative."""
    xx = q[0] * q[0] + q[1] * q[1] + q[2] * q[2]
    xy = q[0] * q[3] + q[1] * q[4] + q[2] * q[5]
    yy = q[3] * q[3] + q[4] * q[4] + q[5] * q[5]
    m0, m1, m2 = q[0] * q[4] - q[1] * q[3], q[0] * q[5] - q[2] * q[3], q[1] * q[5] - q[2] * q[4]
    return xx, xy, yy, m0 * m0 + m1 * m1 + m2 * m2


@parallel_kernel
def project_forward(
    means: np.ndarray,  # (N*3,) and so on: everything per Gaussian comes flat
    quats: np.ndarray,  # (N*4,)
    scales: np.ndarray,  # (N*3,)
    opacities: np.ndarray,  # (N,) bound the radii only
    viewmats: np.ndarray,  # (C,4,4)
    Ks: np.ndarray,  # (C,3,3)
    frustum: Frustum,
    out: Projected,  # comes in as zeros
) -> None:
    width, height, near_plane, far_plane, radius_clip, eps2d, ortho, antialiased = frustum
    means2d, covs2d, depths, compensations, conics, radii, splats = out
    count = opacities.shape[0]
    splats32 = splats.view(np.float32)
    chunks = (count + CHUNK - 1) // CHUNK
    for chunk in prange(chunks):
        for camera in range(viewmats.shape[0]):
            viewmat = viewmats[camera]
            W = rotation_part(viewmat)
            fx, fy = np.float64(Ks[camera, 0, 0]), np.float64(Ks[camera, 1, 1])
            cx, cy = np.float64(Ks[camera, 0, 2]), np.float64(Ks[camera, 1, 2])
            for n in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK), WIDE_LANES):
                valid = count - n
                at = U(camera) * U(count) + U(n)
                _, (x, y, z), R, _, _, s = pose_of(n, valid, means, quats, scales, W, viewmat)
                scatter(depths, at, 1, valid, z)
                between = both(z >= near_plane, z <= far_plane)
                if bits(between) == U(0):
                    continue
                inverse_z = splat64(1.0) if ortho else 1.0 / select(between, z, 1.0)
                G = product(W, with_columns(R, s[0], s[1], s[2]))
                _, q = factor_2d(G, x, y, inverse_z, fx, fy, cx, cy, width, height, ortho)
                a, b, c, sharp = covariance(q)
                determinant = sharp + eps2d * (a + c) + eps2d * eps2d
                a, c = a + eps2d, c + eps2d
                good = both(between, determinant > 1e-30)
                inverse = select(good, 1.0 / select(good, determinant, 1.0), 0.0)
                u = select(good, fx * x * inverse_z + cx, 0.0)
                v = select(good, fy * y * inverse_z + cy, 0.0)
                a, b, c = select(good, a, 0.0), select(good, b, 0.0), select(good, c, 0.0)
                scatter(means2d, at * U(2), 2, valid, u)
                scatter(means2d, at * U(2) + U(1), 2, valid, v)
                scatter(covs2d, at * U(3), 3, valid, a)
                scatter(covs2d, at * U(3) + U(1), 3, valid, b)
                scatter(covs2d, at * U(3) + U(2), 3, valid, c)
                scatter(conics, at * U(3), 3, valid, c * inverse)
                scatter(conics, at * U(3) + U(1), 3, valid, -1.0 * b * inverse)
                scatter(conics, at * U(3) + U(2), 3, valid, a * inverse)
                opacity = gather(opacities, U(n), 1, valid)
                if antialiased:
                    compensation = sqrt(sharp * inverse)
                    scatter(compensations, at, 1, valid, compensation)
                    opacity = opacity * compensation
                visible = both(good, opacity * 255.0 >= 1.0)
                log_opacity = log2(select(visible, opacity, 1.0))
                extent = minimum(sqrt(maximum(log_opacity - LOG_ALPHA_MIN, 0.0)) * (1.0 / SCALE), SIGMA_EXTENT)
                root_c = sqrt(c)
                reach_x, reach_y = minimum(extent * sqrt(a), REACH_MAX), minimum(extent * root_c, REACH_MAX)
                radius_x, radius_y = ceil(reach_x), ceil(reach_y)
                inside = both(both(u + radius_x > 0.0, u - radius_x < width), v + radius_y > 0.0)
                inside = both(both(inside, v - radius_y < height), maximum(radius_x, radius_y) > radius_clip)
                seen = both(visible, inside)
                if bits(seen) == U(0):
                    continue
                inverse_root = 1.0 / select(seen, root_c, 1.0)
                slope_x = b * inverse_root * inverse_root
                l11 = select(seen, SCALE * root_c * sqrt(inverse), 0.0)
                scatter(radii, at * U(2), 2, valid, select(seen, radius_x, 0.0))
                scatter(radii, at * U(2) + U(1), 2, valid, select(seen, radius_y, 0.0))
                wide, narrow = at * U(RECORD), at * U(2 * RECORD)
                scatter(splats, wide + MEAN_X, RECORD, valid, u)
                scatter(splats, wide + MEAN_Y, RECORD, valid, v)
                scatter(splats, wide + L11, RECORD, valid, l11)
                scatter(splats, wide + L21, RECORD, valid, -1.0 * slope_x * l11)
                scatter(splats, wide + L22, RECORD, valid, SCALE * inverse_root)
                scatter(splats32, narrow + LOG_OPACITY, 2 * RECORD, valid, log_opacity)
                scatter(splats32, narrow + SLOPE_Y, 2 * RECORD, valid, b / select(seen, a, 1.0))
                scatter(splats32, narrow + SLOPE_X, 2 * RECORD, valid, slope_x)
                scatter(splats32, narrow + REACH_X, 2 * RECORD, valid, select(seen, reach_x, 0.0))
                scatter(splats32, narrow + REACH_Y, 2 * RECORD, valid, select(seen, reach_y, 0.0))
