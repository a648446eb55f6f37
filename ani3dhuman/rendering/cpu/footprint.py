"""What a Gaussian is to the compositing kernels: a splat record, its reach in a tile, and its alpha.

With the projected covariance S factored as inverse(S) = L^T L, L = [[l11, l21], [0, l22]], a pixel at distance (dx, dy)
has (u, v) = L (dx, dy) and alpha = opacity exp(-(u^2 + v^2) / 2). L is kept times sqrt(log2(e) / 2), so that
alpha = 2^(log2(opacity) - u^2 - v^2). u and v are affine in the pixel's place: their value at a tile's corner is found
in float64, and inside the tile float32 loses nothing, be the Gaussian a needle a thousand pixels long.

A tile is 32x32 pixels, made of 64 blocks of 4x4; one block is one vector. Per Gaussian and tile a 64-bit mask
says which blocks its ellipse touches.
"""

from __future__ import annotations

import math

import numpy as np

from ...jit import kernel
from .simd import floor, fma, fnma, maximum, minimum, select, shift_exponent, spans, splat, sqrt
from .simd_memory import load, store

f4, U = np.float32, np.uint64

TILE = 32
BLOCK = 4
BLOCKS = (TILE // BLOCK) ** 2
LANES = U(BLOCK * BLOCK)
TILE_PIXELS = TILE * TILE
STRIP = 8  # rows of pixels whose 16 blocks are tested at once

# a splat record is one cache line: five float64, then six float32
RECORD = 8
MEAN_X, MEAN_Y, L11, L21, L22 = (U(k) for k in range(5))
LOG_OPACITY, SLOPE_Y, SLOPE_X, REACH_X, REACH_Y = (U(k) for k in range(10, 15))  # of the same line seen as float32

SCALE = math.sqrt(0.5 * math.log2(math.e))
LOG_ALPHA_MIN = -math.log2(255)  # gsplat's rule: an alpha below 1/255 is not drawn
ALPHA_MAX = f4(0.999)
SLACK, MARGIN = f4(1.001), f4(1e-3)  # how much wider than exact the block test is, for rounding

# 2^f on [-1/2, 1/2], relative error 2e-7
E0, E1, E2, E3, E4, E5 = (
    f4(v)
    for v in np.polynomial.Chebyshev.interpolate(np.exp2, 5, domain=[-0.5, 0.5])
    .convert(kind=np.polynomial.Polynomial)
    .coef
)
ROUNDER = f4(1.5 * 2**23)  # adding it rounds to an integer, which then stands in the low bits

_lane = np.arange(16)
# vectors: pixel centres inside a block, corners of the 16 blocks of a strip; and for `touched_blocks`, +1 in the lanes
# of right ends and -1 in those of left ends, the first pixel centre of each row of blocks, what turns a block counted
# from the right into one counted from the left, and the ends of an empty row
LAYOUT = np.concatenate(
    [
        _lane % BLOCK + 0.5,
        _lane // BLOCK + 0.5,
        _lane % 8 * BLOCK,
        _lane // 8 * BLOCK,
        np.where(_lane < 8, 1, -1),
        _lane % 8 * BLOCK + 0.5,
        np.where(_lane < 8, 0, 7),
        np.where(_lane < 8, -1, 8),
    ],
    dtype=np.float32,
)
PIXEL_X, PIXEL_Y, CORNER_X, CORNER_Y, SIDE, ROW_TOP, MIRROR, EMPTY = (U(16 * k) for k in range(8))
PLACES = 2 * BLOCKS  # floats that `place` fills


@kernel
def exp2(x):  # type: ignore[no-untyped-def]
    """2^x by lane, for x > -126; anything below gives garbage that the caller must not use."""
    shifted = x + ROUNDER
    f = x - (shifted - ROUNDER)
    p = fma(fma(fma(fma(fma(f, E5, E4), f, E3), f, E2), f, E1), f, E0)
    return shift_exponent(p, shifted)


@kernel
def place(layout, places, g, splats, x0, y0):  # type: ignore[no-untyped-def]
    """u and v at the corners of all blocks of the tile at (x0, y0), 64 each, into `places`."""
    at = U(g) * U(RECORD)
    dx, dy = x0 - splats[at + MEAN_X], y0 - splats[at + MEAN_Y]
    u0 = f4(splats[at + L11] * dx + splats[at + L21] * dy)
    v0 = f4(splats[at + L22] * dy)
    l11, l21, l22 = f4(splats[at + L11]), f4(splats[at + L21]), f4(splats[at + L22])
    column = fma(load(layout, CORNER_X), l11, u0)
    row = load(layout, CORNER_Y)
    for strip in range(TILE // STRIP):
        y = row + f4(strip * STRIP)
        store(places, U(strip) * LANES, fma(y, l21, column))
        store(places, U(BLOCKS) + U(strip) * LANES, fma(y, l22, v0))


@kernel
def touched_blocks(layout, g, splats, splats32, x0, y0):  # type: ignore[no-untyped-def]
    """Bit mask of the tile's blocks in which alpha reaches 1/255 somewhere.

    An ellipse cut by a row of blocks is convex, so it touches the blocks from its leftmost to its rightmost point
    there. Those lie where the whole ellipse has them, or on the row's edge next to that. The right ends of the eight
    rows are found in lanes 0 to 7, the left ends in 8 to 15.
    """
    at, at32 = U(g) * U(RECORD), U(g) * U(2 * RECORD)
    mean_x, mean_y = f4(splats[at + MEAN_X] - x0), f4(splats[at + MEAN_Y] - y0)
    l22 = f4(splats[at + L22])
    width = f4(1 / splats[at + L11])
    reach_x = splats32[at32 + REACH_X]
    most = (splats32[at32 + LOG_OPACITY] - f4(LOG_ALPHA_MIN)) * SLACK + MARGIN
    side, top = load(layout, SIDE), load(layout, ROW_TOP)
    bottom = top + f4(BLOCK - 1)
    extreme = fma(side, splats32[at32 + SLOPE_Y] * reach_x, mean_y)
    dy = minimum(maximum(extreme, top), bottom) - mean_y
    v = dy * l22
    across = sqrt(maximum(fnma(v, v, most), f4(0))) * width
    x = fma(dy, splats32[at32 + SLOPE_X], fma(side, across, mean_x))
    # float32 places a mean that is far away no better than this
    x = fma(side, f4(0.01) + f4(1e-6) * (abs(mean_x) + reach_x), x)
    # the last block that begins before the right end; the first that ends after the left one
    ends = side * floor(fma(x - f4(TILE / 2), side * f4(1 / BLOCK), f4(TILE / 2 / BLOCK - 0.125))) + load(
        layout, MIRROR
    )
    near = (minimum(maximum(splat(mean_y), top), bottom) - mean_y) * l22
    ends = minimum(maximum(ends, f4(-1)), f4(TILE // BLOCK))
    return spans(select(near * near <= most, ends, load(layout, EMPTY)))


@kernel
def aligned(count):  # type: ignore[no-untyped-def]
    """An uninitialised float32 array that starts on a cache line."""
    raw = np.empty(count + 16, np.float32)
    first = (64 - raw.ctypes.data % 64) // 4 % 16
    return raw[first : first + count]
