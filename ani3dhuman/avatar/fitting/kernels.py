"""What a step of the fit does beside drawing, compiled: where Gaussians are, how far the picture is off, Adam.

Each Gaussian is a row of its own, so that the result has the same bits for any number of threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from ...jit import kernel, parallel_kernel
from ..lifts import FEWEST
from ..stretching import FLAT, LEAST, MOST, in_its_frame, principal

DECAY, DECAY_OF_SQUARES, TINY = 0.9, 0.99, 1e-15  # of Adam
_EARLY = np.arange(1, 2049)  # steps after which moments need no correction
_SHARES = np.stack([1 - DECAY**_EARLY, 1 - DECAY_OF_SQUARES**_EARLY]).astype(np.float32)  # of moments so early


class Bound(NamedTuple):
    """N Gaussians as they were sampled on a mesh of F triangles.

    Attributes:
        corners: (N,3) int64 vertices of each one's triangle.
        triangles: (N,) int64.
        shares: (N,3) barycentric coordinates.
        turns: (N,) about the triangle's normal, radians.
        slopes: (N,2,3) change of the shares a shift of 1 along tangent and bitangent.
        scales: (N,3) standard deviations, metres.
        round: (N,) bool, those of strands, which stay where they are and are as wide as thick.
        lifts: (N,) metres by which they are drawn nearer to the eye, as of `avatar.lifts`.
    """

    corners: np.ndarray
    triangles: np.ndarray
    shares: np.ndarray
    turns: np.ndarray
    slopes: np.ndarray
    scales: np.ndarray
    round: np.ndarray
    lifts: np.ndarray


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
def place(ids, values, bound, vertices, turns, strains, eye, left, means, quats, spread, opacities):  # type: ignore[no-untyped-def]
    """Fill `means` (n,3), `quats` (n,4), `spread` (n,3) and `opacities` (n,) of the rows `ids` (n,) of `values` (N,9).

    `vertices` (V,3) are the mesh's, `turns` (F,4) wxyz its triangles' rotations, `strains` (F,3) how they deform. They
    are lifted towards the `eye` (3,), `left` (n,) becomes the share of the distance that is left; one without numbers
    leaves them where they are.
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
        spread[n, 0], spread[n, 1], spread[n, 2] = first, second, second if bound.round[g] else bound.scales[g, 2]
        opacities[n] = 1.0 / (1.0 + math.exp(-values[g, 5]))
        left[n] = 1.0
        if len(eye):
            x, y, z = means[n, 0] - eye[0], means[n, 1] - eye[1], means[n, 2] - eye[2]
            left[n] = max(1.0 - bound.lifts[g] / max(math.sqrt(x * x + y * y + z * z), 1e-9), FEWEST)
            for i in range(3):
                means[n, i] = eye[i] + (means[n, i] - eye[i]) * left[n]
                spread[n, i] *= left[n]


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
    if bound.round[g] or abs(xx - 1) + abs(xy) + abs(yy - 1) < FLAT:
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

    A pixel is the mean of S x S. The picture wanted is `colors` (H,W,3), premultiplied by `alpha`
    (H,W), over the `backdrop` (3,). `weights` are of absolute differences, of squared ones, and of the alphas' absolute
    difference; the mean over pixels is meant.
    """
    height, width = alpha.shape
    samples = alphas.shape[0] // height
    share = np.float32(1 / samples**2)
    one = share / np.float32(height * width)
    absolute = one / np.float32(3) * weights[0]
    squared, coverage = one / np.float32(1.5) * weights[1], one * weights[2]
    for row in numba.prange(height):
        means, slopes = np.empty(width, np.float32), np.empty(width, np.float32)
        for k in range(3):
            _pixels(image[k], row, samples, means)
            for column in range(width):
                off = means[column] - colors[row, column, k] - (np.float32(1) - alpha[row, column]) * backdrop[k]
                slopes[column] = absolute * np.sign(off) + squared * off
            _fill(on_image[k], row, samples, slopes)
        _pixels(alphas, row, samples, means)
        for column in range(width):
            slopes[column] = coverage * np.sign(means[column] - alpha[row, column])
        _fill(on_alphas, row, samples, slopes)


@kernel
def _pixels(plane, row, samples, means):  # type: ignore[no-untyped-def]
    """Fill the means (W,) of a row of pixels from `samples` along each side of each."""
    means[:] = np.float32(0)
    share = np.float32(1 / samples**2)
    for y in range(samples * row, samples * (row + 1)):
        for x in range(samples):
            for column in range(len(means)):
                means[column] += share * plane[y, samples * column + x]


@kernel
def _fill(plane, row, samples, slopes):  # type: ignore[no-untyped-def]
    """Give all samples of a row of pixels the values (W,) of these."""
    for y in range(samples * row, samples * (row + 1)):
        for column in range(len(slopes)):
            for x in range(samples):
                plane[y, samples * column + x] = slopes[column]


@parallel_kernel
def descend(ids, values, bound, vertices, turns, strains, left, gradient, on_colors, shown, descent, rate):  # type: ignore[no-untyped-def]
    """A step of Adam on the rows `ids` (n,) of `values` (N,9), from the gradients of what `place` filled.

    Args:
        left: (n,) as `place` filled it; where the eye sees them does not depend on it.
        gradient: of the means (n,3), quats (n,4), spread (n,3) and opacities (n,).
        on_colors: (n,3) of the colours.
        shown: (n,) bool, Gaussians whose colours learn.
        rate: factor on the step.
    """
    on_means, on_quats, on_spread, on_opacities = gradient
    for n in numba.prange(len(ids)):
        g = ids[n]
        first, second = _next(descent.times, g)
        opacity = 1.0 / (1.0 + math.exp(-values[g, 5]))
        on_logit = on_opacities[n] * opacity * (1 - opacity)
        if bound.round[g]:
            long = left[n] * on_spread[n, 0] * bound.scales[g, 0] * math.exp(values[g, 3])
            wide = left[n] * (on_spread[n, 1] + on_spread[n, 2]) * bound.scales[g, 1] * math.exp(values[g, 4])
            _adam(g, 3, np.float32(long), values, descent, rate, first, second)
            _adam(g, 4, np.float32(wide), values, descent, rate, first, second)
            _adam(g, 5, np.float32(on_logit), values, descent, rate, first, second)
        else:
            along, across = 0.0, 0.0
            for k in range(3):
                down = 0.0
                for i in range(3):
                    down += on_means[n, i] * vertices[bound.corners[g, k], i]
                along += left[n] * down * bound.slopes[g, 0, k]
                across += left[n] * down * bound.slopes[g, 1, k]
            turn, long, wide = _on_axes(g, values, bound, turns, strains, on_quats[n], on_spread[n], left[n])
            for p, slope in enumerate((along, across, turn, long, wide, on_logit)):
                _adam(g, p, np.float32(slope), values, descent, rate, first, second)
        for k in range(3):
            slope = on_colors[n, k] if shown[n] else np.float32(0)
            _adam(g, 6 + k, slope, values, descent, rate, first, second)


@kernel
def _next(times, g):  # type: ignore[no-untyped-def]
    """Count a step; what the moments of so few are to be divided by."""
    taken = min(times[g], _SHARES.shape[1] - 1)
    times[g] += 1
    return _SHARES[0, taken], _SHARES[1, taken]


@kernel
def _on_axes(g, values, bound, turns, strains, on_quat, on_spread, left):  # type: ignore[no-untyped-def]
    """Gradients of the turn and of the logarithms of both sizes."""
    on_first, on_second = left * on_spread[0], left * on_spread[1]
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
    long = first * (on_first * a0 * v[0] - on_second * a1 * v[1])
    long += first * on_angle * (one * a1 * v[0] - two * a0 * v[1]) / apart
    wide = second * (on_first * b0 * v[1] + on_second * b1 * v[0])
    wide += second * on_angle * (one * b1 * v[1] + two * b0 * v[0]) / apart
    p00, p01 = first * b0 * v[0] - second * a0 * v[1], -first * b0 * v[1] - second * a0 * v[0]
    p10, p11 = first * b1 * v[0] - second * a1 * v[1], -first * b1 * v[1] - second * a1 * v[0]
    turned = on_first * p00 + on_second * p11 + on_angle * (one * p10 + two * p01) / apart
    return turned, long, wide


@kernel
def _adam(g, p, gradient, values, descent, rate, first, second):  # type: ignore[no-untyped-def]
    """One step on one value; `first` and `second` correct the moments of early steps. All is float32."""
    kept, kept_square = np.float32(DECAY), np.float32(DECAY_OF_SQUARES)
    slope = gradient + descent.pull[p] * (values[g, p] - descent.first[g, p])
    mean = kept * descent.means[g, p] + (np.float32(1) - kept) * slope
    square = kept_square * descent.squares[g, p] + (np.float32(1) - kept_square) * slope * slope
    descent.means[g, p], descent.squares[g, p] = mean, square
    moved = values[g, p] - rate * descent.rates[p] * mean / (first * (math.sqrt(square / second) + np.float32(TINY)))
    values[g, p] = min(max(moved, descent.least[g, p]), descent.most[g, p])
