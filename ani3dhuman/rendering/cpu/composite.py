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
# planes both directions share: transmittance is plane 0
CENTRE_X, CENTRE_Y, WEIGHT = U(PIXELS), U(2 * PIXELS), U(3 * PIXELS)
FORWARD_PLANES = 4
# backward only: <colour, image gradient>, and what lies behind the current Gaussian, weighted by the image gradient
COLOR_DOT, BEHIND = U(4 * PIXELS), U(5 * PIXELS)
BACKWARD_PLANES = 6
MOMENTS = 6  # geometric gradient sums an intersection keeps before its channel sums

_CENTRES_X = np.tile(np.arange(TILE, dtype=f4) + f4(0.5), TILE)
_CENTRES_Y = np.repeat(np.arange(TILE, dtype=f4) + f4(0.5), TILE)


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
    height, width, channels = image.shape[1], image.shape[2], image.shape[3]
    across = (width + TILE - 1) // TILE
    down = (height + TILE - 1) // TILE
    groups = (channels + 3) // 4
    for job in prange(schedule.shape[0]):
        t = schedule[job]
        camera = t // (across * down)
        y0 = (t // across) % down * TILE
        x0 = t % across * TILE
        tile = np.zeros((FORWARD_PLANES + 4 * groups) * PIXELS, f4)
        tile[PIXELS : 2 * PIXELS] = _CENTRES_X
        tile[2 * PIXELS : 3 * PIXELS] = _CENTRES_Y
        for r in range(min(TILE, height - y0)):
            for k in range(min(TILE, width - x0)):
                tile[r * TILE + k] = ONE
        i = tile_starts[t]
        end = tile_starts[t + 1]
        while i < end:
            stop = min(end, i + CHECK_EVERY)
            while i < stop:
                g = ids[i]
                first = U(rows[i, 0]) * ROW
                last = U(rows[i, 1]) * ROW
                attenuate(
                    tile,
                    first,
                    last,
                    means2d[g, 0] - f4(x0),
                    means2d[g, 1] - f4(y0),
                    HALF * conics[g, 0],
                    conics[g, 1],
                    HALF * conics[g, 2],
                    opacities[g],
                )
                for q in range(groups):
                    k = 4 * q
                    c1 = features[g, k + 1] if k + 1 < channels else ZERO
                    c2 = features[g, k + 2] if k + 2 < channels else ZERO
                    c3 = features[g, k + 3] if k + 3 < channels else ZERO
                    add_channels(tile, first, last, U(FORWARD_PLANES + k) * PLANE, features[g, k], c1, c2, c3)
                i += 1
            if count_unfinished(tile) == 0:
                break
        for r in range(min(TILE, height - y0)):
            for k in range(min(TILE, width - x0)):
                p = r * TILE + k
                transmittance[camera, y0 + r, x0 + k] = abs(tile[p])
                for c in range(channels):
                    image[camera, y0 + r, x0 + k, c] = tile[(FORWARD_PLANES + c) * PIXELS + p]


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
    image_gradient: np.ndarray,  # (C,H,W,X)
    transmittance_gradient: np.ndarray,  # (C,H,W)
    sums: np.ndarray,  # (M, MOMENTS + X) out, must come in as zeros
) -> None:
    """Walk the same lists front to back; each entry writes its own row of `sums`, so no two tiles ever meet.

    With T the transmittance, c_i the colours and v the image gradient, dLoss/dalpha_i =
    T_i <c_i, v> - (what lies behind i, weighted by v) / (1 - alpha_i), and what lies behind starts as the whole
    pixel and loses each Gaussian in turn.
    """
    height, width, channels = image.shape[1], image.shape[2], image.shape[3]
    across = (width + TILE - 1) // TILE
    down = (height + TILE - 1) // TILE
    groups = (channels + 3) // 4
    for job in prange(schedule.shape[0]):
        t = schedule[job]
        i = tile_starts[t]
        end = tile_starts[t + 1]
        if i == end:
            continue
        camera = t // (across * down)
        y0 = (t // across) % down * TILE
        x0 = t % across * TILE
        tile = np.zeros((BACKWARD_PLANES + 4 * groups) * PIXELS, f4)
        tile[PIXELS : 2 * PIXELS] = _CENTRES_X
        tile[2 * PIXELS : 3 * PIXELS] = _CENTRES_Y
        for r in range(min(TILE, height - y0)):
            for k in range(min(TILE, width - x0)):
                p = r * TILE + k
                tile[p] = ONE
                behind = transmittance[camera, y0 + r, x0 + k] * transmittance_gradient[camera, y0 + r, x0 + k]
                for c in range(channels):
                    v = image_gradient[camera, y0 + r, x0 + k, c]
                    tile[(BACKWARD_PLANES + c) * PIXELS + p] = v
                    behind += v * image[camera, y0 + r, x0 + k, c]
                tile[5 * PIXELS + p] = behind
        while i < end:
            stop = min(end, i + CHECK_EVERY)
            while i < stop:
                g = ids[i]
                first = U(rows[i, 0]) * ROW
                last = U(rows[i, 1]) * ROW
                slot = slots[i]
                for q in range(groups):
                    k = 4 * q
                    c1 = features[g, k + 1] if k + 1 < channels else ZERO
                    c2 = features[g, k + 2] if k + 2 < channels else ZERO
                    c3 = features[g, k + 3] if k + 3 < channels else ZERO
                    keep = ZERO if q == 0 else ONE
                    base = U(BACKWARD_PLANES + k) * PLANE
                    dot_channels(tile, first, last, base, features[g, k], c1, c2, c3, keep)
                s0, sx, sy, sxx, sxy, syy = attenuate_backward(
                    tile,
                    first,
                    last,
                    means2d[g, 0] - f4(x0),
                    means2d[g, 1] - f4(y0),
                    HALF * conics[g, 0],
                    conics[g, 1],
                    HALF * conics[g, 2],
                    opacities[g],
                )
                sums[slot, 0] = s0
                sums[slot, 1] = sx
                sums[slot, 2] = sy
                sums[slot, 3] = sxx
                sums[slot, 4] = sxy
                sums[slot, 5] = syy
                for q in range(groups):
                    k = 4 * q
                    g0, g1, g2, g3 = sum_channels(tile, first, last, U(BACKWARD_PLANES + k) * PLANE)
                    sums[slot, MOMENTS + k] = g0
                    if k + 1 < channels:
                        sums[slot, MOMENTS + k + 1] = g1
                    if k + 2 < channels:
                        sums[slot, MOMENTS + k + 2] = g2
                    if k + 3 < channels:
                        sums[slot, MOMENTS + k + 3] = g3
                i += 1
            if count_unfinished(tile) == 0:
                break


@parallel_kernel
def gather_gradients(
    conics: np.ndarray,
    opacities: np.ndarray,
    slot_starts: np.ndarray,  # (G+1,) rows of `sums` of each Gaussian
    sums: np.ndarray,
    means2d_gradient: np.ndarray,  # outs
    conics_gradient: np.ndarray,
    opacities_gradient: np.ndarray,
    features_gradient: np.ndarray,
) -> None:
    """Add each Gaussian's rows in a fixed order: the result does not depend on the number of threads."""
    channels = features_gradient.shape[1]
    for g in prange(slot_starts.shape[0] - 1):
        s0 = ZERO
        sx = ZERO
        sy = ZERO
        sxx = ZERO
        sxy = ZERO
        syy = ZERO
        for c in range(channels):
            features_gradient[g, c] = ZERO
        for i in range(slot_starts[g], slot_starts[g + 1]):
            s0 += sums[i, 0]
            sx += sums[i, 1]
            sy += sums[i, 2]
            sxx += sums[i, 3]
            sxy += sums[i, 4]
            syy += sums[i, 5]
            for c in range(channels):
                features_gradient[g, c] += sums[i, MOMENTS + c]
        a, b, c_ = conics[g, 0], conics[g, 1], conics[g, 2]
        means2d_gradient[g, 0] = -(a * sx + b * sy)
        means2d_gradient[g, 1] = -(b * sx + c_ * sy)
        conics_gradient[g, 0] = HALF * sxx
        conics_gradient[g, 1] = sxy
        conics_gradient[g, 2] = HALF * syy
        opacities_gradient[g] = -s0 / opacities[g] if slot_starts[g] < slot_starts[g + 1] else ZERO
