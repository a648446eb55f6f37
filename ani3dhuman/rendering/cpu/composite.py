"""Front-to-back compositing of tiles, forward and backward, for any number of channels.

A tile is one flat float32 buffer of planes of 256 pixels: transmittance, pixel centres, weight, then one plane a
channel. One flat buffer and uint64 indices are what lets LLVM vectorise the pixel loops: with several arrays or signed
indices it reports memory conflicts and silently emits scalar code (tests/rendering/test_simd.py guards this).

Rules are gsplat's: alpha = min(0.999, opacity exp(-sigma)); an alpha below 1/255 is skipped; a pixel is finished by the
first Gaussian that would bring its transmittance to 1e-4 or below, and that Gaussian is not drawn.
A finished pixel keeps its transmittance with the sign turned, so that one plane holds both.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ani3dhuman.rendering.cpu.jit import kernel, parallel_kernel

f4 = np.float32
U = np.uint64

TILE = 16
PIXELS = TILE * TILE
CHECK_EVERY = 32  # Gaussians between two looks at whether a tile still has unfinished pixels

ALPHA_MIN = f4(1 / 255)
ALPHA_MAX = f4(0.999)
TRANSMITTANCE_MIN = f4(1e-4)
ZERO, HALF, ONE, EIGHTH = f4(0), f4(0.5), f4(1), f4(0.125)
# exp(x) on [-5.76, 0] as polynomial(x / 8) ** 8: relative error below 1e-6, and plain multiplies vectorise everywhere.
# opacity <= 1 means that alpha is below 1/255 from sigma = ln(255) = 5.54 on, so larger sigmas may be clamped.
SIGMA_MAX = f4(5.7)
E0, E1, E2, E3, E4, E5 = (
    f4(v)
    for v in np.polynomial.Chebyshev.interpolate(np.exp, 5, domain=[-0.72, 0])
    .convert(kind=np.polynomial.Polynomial)
    .coef
)

ROW = U(TILE)
PLANE, PLANE2, PLANE3 = U(PIXELS), U(2 * PIXELS), U(3 * PIXELS)
# where planes start; transmittance is plane 0
CENTRE_X, CENTRE_Y, WEIGHT = U(PIXELS), U(2 * PIXELS), U(3 * PIXELS)
FORWARD_PLANES = 4
FORWARD_CHANNELS = U(FORWARD_PLANES * PIXELS)
# backward only: <colour, image gradient>, and what lies behind the current Gaussian, weighted by the image gradient
COLOR_DOT, BEHIND = U(4 * PIXELS), U(5 * PIXELS)
BACKWARD_PLANES = 6
BACKWARD_CHANNELS = U(BACKWARD_PLANES * PIXELS)
MOMENTS = 6  # geometric gradient sums an intersection keeps before its channel sums


@kernel
def attenuate(tile: np.ndarray, first: U, last: U, x: f4, y: f4, a: f4, b: f4, c: f4, opacity: f4) -> None:
    """Let one Gaussian absorb light in pixels first..last: sets their weights, lowers their transmittance.

    (x, y): its centre in the tile's pixels; a, b, c: sigma = a dx^2 + b dx dy + c dy^2.
    """
    for p in range(first, last):
        dx = tile[CENTRE_X + p] - x
        dy = tile[CENTRE_Y + p] - y
        sigma = a * dx * dx + b * dx * dy + c * dy * dy
        z = -min(sigma, SIGMA_MAX) * EIGHTH
        e = E0 + z * (E1 + z * (E2 + z * (E3 + z * (E4 + z * E5))))
        e = e * e
        e = e * e
        e = e * e
        alpha = min(opacity * e, ALPHA_MAX)
        alpha = alpha if (alpha >= ALPHA_MIN) & (sigma >= ZERO) else ZERO
        before = tile[p]
        after = before * (ONE - alpha)
        drawn = after > TRANSMITTANCE_MIN
        tile[WEIGHT + p] = alpha * before if drawn else ZERO
        tile[p] = after if drawn else -abs(before)


@kernel
def add_channels(tile: np.ndarray, first: U, last: U, base: U, c0: f4, c1: f4, c2: f4, c3: f4) -> None:
    """Add weight times colour to the four channel planes that start at `base`."""
    for p in range(first, last):
        w = tile[WEIGHT + p]
        tile[base + p] += w * c0
        tile[base + PLANE + p] += w * c1
        tile[base + PLANE2 + p] += w * c2
        tile[base + PLANE3 + p] += w * c3


@kernel
def dot_channels(tile: np.ndarray, first: U, last: U, base: U, c0: f4, c1: f4, c2: f4, c3: f4, keep: f4) -> None:
    """<colour, image gradient> of four channels; `keep` 0 starts the sum, 1 goes on with it."""
    for p in range(first, last):
        tile[COLOR_DOT + p] = (
            keep * tile[COLOR_DOT + p]
            + c0 * tile[base + p]
            + c1 * tile[base + PLANE + p]
            + c2 * tile[base + PLANE2 + p]
            + c3 * tile[base + PLANE3 + p]
        )


@kernel
def attenuate_backward(
    tile: np.ndarray, first: U, last: U, x: f4, y: f4, a: f4, b: f4, c: f4, opacity: f4
) -> tuple[f4, f4, f4, f4, f4, f4]:
    """Repeat `attenuate` and sum dLoss/dsigma and its first and second moments over the pixels."""
    s0 = ZERO
    sx = ZERO
    sy = ZERO
    sxx = ZERO
    sxy = ZERO
    syy = ZERO
    for p in range(first, last):
        dx = tile[CENTRE_X + p] - x
        dy = tile[CENTRE_Y + p] - y
        sigma = a * dx * dx + b * dx * dy + c * dy * dy
        z = -min(sigma, SIGMA_MAX) * EIGHTH
        e = E0 + z * (E1 + z * (E2 + z * (E3 + z * (E4 + z * E5))))
        e = e * e
        e = e * e
        e = e * e
        raw = opacity * e
        alpha = min(raw, ALPHA_MAX)
        alpha = alpha if (alpha >= ALPHA_MIN) & (sigma >= ZERO) else ZERO
        before = tile[p]
        after = before * (ONE - alpha)
        drawn = after > TRANSMITTANCE_MIN
        weight = alpha * before if drawn else ZERO
        tile[WEIGHT + p] = weight
        tile[p] = after if drawn else -abs(before)
        dot = tile[COLOR_DOT + p]
        behind = tile[BEHIND + p] - weight * dot
        tile[BEHIND + p] = behind
        g_alpha = before * dot - behind / (ONE - alpha)
        g = -alpha * g_alpha if drawn & (raw <= ALPHA_MAX) else ZERO
        gx = g * dx
        gy = g * dy
        s0 += g
        sx += gx
        sy += gy
        sxx += gx * dx
        sxy += gx * dy
        syy += gy * dy
    return s0, sx, sy, sxx, sxy, syy


@kernel
def sum_channels(tile: np.ndarray, first: U, last: U, base: U) -> tuple[f4, f4, f4, f4]:
    """Gradients of four channels of one Gaussian's colour: the image gradient summed by weight."""
    g0 = ZERO
    g1 = ZERO
    g2 = ZERO
    g3 = ZERO
    for p in range(first, last):
        w = tile[WEIGHT + p]
        g0 += w * tile[base + p]
        g1 += w * tile[base + PLANE + p]
        g2 += w * tile[base + PLANE2 + p]
        g3 += w * tile[base + PLANE3 + p]
    return g0, g1, g2, g3


