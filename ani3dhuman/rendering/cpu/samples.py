"""Pixels as the mean of several samples, of pictures that nobody differentiates."""

from __future__ import annotations

import numba

from ...jit import parallel_kernel


@parallel_kernel
def mean_samples(image, alphas, samples, depth, faint, pixels, coverage):  # type: ignore[no-untyped-def]
    """Fill `pixels` (C,H,W,X) and `coverage` (C,H,W) with means over `samples` by `samples` of a picture.

    Args:
        image, alphas: (C,X,H*samples,W*samples) planes, and (C,H*samples,W*samples).
        samples: along each side of a pixel.
        depth: number of the channel that is a depth, whose mean is by coverage; -1 where none is.
        faint: coverage by which depths are divided is no less.
    """
    count, height, width, channels = pixels.shape
    share = numba.float32(1.0 / (samples * samples))
    for row in numba.prange(count * height):
        c, y = row // height, row % height
        for x in range(width):
            total = numba.float32(0)
            for j in range(samples):
                for i in range(samples):
                    total += alphas[c, y * samples + j, x * samples + i]
            coverage[c, y, x] = share * total
        for k in range(channels):
            plane = image[c, k]
            for x in range(width):
                total = numba.float32(0)
                for j in range(samples):
                    for i in range(samples):
                        value = plane[y * samples + j, x * samples + i]
                        total += value * alphas[c, y * samples + j, x * samples + i] if k == depth else value
                total *= share
                pixels[c, y, x, k] = total / max(coverage[c, y, x], faint) if k == depth else total
