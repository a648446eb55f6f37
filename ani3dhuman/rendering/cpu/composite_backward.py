"""Compositing of tiles, backwards: gradients of each Gaussian's footprint, opacity and channels.

A tile is walked back to front, as light travels. T, the transmittance before a Gaussian, is recovered by dividing the
final one by 1 - alpha; B, the gradient-weighted colour of all that lies behind it, grows by
B' = B + alpha (<c, v> - B), v the image's gradient. Then dLoss/dalpha = T (<c, v> - B), in which nothing cancels.

Gradients with respect to sigma are summed over pixels with the first and second powers of (u, v) of `footprint`; six
such sums a Gaussian hold everything about its mean and its covariance. They are exact where products of a conic would
cancel: for a needle.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel
from .composite import AHEAD, CHANNELS_MIN, COVERAGE_MIN, TileInputs, TileOutputs, corner_of
from .footprint import (
    ALPHA_MAX,
    BLOCK,
    BLOCKS,
    L11,
    L21,
    L22,
    LANES,
    LOG_ALPHA_MIN,
    LOG_OPACITY,
    PIXEL_X,
    PIXEL_Y,
    PLACES,
    RECORD,
    SCALE,
    TILE_PIXELS,
    U,
    aligned,
    exp2,
    f4,
    place,
)
from .simd import both, first_bit, fma, fnma, maximum, minimum, reciprocal, select, splat, sums
from .simd_memory import load, load_rows, load_strided, prefetch, store

MOMENTS = 6  # with CHANNELS_MIN channels they fill a row's first vector; others hold 16 further channels each


def row_width(channels: int) -> int:
    """Floats in a row of sums."""
    return 16 * (1 + -(-(channels - CHANNELS_MIN) // 16))


@kernel
def read_block(flat, first, step, stride, width, height, left, top, scratch):  # type: ignore[no-untyped-def]
    """4x4 pixels of a picture in any memory order, zeros beyond its edge.

    Pixels are `step` floats apart and rows `stride`; the picture starts at `first`.
    """
    at = U(first) + U(top) * U(stride) + U(left) * U(step)
    if left + BLOCK <= width and top + BLOCK <= height:
        return load_rows(flat, at, stride) if step == 1 else load_strided(flat, at, step, stride)
    for k in range(16):
        x, y = k % 4, k // 4
        inside = left + x < width and top + y < height
        scratch[k] = flat[at + U(y) * U(stride) + U(x) * U(step)] if inside else f4(0)
    return load(scratch, U(0))


@kernel
def read_tile(
    camera: int,
    x0: int,
    y0: int,
    planes: np.ndarray,
    inputs: TileInputs,
    drawn: TileOutputs,
    own: np.uint64,
    g_image: np.ndarray,
    g_strides: tuple[int, int, int, int],
    g_alphas: np.ndarray,
    g_background: np.ndarray,
) -> None:
    """Set up T, B and the image's gradient: planes 0, 1 and 2.. of each block; sum the background's gradient."""
    image, transmittance, channels = drawn.image, drawn.transmittance, drawn.image.shape[1]
    backgrounds, expected = inputs.backgrounds, inputs.expected
    height, width, given = g_alphas.shape[1], g_alphas.shape[2], g_background.shape[0] // 16
    stride = LANES * U(2 + channels)
    pixels = height * width
    flat_image, flat_alphas = image.reshape(-1), g_alphas.reshape(-1)
    g_camera, g_row, g_step, g_channel = g_strides
    scratch = aligned(16)
    for b in range(BLOCKS):
        left, top = x0 + b % 8 * BLOCK, y0 + b // 8 * BLOCK
        if left >= width or top >= height:
            continue
        p = U(b) * stride
        see_through = load(transmittance, own + U(b) * LANES)
        behind = f4(0) - read_block(flat_alphas, camera * pixels, 1, width, width, height, left, top, scratch)
        for c in range(given):
            first = camera * g_camera + c * g_channel
            v = read_block(g_image, first, g_step, g_row, width, height, left, top, scratch)
            if c == expected:
                # depth = D / coverage: D takes v / coverage, and coverage minus depth times that
                first = camera * channels * pixels
                depth = read_block(flat_image, first + c * pixels, 1, width, width, height, left, top, scratch)
                coverage = read_block(flat_image, first + (c + 1) * pixels, 1, width, width, height, left, top, scratch)
                v = v / maximum(coverage, COVERAGE_MIN)
                store(planes, p + LANES * U(3 + c), f4(0) - v * depth)
            store(planes, p + LANES * U(2 + c), v)
            behind = fma(v, backgrounds[camera, c], behind)
            total = LANES * U(c)
            store(g_background, total, fma(v, see_through, load(g_background, total)))
        for c in range(given + 1 if expected >= 0 else given, channels):
            store(planes, p + LANES * U(2 + c), splat(f4(0)))
        store(planes, p, see_through)
        store(planes, p + LANES, behind)


@kernel
def backward_tile(
    tile: int,
    inputs: TileInputs,
    drawn: TileOutputs,
    g_image: np.ndarray,
    g_strides: tuple[int, int, int, int],
    g_alphas: np.ndarray,
    g_background: np.ndarray,
    rows: np.ndarray,
) -> None:
    splats, features, tile_starts, ids, slots, _, layout, _, _ = inputs
    image, _, _, last, masks = drawn
    splats32 = splats.view(np.float32)
    channels = image.shape[1]
    camera, x0, y0 = corner_of(tile, g_alphas.shape[2], g_alphas.shape[1])
    own = U(tile) * U(TILE_PIXELS)
    stride = LANES * U(2 + channels)
    planes = aligned(BLOCKS * 16 * (2 + channels))
    places = aligned(PLACES)
    read_tile(camera, x0, y0, planes, inputs, drawn, own, g_image, g_strides, g_alphas, g_background)
    pixel_x, pixel_y = load(layout, PIXEL_X), load(layout, PIXEL_Y)
    zero = splat(f4(0))
    further = U(channels - CHANNELS_MIN)  # channels whose sums live in memory while a Gaussian is worked
    further_rows = (further + LANES - U(1)) // LANES
    width = LANES * (U(1) + further_rows)
    tail = aligned(16 * 16 * int(further_rows))
    start, end = tile_starts[tile], tile_starts[tile + 1]
    for i in range(end - 1, start - 1, -1):
        if i - AHEAD >= start:
            prefetch(splats, U(ids[i - AHEAD]) * U(RECORD))
            prefetch(features, U(ids[i - AHEAD]) * U(channels))
            prefetch(rows, U(slots[i - AHEAD]) * width)
        mask = masks[i]
        row = U(slots[i]) * width
        if mask == U(0):
            for r in range(further_rows + U(1)):
                store(rows, row + r * LANES, zero)
            continue
        g = ids[i]
        place(layout, places, g, splats, x0, y0)
        at = U(g) * U(RECORD)
        u_block = fma(pixel_x, f4(splats[at + L11]), pixel_y * f4(splats[at + L21]))
        v_block = pixel_y * f4(splats[at + L22])
        log_opacity = splats32[at + at + LOG_OPACITY]
        color = U(g) * U(channels)
        red, green, blue = features[color], features[color + U(1)], features[color + U(2)]
        entry = f4(i - start)
        s, su, sv, suu, suv, svv = zero, zero, zero, zero, zero, zero
        g_red, g_green, g_blue = zero, zero, zero
        for k in range(further):
            store(tail, k * LANES, zero)
        while mask != U(0):
            b = first_bit(mask)
            mask &= mask - U(1)
            u = u_block + places[b]
            v = v_block + places[U(BLOCKS) + b]
            power = fnma(v, v, fnma(u, u, log_opacity))
            drawn = both(power >= LOG_ALPHA_MIN, load(last, own + b * LANES) >= entry)
            raw = exp2(power)
            alpha = select(drawn, minimum(raw, ALPHA_MAX), f4(0))
            p = b * stride
            before = load(planes, p) * reciprocal(f4(1) - alpha)
            store(planes, p, before)
            weight = alpha * before
            behind = load(planes, p + LANES)
            q = p + LANES * U(2)
            v_red, v_green, v_blue = load(planes, q), load(planes, q + LANES), load(planes, q + LANES * U(2))
            dot = fma(v_blue, blue, fma(v_green, green, v_red * red))
            g_red = fma(weight, v_red, g_red)
            g_green = fma(weight, v_green, g_green)
            g_blue = fma(weight, v_blue, g_blue)
            q += LANES * U(CHANNELS_MIN)
            for k in range(further):
                v_channel = load(planes, q + k * LANES)
                dot = fma(v_channel, features[color + U(CHANNELS_MIN) + k], dot)
                store(tail, k * LANES, fma(weight, v_channel, load(tail, k * LANES)))
            over = dot - behind
            store(planes, p + LANES, fma(alpha, over, behind))
            g = select(raw <= ALPHA_MAX, weight * over, f4(0))  # minus dLoss/dsigma
            gu, gv = g * u, g * v
            s, su, sv = s + g, su + gu, sv + gv
            suu, suv, svv = fma(gu, u, suu), fma(gu, v, suv), fma(gv, v, svv)
        store(rows, row, sums((s, su, sv, suu, suv, svv, g_red, g_green, g_blue)))
        for r in range(further_rows):
            for k in range(further, further_rows * LANES):
                store(tail, k * LANES, zero)
            t = r * LANES * LANES
            store(
                rows,
                row + (r + U(1)) * LANES,
                sums((
                    load(tail, t), load(tail, t + U(16)), load(tail, t + U(32)), load(tail, t + U(48)),
                    load(tail, t + U(64)), load(tail, t + U(80)), load(tail, t + U(96)), load(tail, t + U(112)),
                    load(tail, t + U(128)), load(tail, t + U(144)), load(tail, t + U(160)), load(tail, t + U(176)),
                    load(tail, t + U(192)), load(tail, t + U(208)), load(tail, t + U(224)), load(tail, t + U(240)),
                )),
            )  # fmt: skip


@parallel_kernel
def composite_backward(
    inputs: TileInputs,
    drawn: TileOutputs,
    g_image: np.ndarray,  # flat memory of (C,H,W,X'), X' <= X: no coverage, no padding
    g_strides: tuple[int, int, int, int],  # its strides in floats
    g_alphas: np.ndarray,  # (C,H,W)
    g_backgrounds: np.ndarray,  # (tiles,X'*16) out, comes in as zeros; to be summed over tiles and sixteens
    rows: np.ndarray,  # (M*row_width,) out
) -> None:
    """Each entry writes its own row, so no two tiles ever meet."""
    schedule = inputs.schedule
    for job in prange(schedule.shape[0]):
        tile = np.int64(schedule[job])
        backward_tile(tile, inputs, drawn, g_image, g_strides, g_alphas, g_backgrounds[tile], rows)


@parallel_kernel
def gather_gradients(
    splats: np.ndarray,
    opacities: np.ndarray,  # (G,)
    slot_starts: np.ndarray,  # (G+1,) rows of each Gaussian
    rows: np.ndarray,
    width: int,  # of a row
    g_means2d: np.ndarray,  # (G,2) outs
    g_covs2d: np.ndarray,  # (G,3) xx, xy, yy
    g_opacities: np.ndarray,  # (G,)
    g_features: np.ndarray,  # (G,X')
) -> None:
    """Add each Gaussian's rows in a fixed order: the result does not depend on the number of threads.

    With n = L^T (u, v): dsigma/dmean = -n and dsigma/dcov = -n n^T / 2.
    """
    channels = g_features.shape[1]
    count = slot_starts.shape[0] - 1
    for g in prange(count):
        s, su, sv, suu, suv, svv = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for c in range(channels):
            g_features[g, c] = f4(0)
        for slot in range(slot_starts[g], slot_starts[g + 1]):
            row = slot * width
            s += rows[row]
            su += rows[row + 1]
            sv += rows[row + 2]
            suu += rows[row + 3]
            suv += rows[row + 4]
            svv += rows[row + 5]
            for c in range(min(channels, CHANNELS_MIN)):
                g_features[g, c] += rows[row + MOMENTS + c]
            for c in range(CHANNELS_MIN, channels):
                g_features[g, c] += rows[row + 16 + c - CHANNELS_MIN]
        at = U(g) * U(RECORD)
        # splats hold SCALE L; the sums are of SCALE u, SCALE v, and of minus dLoss/dsigma
        square = 1.0 / (SCALE * SCALE)
        l11, l21, l22 = splats[at + L11], splats[at + L21], splats[at + L22]
        g_means2d[g, 0] = l11 * su * square
        g_means2d[g, 1] = (l21 * su + l22 * sv) * square
        square *= square
        g_covs2d[g, 0] = 0.5 * l11 * l11 * suu * square
        g_covs2d[g, 1] = l11 * (l21 * suu + l22 * suv) * square
        g_covs2d[g, 2] = 0.5 * (l21 * l21 * suu + 2.0 * l21 * l22 * suv + l22 * l22 * svv) * square
        g_opacities[g] = s / opacities[g] if slot_starts[g] < slot_starts[g + 1] else 0.0