@kernel
def count_unfinished(tile: np.ndarray) -> int:
    count = 0
    for p in range(PLANE):
        count += 1 if tile[p] > ZERO else 0
    return count


@kernel
def corner_of(tile_index: int, width: int, height: int) -> tuple[int, int, int]:
    """Camera, left column and top row of a tile, counted camera by camera, row by row."""
    across = (width + TILE - 1) // TILE
    down = (height + TILE - 1) // TILE
    return tile_index // (across * down), tile_index % across * TILE, tile_index // across % down * TILE


@kernel
def new_tile(planes: int, x0: int, y0: int, width: int, height: int) -> np.ndarray:
    """A buffer with pixel centres set and transmittance 1 inside the picture, 0 in pixels beyond its edge."""
    tile = np.zeros(planes * PIXELS, f4)
    for r in range(TILE):
        for k in range(TILE):
            p = r * TILE + k
            tile[p] = ONE if (y0 + r < height) & (x0 + k < width) else ZERO
            tile[PIXELS + p] = f4(k) + HALF
            tile[2 * PIXELS + p] = f4(r) + HALF
    return tile


@kernel
def four_channels(features: np.ndarray, g: int, k: int) -> tuple[f4, f4, f4, f4]:
    """Channels k..k+3 of Gaussian g, zeros beyond the last."""
    last = features.shape[1] - 1
    return (
        features[g, k],
        features[g, k + 1] if k + 1 <= last else ZERO,
        features[g, k + 2] if k + 2 <= last else ZERO,
        features[g, k + 3] if k + 3 <= last else ZERO,
    )


