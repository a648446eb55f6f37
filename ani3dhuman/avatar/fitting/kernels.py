"""What a step of the fit does beside drawing, compiled: where Gaussians are, how far the picture is off, Adam.

Each Gaussian is a row of its own, so that the result has the same bits for any number of threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from ...jit import kernel, parallel_kernel
from ...rendering.draw import SAMPLES
from ..stretching import FLAT, LEAST, MOST, in_its_frame, principal

DECAY, DECAY_OF_SQUARES, TINY = 0.9, 0.99, 1e-15  # of Adam


class Bound(NamedTuple):
    """N Gaussians as they were sampled on a mesh of F triangles.

    Attributes:
        corners: (N,3) int64 vertices of each one's triangle.
        triangles: (N,) int64.
        shares: (N,3) barycentric coordinates.
        turns: (N,) about the triangle's normal, radians.
        slopes: (N,2,3) change of the shares a shift of 1 along tangent and bitangent.
        scales: (N,3) standard deviations, metres.
        fixed: (N,) bool, Gaussians of which nothing but colours changes.
    """

    corners: np.ndarray
    triangles: np.ndarray
    shares: np.ndarray
    turns: np.ndarray
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
def place(ids, values, bound, vertices, turns, strains, means, quats, spread, opacities):  # type: ignore[no-untyped-def]
    """Fill `means` (n,3), `quats` (n,4), `spread` (n,3) and `opacities` (n,) of the rows `ids` (n,) of `values` (N,9).

    `vertices` (V,3) are the mesh's, `turns` (F,4) wxyz its triangles' rotations, `strains` (F,3) how they deform.
    """
    for n in numba.prange(len(ids)):
        g = ids[n]
        for i in range(3):
            means[n, i] = 0.0
        for k in range(3):
            share = bound.shares[g, k] + values[g, 0] * bound.slopes[g, 0, k] + values[g, 1] * bound.slopes[g, 1, k]
            for i in range(3):
                means[n, i] += share * vertices[bound.corners[g, k], i]
        (c, s), _, (first, second), _, _ = _axes(g, values, bound, strains)
        w, x, y, z = turns[bound.triangles[g]]
        quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3] = w * c - z * s, x * c + y * s, y * c - x * s, z * c + w * s
        spread[n, 0], spread[n, 1], spread[n, 2] = first, second, bound.scales[g, 2]
        opacities[n] = 1.0 / (1.0 + math.exp(-values[g, 5]))


@kernel
def _axes(g, values, bound, strains):  # type: ignore[no-untyped-def]
    """Gaussian `g` on the deformed mesh.

    Returns:
        Cosine and sine of half its turn about the normal; those of the turn that the deformation adds; both sizes on
        the deformed mesh, and at rest; and the deformation as the Gaussian sees it, row-major.
    """
    xx, xy, yy = strains[bound.triangles[g]]
    first, second = bound.scales[g, 0] * math.exp(values[g, 3]), bound.scales[g, 1] * math.exp(values[g, 4])
    half = 0.5 * (bound.turns[g] + values[g, 2])
    w, z = math.cos(half), math.sin(half)
    if bound.fixed[g] or abs(xx - 1) + abs(xy) + abs(yy - 1) < FLAT:
        return (w, z), (1.0, 0.0), (first, second), (first, second), (1.0, 0.0, 0.0, 1.0)
    a, b, c, d = in_its_frame(xx, xy, yy, w * w - z * z, 2 * w * z)
    cosine, sine, one, two = principal(a, b, c, d, first, second)
    one, two = min(max(one, LEAST * first), MOST * first), min(max(two, LEAST * second), MOST * second)
    more = math.sqrt(0.5 + 0.5 * cosine)
    less = 0.5 * sine / more
    return (w * more - z * less, w * less + z * more), (cosine, sine), (one, two), (first, second), (a, b, c, d)


@parallel_kernel
def mismatch(image, alphas, colors, alpha, backdrop, weights, on_image, on_alphas):  # type: ignore[no-untyped-def]
    """Fill the gradients of a loss for a drawn `image` (3,S*H,S*W) and its `alphas` (S*H,S*W).

    S is `SAMPLES`, and a pixel the mean of S x S. The picture wanted is `colors` (H,W,3), premultiplied by `alpha`
    (H,W), over the `backdrop` (3,). `weights` are of absolute differences, of squared ones, and of the alphas' absolute
    difference; the mean over pixels is meant.
    """
    height, width = alpha.shape
    share = np.float32(1 / SAMPLES**2)
    one = share / (height * width)
    absolute, squared, coverage = one / 3 * weights[0], one / 3 * 2 * weights[1], one * weights[2]
    for row in numba.prange(height):
        for k in range(3):
            for column in range(width):
                off = share * _sum(image[k], row, column) - colors[row, column, k]
                off -= (1 - alpha[row, column]) * backdrop[k]
                _fill(on_image[k], row, column, absolute * np.sign(off) + squared * off)
        for column in range(width):
            off = share * _sum(alphas, row, column) - alpha[row, column]
            _fill(on_alphas, row, column, coverage * np.sign(off))


@kernel
def _sum(plane, row, column):  # type: ignore[no-untyped-def]
    """Of the samples of a pixel."""
    total = np.float32(0)
    for y in range(SAMPLES):
        for x in range(SAMPLES):
            total += plane[SAMPLES * row + y, SAMPLES * column + x]
    return total


@kernel
def _fill(plane, row, column, value):  # type: ignore[no-untyped-def]
    """Give all samples of a pixel a value."""
    for y in range(SAMPLES):
        for x in range(SAMPLES):
            plane[SAMPLES * row + y, SAMPLES * column + x] = value


@parallel_kernel
def descend(ids, values, bound, vertices, turns, strains, on_means, on_quats, on_looks, shown, descent, rate):  # type: ignore[no-untyped-def]
    """A step of Adam on the rows `ids` (n,) of `values` (N,9), from the gradients of what `place` filled.

    Args:
        on_means, on_quats: (n,3) and (n,4).
        on_looks: (n,7) of the spread, the opacity and the colour.
        shown: (n,) bool, Gaussians whose colours learn.
        rate: factor on the step.
    """
    for n in numba.prange(len(ids)):
        g = ids[n]
        first, second = _next(descent.times, g)
        if not bound.fixed[g]:
            along, across = 0.0, 0.0
            for k in range(3):
                down = 0.0
                for i in range(3):
                    down += on_means[n, i] * vertices[bound.corners[g, k], i]
                along += down * bound.slopes[g, 0, k]
                across += down * bound.slopes[g, 1, k]
            turn, long, wide = _on_axes(g, values, bound, turns, strains, on_quats[n], on_looks[n])
            opacity = 1.0 / (1.0 + math.exp(-values[g, 5]))
            for p, slope in enumerate((along, across, turn, long, wide, on_looks[n, 3] * opacity * (1 - opacity))):
                _adam(g, p, slope, values, descent, rate, first, second)
        for k in range(3):
            _adam(g, 6 + k, on_looks[n, 4 + k] if shown[n] else 0.0, values, descent, rate, first, second)


@kernel
def _next(times, g):  # type: ignore[no-untyped-def]
    """Count a step; what the moments of so few are to be divided by."""
    times[g] += 1
    return 1 - DECAY ** times[g], 1 - DECAY_OF_SQUARES ** times[g]


@kernel
def _on_axes(g, values, bound, turns, strains, on_quat, on_look):  # type: ignore[no-untyped-def]
    """Gradients of the turn and of the logarithms of both sizes."""
    (c, s), u, (one, two), (first, second), (a0, b0, a1, b1) = _axes(g, values, bound, strains)
    w, x, y, z = turns[bound.triangles[g]]
    c, s = 0.5 * c, -0.5 * s
    on_angle = on_quat[0] * (w * s - z * c) + on_quat[1] * (x * s + y * c)
    on_angle += on_quat[2] * (y * s - x * c) + on_quat[3] * (z * s + w * c)
    # M = A S = U diag(one, two) V^T; of P = U^T dM V the diagonal changes the sizes, and what is beside it turns U
    apart = one * one - two * two
    apart = math.copysign(max(abs(apart), 1e-4 * one * one), apart)
    a0, a1 = u[0] * a0 + u[1] * a1, u[0] * a1 - u[1] * a0
    b0, b1 = u[0] * b0 + u[1] * b1, u[0] * b1 - u[1] * b0
    v = a0 * first / one, b0 * second / one  # the first of V's columns
    long = first * (on_look[0] * a0 * v[0] - on_look[1] * a1 * v[1])
    long += first * on_angle * (one * a1 * v[0] - two * a0 * v[1]) / apart
    wide = second * (on_look[0] * b0 * v[1] + on_look[1] * b1 * v[0])
    wide += second * on_angle * (one * b1 * v[1] + two * b0 * v[0]) / apart
    p00, p01 = first * b0 * v[0] - second * a0 * v[1], -first * b0 * v[1] - second * a0 * v[0]
    p10, p11 = first * b1 * v[0] - second * a1 * v[1], -first * b1 * v[1] - second * a1 * v[0]
    turned = on_look[0] * p00 + on_look[1] * p11 + on_angle * (one * p10 + two * p01) / apart
    return turned, long, wide


@kernel
def _adam(g, p, gradient, values, descent, rate, first, second):  # type: ignore[no-untyped-def]
    """One step on one value; `first` and `second` correct the moments of early steps."""
    slope = gradient + descent.pull[p] * (values[g, p] - descent.first[g, p])
    mean = DECAY * descent.means[g, p] + (1 - DECAY) * slope
    square = DECAY_OF_SQUARES * descent.squares[g, p] + (1 - DECAY_OF_SQUARES) * slope * slope
    descent.means[g, p], descent.squares[g, p] = mean, square
    moved = values[g, p] - rate * descent.rates[p] * mean / first / (math.sqrt(square / second) + TINY)
    values[g, p] = min(max(moved, descent.least[g, p]), descent.most[g, p])
