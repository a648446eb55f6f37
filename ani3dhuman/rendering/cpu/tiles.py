"""Which Gaussians touch which 16x16 tile, each tile's list in depth order.

Entries of the lists are grouped by tile and sorted by depth inside it, ties by index. Every entry also gets a slot in
a second order, grouped by Gaussian: the backward pass writes its sums there, so that each Gaussian can add its own
rows afterwards in a fixed order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import prange

from ani3dhuman.rendering.cpu.composite import TILE
from ani3dhuman.rendering.cpu.jit import kernel, parallel_kernel

f4 = np.float32
RADIX_BITS = 11
RADIX = 1 << RADIX_BITS


@dataclass(frozen=True)
class TileLists:
    """Lists for all tiles of all cameras; G = cameras times Gaussians, M entries in all.

    Attributes:
        tile_starts: (tiles+1,) int64 first entry of each tile.
        ids: (M,) int32 Gaussian of each entry, 0..G-1.
        rows: (M,2) int16 first and last+1 row of the tile that it reaches.
        slots: (M,) int32 the entry's place when entries are grouped by Gaussian.
        slot_starts: (G+1,) int64 first slot of each Gaussian.
        schedule: (tiles,) int32 tiles in an order that spreads crowded neighbours over the threads.
    """

    tile_starts: np.ndarray
    ids: np.ndarray
    rows: np.ndarray
    slots: np.ndarray
    slot_starts: np.ndarray
    schedule: np.ndarray


@parallel_kernel
def find_rectangles(
    means2d: np.ndarray, conics: np.ndarray, radii: np.ndarray, opacities: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """(G,6) int32 tile x0, x1, tile y0, y1, pixel rows y0, y1, and (G,) the number of tiles, 0 for an unseen Gaussian.

    The box is the exact one of alpha >= 1/255, widened by a hair for rounding.
    """
    count = means2d.shape[0]
    rectangles = np.zeros((count, 6), np.int32)
    tiles = np.zeros(count, np.int64)
    for g in prange(count):
        if radii[g, 0] <= 0 or radii[g, 1] <= 0 or opacities[g] * f4(255) < f4(1):
            continue
        a, b, c = conics[g, 0], conics[g, 1], conics[g, 2]
        determinant = np.float64(a) * c - np.float64(b) * b
        reach = 2.0 * math.log(opacities[g] * f4(255)) * 1.0001 + 1e-6
        reach_x = math.sqrt(reach * c / determinant)
        reach_y = math.sqrt(reach * a / determinant)
        x, y = np.float64(means2d[g, 0]), np.float64(means2d[g, 1])
        x0 = max(0, math.floor(x - reach_x - 0.5) + 1)
        x1 = min(width, math.floor(x + reach_x - 0.5) + 1)
        y0 = max(0, math.floor(y - reach_y - 0.5) + 1)
        y1 = min(height, math.floor(y + reach_y - 0.5) + 1)
        if x0 >= x1 or y0 >= y1:
            continue
        rectangles[g, 0] = x0 // TILE
        rectangles[g, 1] = (x1 - 1) // TILE + 1
        rectangles[g, 2] = y0 // TILE
        rectangles[g, 3] = (y1 - 1) // TILE + 1
        rectangles[g, 4] = y0
        rectangles[g, 5] = y1
        tiles[g] = (rectangles[g, 1] - rectangles[g, 0]) * (rectangles[g, 3] - rectangles[g, 2])
    return rectangles, tiles


@kernel
def order_by_depth(depths: np.ndarray, first: int, last: int, tiles: np.ndarray) -> np.ndarray:
    """Indices first..last of Gaussians that touch a tile, nearest first: a stable radix sort of the float32 bits."""
    bits = depths.view(np.uint32)
    count = 0
    for g in range(first, last):
        count += 1 if tiles[g] > 0 else 0
    keys = np.empty(count, np.uint32)
    ids = np.empty(count, np.int32)
    n = 0
    for g in range(first, last):
        if tiles[g] > 0:
            # float bits sort like integers once negative numbers (an orthographic camera may see them) are flipped
            keys[n] = bits[g] ^ np.uint32(0xFFFFFFFF) if bits[g] >> 31 else bits[g] ^ np.uint32(0x80000000)
            ids[n] = g
            n += 1
    other_keys = np.empty_like(keys)
    other_ids = np.empty_like(ids)
    starts = np.empty(RADIX + 1, np.int64)
    for shift in (0, RADIX_BITS, 2 * RADIX_BITS):
        starts[:] = 0
        for i in range(count):
            starts[((keys[i] >> shift) & (RADIX - 1)) + 1] += 1
        for digit in range(RADIX):
            starts[digit + 1] += starts[digit]
        for i in range(count):
            digit = (keys[i] >> shift) & (RADIX - 1)
            other_keys[starts[digit]] = keys[i]
            other_ids[starts[digit]] = ids[i]
            starts[digit] += 1
        keys, other_keys = other_keys, keys
        ids, other_ids = other_ids, ids
    return ids


@kernel
def fill_lists(
    depths: np.ndarray, rectangles: np.ndarray, tiles: np.ndarray, cameras: int, across: int, down: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """tile_starts, ids, rows, slots and slot_starts of `TileLists`."""
    per_camera = tiles.shape[0] // cameras
    slot_starts = np.zeros(tiles.shape[0] + 1, np.int64)
    tile_starts = np.zeros(cameras * across * down + 1, np.int64)
    for g in range(tiles.shape[0]):
        slot_starts[g + 1] = slot_starts[g] + tiles[g]
        offset = g // per_camera * across * down
        for ty in range(rectangles[g, 2], rectangles[g, 3]):
            for tx in range(rectangles[g, 0], rectangles[g, 1]):
                tile_starts[offset + ty * across + tx + 1] += 1
    for t in range(tile_starts.shape[0] - 1):
        tile_starts[t + 1] += tile_starts[t]
    total = tile_starts[-1]
    ids = np.empty(total, np.int32)
    rows = np.empty((total, 2), np.int16)
    slots = np.empty(total, np.int32)
    free = tile_starts[:-1].copy()
    for camera in range(cameras):
        offset = camera * across * down
        for g in order_by_depth(depths, camera * per_camera, (camera + 1) * per_camera, tiles):
            slot = slot_starts[g]
            for ty in range(rectangles[g, 2], rectangles[g, 3]):
                low = max(0, rectangles[g, 4] - ty * TILE)
                high = min(TILE, rectangles[g, 5] - ty * TILE)
                for tx in range(rectangles[g, 0], rectangles[g, 1]):
                    t = offset + ty * across + tx
                    i = free[t]
                    ids[i] = g
                    rows[i, 0] = low
                    rows[i, 1] = high
                    slots[i] = slot
                    free[t] = i + 1
                    slot += 1
    return tile_starts, ids, rows, slots, slot_starts


def list_tiles(
    means2d: np.ndarray,  # (C,N,2) float32
    conics: np.ndarray,  # (C,N,3)
    depths: np.ndarray,  # (C,N)
    radii: np.ndarray,  # (C,N,2) int32
    opacities: np.ndarray,  # (C,N)
    width: int,
    height: int,
) -> TileLists:
    """Tile lists of a batch of cameras."""
    cameras = means2d.shape[0]
    across, down = -(-width // TILE), -(-height // TILE)
    rectangles, tiles = find_rectangles(
        means2d.reshape(-1, 2),
        conics.reshape(-1, 3),
        radii.reshape(-1, 2),
        opacities.reshape(-1),
        width,
        height,
    )
    tile_starts, ids, rows, slots, slot_starts = fill_lists(
        depths.reshape(-1), rectangles, tiles, cameras, across, down
    )
    return TileLists(tile_starts, ids, rows, slots, slot_starts, _spread(cameras * across * down))


def _spread(count: int) -> np.ndarray:
    """0..count-1 in golden-ratio steps: threads get equal shares of a crowded picture centre."""
    stride = max(1, round(count * 0.6180339887))
    while math.gcd(stride, count) != 1:
        stride += 1
    return (np.arange(count, dtype=np.int64) * stride % count).astype(np.int32)