@kernel
def forward_tile(
    t: int,
    means2d: np.ndarray,
    conics: np.ndarray,
    opacities: np.ndarray,
    features: np.ndarray,
    tile_starts: np.ndarray,
    ids: np.ndarray,
    rows: np.ndarray,
    image: np.ndarray,
    transmittance: np.ndarray,
) -> None:
    height, width, channels = image.shape[1], image.shape[2], image.shape[3]
    padded = (channels + 3) // 4 * 4
    camera, x0, y0 = corner_of(t, width, height)
    tile = new_tile(FORWARD_PLANES + padded, x0, y0, width, height)
    i = tile_starts[t]
    end = tile_starts[t + 1]
    while i < end:
        stop = min(end, i + CHECK_EVERY)
        while i < stop:
            g = ids[i]
            first = U(rows[i, 0]) * ROW
            last = U(rows[i, 1]) * ROW
            x = means2d[g, 0] - f4(x0)
            y = means2d[g, 1] - f4(y0)
            a, b, c = HALF * conics[g, 0], conics[g, 1], HALF * conics[g, 2]
            attenuate(tile, first, last, x, y, a, b, c, opacities[g])
            for k in range(0, padded, 4):
                c0, c1, c2, c3 = four_channels(features, g, k)
                add_channels(tile, first, last, FORWARD_CHANNELS + U(k) * PLANE, c0, c1, c2, c3)
            i += 1
        if count_unfinished(tile) == 0:
            break
    for r in range(min(TILE, height - y0)):
        for k in range(min(TILE, width - x0)):
            p = r * TILE + k
            transmittance[camera, y0 + r, x0 + k] = abs(tile[p])
            for c in range(channels):
                image[camera, y0 + r, x0 + k, c] = tile[(FORWARD_PLANES + c) * PIXELS + p]


@kernel
def backward_tile(
    t: int,
    means2d: np.ndarray,
    conics: np.ndarray,
    opacities: np.ndarray,
    features: np.ndarray,
    tile_starts: np.ndarray,
    ids: np.ndarray,
    rows: np.ndarray,
    slots: np.ndarray,
    image: np.ndarray,
    transmittance: np.ndarray,
    g_image: np.ndarray,
    g_transmittance: np.ndarray,
    sums: np.ndarray,
) -> None:
    height, width, channels = image.shape[1], image.shape[2], image.shape[3]
    padded = (channels + 3) // 4 * 4
    camera, x0, y0 = corner_of(t, width, height)
    tile = new_tile(BACKWARD_PLANES + padded, x0, y0, width, height)
    for r in range(min(TILE, height - y0)):
        for k in range(min(TILE, width - x0)):
            p = r * TILE + k
            behind = transmittance[camera, y0 + r, x0 + k] * g_transmittance[camera, y0 + r, x0 + k]
            for c in range(channels):
                v = g_image[camera, y0 + r, x0 + k, c]
                tile[(BACKWARD_PLANES + c) * PIXELS + p] = v
                behind += v * image[camera, y0 + r, x0 + k, c]
            tile[BEHIND + p] = behind
    i = tile_starts[t]
    end = tile_starts[t + 1]
    while i < end:
        stop = min(end, i + CHECK_EVERY)
        while i < stop:
            g = ids[i]
            first = U(rows[i, 0]) * ROW
            last = U(rows[i, 1]) * ROW
            row = sums[slots[i]]
            for k in range(0, padded, 4):
                c0, c1, c2, c3 = four_channels(features, g, k)
                keep = ZERO if k == 0 else ONE
                dot_channels(tile, first, last, BACKWARD_CHANNELS + U(k) * PLANE, c0, c1, c2, c3, keep)
            x = means2d[g, 0] - f4(x0)
            y = means2d[g, 1] - f4(y0)
            a, b, c = HALF * conics[g, 0], conics[g, 1], HALF * conics[g, 2]
            row[0], row[1], row[2], row[3], row[4], row[5] = attenuate_backward(
                tile, first, last, x, y, a, b, c, opacities[g]
            )
            for k in range(0, padded, 4):
                g0, g1, g2, g3 = sum_channels(tile, first, last, BACKWARD_CHANNELS + U(k) * PLANE)
                row[MOMENTS + k] = g0
                if k + 1 < channels:
                    row[MOMENTS + k + 1] = g1
                if k + 2 < channels:
                    row[MOMENTS + k + 2] = g2
                if k + 3 < channels:
                    row[MOMENTS + k + 3] = g3
            i += 1
        if count_unfinished(tile) == 0:
            break


