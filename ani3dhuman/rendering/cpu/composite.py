"""Front-to-back compositing of tiles: the forward pass.

Rules are gsplat's: alpha = min(0.999, opacity exp(-sigma)); an alpha below 1/255 is skipped; a pixel is finished by the
first Gaussian that would bring its transmittance to 1e-4 or below, and that Gaussian is not drawn. A finished pixel
keeps its transmittance with the sign turned, so that one plane holds both.

Besides the picture the pass notes, for the way back, which blocks each Gaussian showed in, and which entry of the
tile's list was the last that each pixel drew.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel
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
    TILE,
    TILE_PIXELS,
    U,
    aligned,
    exp2,
    f4,
    place,
    touched_blocks,
)
from .simd import bits, both, first_bit, fma, fnma, maximum, minimum, minus_magnitude, select
from .simd_memory import load, prefetch, store, store_rows

TRANSMITTANCE_MIN = f4(1e-4)
CHUNK = 32  # Gaussians worked between two looks at which blocks still have unfinished pixels
AHEAD = 8  # entries of the list whose records are fetched early
COVERAGE_MIN = f4(1e-10)  # expected depth is accumulated depth over coverage, no less than this
CHANNELS_MIN = 3  # channels are padded to this many: the first three are kept in the innermost loop by name


class TileInputs(NamedTuple):
    """What tiles are drawn from; G = cameras times Gaussians, X channels, M entries of the tiles' lists.

    Attributes:
        splats: (G*8,) float64 records; features: (G*X,).
        tile_starts: (tiles+1,) first entry of each tile; ids: (M,) Gaussian of each entry.
        slots: (M,) place of each entry when they are grouped by Gaussian.
        schedule: (tiles,) the order in which tiles are worked; layout: `footprint.LAYOUT`.
        backgrounds: (C,X).
        expected: channel of expected depth, or -1; the next is coverage, which divides it.
    """

    splats: np.ndarray
    features: np.ndarray
    tile_starts: np.ndarray
    ids: np.ndarray
    slots: np.ndarray
    schedule: np.ndarray
    layout: np.ndarray
    backgrounds: np.ndarray
    expected: int


class TileOutputs(NamedTuple):
    """What the forward pass writes.

    Attributes:
        image: (C,X,H,W); alphas: (C,H,W).
        transmittance: (tiles*1024,) block by block.
        last: (tiles*1024,) place in the tile's list of the last Gaussian drawn, -1 for none.
        masks: (M,) uint64 blocks of its tile in which each entry showed.
    """

    image: np.ndarray
    alphas: np.ndarray
    transmittance: np.ndarray
    last: np.ndarray
    masks: np.ndarray


@kernel
def corner_of(tile: int, width: int, height: int) -> tuple[int, int, int]:
    """Camera, left column and top row of a tile, counted camera by camera, row by row."""
    across = (width + TILE - 1) // TILE
    down = (height + TILE - 1) // TILE
    return tile // (across * down), tile % across * TILE, tile // across % down * TILE


@kernel
def clear(planes: np.ndarray, stride: np.uint64, width: int, height: int) -> np.uint64:
    """Transmittance 1 inside the picture, all else 0; the mask of blocks that have a pixel in the picture."""
    open_blocks = U(0)
    planes[:] = f4(0)
    for b in range(BLOCKS):
        left, top = b % 8 * BLOCK, b // 8 * BLOCK
        if left < width and top < height:
            open_blocks |= U(1) << U(b)
            for p in range(LANES):
                if left + p % 4 < width and top + p // 4 < height:
                    planes[U(b) * stride + p] = f4(1)
    return open_blocks


@kernel
def forward_tile(tile: int, inputs: TileInputs, out: TileOutputs) -> None:
    splats, features, tile_starts, ids, _, _, layout, backgrounds, expected = inputs
    image, alphas, transmittance, last, masks = out
    splats32 = splats.view(np.float32)
    channels, height, width = image.shape[1], image.shape[2], image.shape[3]
    camera, x0, y0 = corner_of(tile, width, height)
    stride = LANES * U(1 + channels)
    planes = aligned(BLOCKS * 16 * (1 + channels))
    places = aligned(PLACES)
    open_blocks = clear(planes, stride, width - x0, height - y0)
    own = U(tile) * U(TILE_PIXELS)
    last[own : own + U(TILE_PIXELS)] = f4(-1)
    pixel_x, pixel_y = load(layout, PIXEL_X), load(layout, PIXEL_Y)
    start, end = tile_starts[tile], tile_starts[tile + 1]
    for first in range(start, end, CHUNK):
        until = min(end, first + CHUNK)
        # all masks of the chunk before any block: the loops below then know early how long they are
        for i in range(first, until):
            if i + AHEAD < end:
                prefetch(splats, U(ids[i + AHEAD]) * U(RECORD))
                prefetch(features, U(ids[i + AHEAD]) * U(channels))
            masks[i] = touched_blocks(layout, ids[i], splats, splats32, x0, y0) & open_blocks
        for i in range(first, until):
            mask = masks[i]
            if mask == U(0):
                continue
            g = ids[i]
            drawn_blocks = U(0)
            place(layout, places, g, splats, x0, y0)
            at = U(g) * U(RECORD)
            u_block = fma(pixel_x, f4(splats[at + L11]), pixel_y * f4(splats[at + L21]))
            v_block = pixel_y * f4(splats[at + L22])
            log_opacity = splats32[at + at + LOG_OPACITY]
            color = U(g) * U(channels)
            red, green, blue = features[color], features[color + U(1)], features[color + U(2)]
            entry = f4(i - start)
            while mask != U(0):
                b = first_bit(mask)
                mask &= mask - U(1)
                u = u_block + places[b]
                v = v_block + places[U(BLOCKS) + b]
                power = fnma(v, v, fnma(u, u, log_opacity))
                visible = power >= LOG_ALPHA_MIN
                alpha = minimum(exp2(power), ALPHA_MAX)
                p = b * stride
                before = load(planes, p)
                after = fnma(alpha, before, before)
                drawn = both(visible, after > TRANSMITTANCE_MIN)
                weight = select(drawn, alpha * before, f4(0))
                store(planes, p, select(visible, select(drawn, after, minus_magnitude(before)), before))
                p += LANES
                store(planes, p, fma(weight, red, load(planes, p)))
                p += LANES
                store(planes, p, fma(weight, green, load(planes, p)))
                p += LANES
                store(planes, p, fma(weight, blue, load(planes, p)))
                for c in range(CHANNELS_MIN, channels):
                    p += LANES
                    store(planes, p, fma(weight, features[color + U(c)], load(planes, p)))
                drawn_blocks |= U(bits(drawn) != U(0)) << b
                q = own + b * LANES
                store(last, q, select(drawn, entry, load(last, q)))
            masks[i] = drawn_blocks
        for b in range(BLOCKS):
            if bits(load(planes, U(b) * stride) > f4(0)) == U(0):
                open_blocks &= ~(U(1) << U(b))
        if open_blocks == U(0):
            masks[until:end] = U(0)
            break
    write_tile(camera, x0, y0, planes, channels, backgrounds, expected, image, alphas, transmittance, own)


@kernel
def write_tile(
    camera: int,
    x0: int,
    y0: int,
    planes: np.ndarray,
    channels: int,
    backgrounds: np.ndarray,
    expected: int,
    image: np.ndarray,
    alphas: np.ndarray,
    transmittance: np.ndarray,
    own: np.uint64,
) -> None:
    """Planes of a tile to the picture, over the background; blocks on the picture's edge pixel by pixel."""
    height, width = alphas.shape[1], alphas.shape[2]
    stride = LANES * U(1 + channels)
    pixels = U(height) * U(width)
    flat_alphas, flat_image = alphas.reshape(-1), image.reshape(-1)
    first = U(camera) * pixels
    for b in range(BLOCKS):
        left, top = x0 + b % 8 * BLOCK, y0 + b // 8 * BLOCK
        if left >= width or top >= height:
            continue
        p = U(b) * stride
        see_through = f4(0) - minus_magnitude(load(planes, p))
        store(planes, p, see_through)
        store(transmittance, own + U(b) * LANES, see_through)
        for c in range(channels):
            plane = p + LANES * U(1 + c)
            store(planes, plane, fma(see_through, backgrounds[camera, c], load(planes, plane)))
        if expected >= 0:
            plane = p + LANES * U(1 + expected)
            coverage = maximum(load(planes, plane + LANES), COVERAGE_MIN)
            store(planes, plane, load(planes, plane) / coverage)
        if left + BLOCK <= width and top + BLOCK <= height:
            to = U(top) * U(width) + U(left)
            store_rows(flat_alphas, first + to, width, f4(1) - see_through)
            for c in range(channels):
                plane = load(planes, p + LANES * U(1 + c))
                store_rows(flat_image, (U(camera) * U(channels) + U(c)) * pixels + to, width, plane)
        else:
            for k in range(16):
                x, y = left + k % 4, top + k // 4
                if x < width and y < height:
                    alphas[camera, y, x] = f4(1) - planes[p + U(k)]
                    for c in range(channels):
                        image[camera, c, y, x] = planes[p + LANES * U(1 + c) + U(k)]


@parallel_kernel
def composite_forward(inputs: TileInputs, out: TileOutputs) -> None:
    schedule = inputs.schedule
    for job in prange(schedule.shape[0]):
        forward_tile(np.int64(schedule[job]), inputs, out)
