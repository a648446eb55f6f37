"""What a step of the fit does beside drawing, compiled: where Gaussians are, how far the picture is off, Adam.

Each Gaussian is a row of its own, so that the result has the same bits for any number of threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from ...jit import kernel, parallel_kernel

DECAY, DECAY_OF_SQUARES, TINY = 0.9, 0.99, 1e-15  # of Adam


class Bound(NamedTuple):
    """N Gaussians as they were sampled on a mesh of F triangles.

    Attributes:
        corners: (N,3) int64 vertices of each one's triangle.
        triangles: (N,) int64.
        shares: (N,3) barycentric coordinates.
        local: (N,4) wxyz in the triangle's frame.
        slopes: (N,2,3) change of the shares a shift of 1 along tangent and bitangent.
        scales: (N,3) standard deviations, metres.
        fixed: (N,) bool, Gaussians of which nothing but colours changes.
    """

    corners: np.ndarray
    triangles: np.ndarray
    shares: np.ndarray
    local: np.ndarray
    slopes: np.ndarray
    scales: np.ndarray
    fixed: np.ndarray


class Descent(NamedTuple):
    """State of Adam on a table (N,P), and how it may go.

    Attributes:
        first: (N,P) values at the start, which `pull` draws back to.
        means, squares: (N,P) moments.
        times: (N,) steps of each row.
        rates, pull: (P,).
        least, most: (N,P) bounds.
    """

    first: np.ndarray
    means: np.ndarray
    squares: np.ndarray
    times: np.ndarray
    rates: np.ndarray
    pull: np.ndarray
    least: np.ndarray
    most: np.ndarray


@parallel_kernel
def place(ids, values, bound, vertices, turns, means, quats, spread, opacities):  # type: ignore[no-untyped-def]
    """Fill `means` (n,3), `quats` (n,4), `spread` (n,3) and `opacities` (n,) of the rows `ids` (n,) of `values` (N,9).

    `vertices` (V,3) are the mesh's, `turns` (F,4) wxyz its triangles' rotations.
    """
    for n in numba.prange(len(ids)):
        g = ids[n]
        for i in range(3):
            means[n, i] = 0.0
        for k in range(3):
            share = bound.shares[g, k] + values[g, 0] * bound.slopes[g, 0, k] + values[g, 1] * bound.slopes[g, 1, k]
            for i in range(3):
                means[n, i] += share * vertices[bound.corners[g, k], i]
        w, x, y, z = _turned(turns[bound.triangles[g]], bound.local[g])
        c, s = math.cos(values[g, 2] / 2), math.sin(values[g, 2] / 2)
        quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3] = w * c - z * s, x * c + y * s, y * c - x * s, z * c + w * s
        spread[n, 0] = bound.scales[g, 0] * math.exp(values[g, 3])
        spread[n, 1] = bound.scales[g, 1] * math.exp(values[g, 4])
        spread[n, 2] = bound.scales[g, 2]
        opacities[n] = 1.0 / (1.0 + math.exp(-values[g, 5]))


@kernel
def _turned(p, q):  # type: ignore[no-untyped-def]
    """Hamilton product of wxyz quaternions."""
    return (
        p[0] * q[0] - p[1] * q[1] - p[2] * q[2] - p[3] * q[3],
        p[0] * q[1] + p[1] * q[0] + p[2] * q[3] - p[3] * q[2],
        p[0] * q[2] - p[1] * q[3] + p[2] * q[0] + p[3] * q[1],
        p[0] * q[3] + p[1] * q[2] - p[2] * q[1] + p[3] * q[0],
    )


@parallel_kernel
def mismatch(image, alphas, colors, alpha, backdrop, weights, on_image, on_alphas):  # type: ignore[no-untyped-def]
    """Fill the gradients of a loss for a drawn `image` (3,H,W) and its `alphas` (H,W).

    The picture wanted is `colors` (H,W,3), premultiplied by `alpha` (H,W), over the `backdrop` (3,). `weights` are of
    absolute differences, of squared ones, and of the alphas' absolute difference; the mean over pixels is meant.
    """
    height, width = alpha.shape
    one = 1.0 / (height * width)
    for y in numba.prange(height):
        for x in range(width):
            for k in range(3):
                off = image[k, y, x] - colors[y, x, k] - (1 - alpha[y, x]) * backdrop[k]
                on_image[k, y, x] = one / 3 * (weights[0] * np.sign(off) + 2 * weights[1] * off)
            on_alphas[y, x] = one * weights[2] * np.sign(alphas[y, x] - alpha[y, x])


@parallel_kernel
def descend(ids, values, bound, vertices, turns, on_means, on_quats, on_looks, shown, descent, rate):  # type: ignore[no-untyped-def]
    """A step of Adam on the rows `ids` (n,) of `values` (N,9), from the gradients of what `place` filled.

    Args:
        on_means, on_quats: (n,3) and (n,4).
        on_looks: (n,7) of the spread, the opacity and the colour.
        shown: (n,) bool, Gaussians whose colours learn.
        rate: factor on the step.
    """
    for n in numba.prange(len(ids)):
        g = ids[n]
        gradient = np.zeros(9)
        if not bound.fixed[g]:
            _shape_gradient(g, values, bound, vertices, turns, on_means[n], on_quats[n], on_looks[n], gradient)
        if shown[n]:
            for k in range(3):
                gradient[6 + k] = on_looks[n, 4 + k]
        _adam(g, values, gradient, descent, rate)


@kernel
def _shape_gradient(g, values, bound, vertices, turns, on_mean, on_quat, on_look, gradient):  # type: ignore[no-untyped-def]
    """Fill the first six of `gradient` (9,), of all but the colour."""
    for k in range(3):
        along = 0.0
        for i in range(3):
            along += on_mean[i] * vertices[bound.corners[g, k], i]
        gradient[0] += along * bound.slopes[g, 0, k]
        gradient[1] += along * bound.slopes[g, 1, k]
    w, x, y, z = _turned(turns[bound.triangles[g]], bound.local[g])
    c, s = 0.5 * math.cos(values[g, 2] / 2), -0.5 * math.sin(values[g, 2] / 2)
    gradient[2] = on_quat[0] * (w * s - z * c) + on_quat[1] * (x * s + y * c)
    gradient[2] += on_quat[2] * (y * s - x * c) + on_quat[3] * (z * s + w * c)
    gradient[3] = on_look[0] * bound.scales[g, 0] * math.exp(values[g, 3])
    gradient[4] = on_look[1] * bound.scales[g, 1] * math.exp(values[g, 4])
    opacity = 1.0 / (1.0 + math.exp(-values[g, 5]))
    gradient[5] = on_look[3] * opacity * (1 - opacity)


@kernel
def _adam(g, values, gradient, descent, rate):  # type: ignore[no-untyped-def]
    """One step on row `g`."""
    descent.times[g] += 1
    first, second = 1 - DECAY ** descent.times[g], 1 - DECAY_OF_SQUARES ** descent.times[g]
    for p in range(len(gradient)):
        slope = gradient[p] + descent.pull[p] * (values[g, p] - descent.first[g, p])
        descent.means[g, p] = DECAY * descent.means[g, p] + (1 - DECAY) * slope
        descent.squares[g, p] = DECAY_OF_SQUARES * descent.squares[g, p] + (1 - DECAY_OF_SQUARES) * slope * slope
        size = math.sqrt(descent.squares[g, p] / second) + TINY
        moved = values[g, p] - rate * descent.rates[p] * descent.means[g, p] / first / size
        values[g, p] = min(max(moved, descent.least[g, p]), descent.most[g, p])