@parallel_kernel
def composite_forward(
    means2d: np.ndarray,  # (G,2) G = cameras times Gaussians
    conics: np.ndarray,  # (G,3)
    opacities: np.ndarray,  # (G,)
    features: np.ndarray,  # (G,X)
    tile_starts: np.ndarray,  # (tiles+1,)
    ids: np.ndarray,  # (M,) Gaussian of each entry of the tile lists
    rows: np.ndarray,  # (M,2) rows of the tile it covers
    schedule: np.ndarray,  # (tiles,) the order in which tiles are worked
    image: np.ndarray,  # (C,H,W,X) out
    transmittance: np.ndarray,  # (C,H,W) out
) -> None:
    for job in prange(schedule.shape[0]):
        forward_tile(schedule[job], means2d, conics, opacities, features, tile_starts, ids, rows, image, transmittance)


@parallel_kernel
def composite_backward(
    means2d: np.ndarray,
    conics: np.ndarray,
    opacities: np.ndarray,
    features: np.ndarray,
    tile_starts: np.ndarray,
    ids: np.ndarray,
    rows: np.ndarray,
    slots: np.ndarray,  # (M,) row of `sums` that belongs to each entry
    schedule: np.ndarray,
    image: np.ndarray,  # (C,H,W,X) what composite_forward wrote
    transmittance: np.ndarray,  # (C,H,W)
    g_image: np.ndarray,  # (C,H,W,X)
    g_transmittance: np.ndarray,  # (C,H,W)
    sums: np.ndarray,  # (M, MOMENTS + X) out, must come in as zeros
) -> None:
    """Walk the same lists front to back; each entry writes its own row of `sums`, so no two tiles ever meet.

    With T the transmittance, c_i the colours and v the image gradient, dLoss/dalpha_i =
    T_i <c_i, v> - (what lies behind i, weighted by v) / (1 - alpha_i), and what lies behind starts as the whole
    pixel and loses each Gaussian in turn.
    """
    for job in prange(schedule.shape[0]):
        backward_tile(
            schedule[job], means2d, conics, opacities, features, tile_starts, ids, rows, slots, image, transmittance,
            g_image, g_transmittance, sums,
        )  # fmt: skip


@parallel_kernel
def gather_gradients(
    conics: np.ndarray,
    opacities: np.ndarray,
    slot_starts: np.ndarray,  # (G+1,) rows of `sums` of each Gaussian
    sums: np.ndarray,
    g_means2d: np.ndarray,  # outs
    g_conics: np.ndarray,
    g_opacities: np.ndarray,
    g_features: np.ndarray,
) -> None:
    """Add each Gaussian's rows in a fixed order: the result does not depend on the number of threads."""
    channels = g_features.shape[1]
    for g in prange(slot_starts.shape[0] - 1):
        s0 = ZERO
        sx = ZERO
        sy = ZERO
        sxx = ZERO
        sxy = ZERO
        syy = ZERO
        for c in range(channels):
            g_features[g, c] = ZERO
        for i in range(slot_starts[g], slot_starts[g + 1]):
            s0 += sums[i, 0]
            sx += sums[i, 1]
            sy += sums[i, 2]
            sxx += sums[i, 3]
            sxy += sums[i, 4]
            syy += sums[i, 5]
            for c in range(channels):
                g_features[g, c] += sums[i, MOMENTS + c]
        a, b, c_ = conics[g, 0], conics[g, 1], conics[g, 2]
        g_means2d[g, 0] = -(a * sx + b * sy)
        g_means2d[g, 1] = -(b * sx + c_ * sy)
        g_conics[g, 0] = HALF * sxx
        g_conics[g, 1] = sxy
        g_conics[g, 2] = HALF * syy
        g_opacities[g] = -s0 / opacities[g] if slot_starts[g] < slot_starts[g + 1] else ZERO
