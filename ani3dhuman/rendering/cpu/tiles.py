"""Which Gaussians touch which 16x16 tile, each tile's list in depth order.

Entries of the lists are grouped by tile and sorted by depth inside it, ties by index. Every entry also gets a slot in
a second order, grouped by Gaussian: the backward pass writes its sums there, so that each Gaussian can add its own
rows afterwards in a fixed order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ani3dhuman.rendering.cpu.composite import TILE
from ani3dhuman.rendering.cpu.jit import kernel

f4 = np.float32
WIDER = 1.0001
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


@kernel
def find_rectangle(x: f4, y: f4, reach_x: f4, reach_y: f4, width: int, height: int) -> tuple[int, int, int, int]:
    """Columns x0..x1 and rows y0..y1 (ends excluded) of pixel centres within reach, widened by a hair for rounding."""
    x0 = max(0, math.floor(x - reach_x * WIDER - 0.5) + 1)
    x1 = min(width, math.floor(x + reach_x * WIDER - 0.5) + 1)
    y0 = max(0, math.floor(y - reach_y * WIDER - 0.5) + 1)
    y1 = min(height, math.floor(y + reach_y * WIDER - 0.5) + 1)
    return x0, x1, y0, y1


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
    means2d: np.ndarray, reach: np.ndarray, depths: np.ndarray, cameras: int, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """tile_starts, ids, rows, slots and slot_starts of `TileLists` from (G,2), (G,2) and (G,)."""
    total = means2d.shape[0]
    per_camera = total // cameras
    across = (width + TILE - 1) // TILE
    down = (height + TILE - 1) // TILE
    rectangles = np.zeros((total, 6), np.int32)  # tile x0, x1, tile y0, y1, pixel rows y0, y1
    tiles = np.zeros(total, np.int32)  # how many tiles
    slot_starts = np.zeros(total + 1, np.int64)
    tile_starts = np.zeros(cameras * across * down + 1, np.int64)
    for g in range(total):
        if reach[g, 0] > 0:
            x0, x1, y0, y1 = find_rectangle(means2d[g, 0], means2d[g, 1], reach[g, 0], reach[g, 1], width, height)
            if x0 < x1 and y0 < y1:
                box = rectangles[g]
                box[0], box[1], box[2], box[3] = x0 // TILE, (x1 - 1) // TILE + 1, y0 // TILE, (y1 - 1) // TILE + 1
                box[4], box[5] = y0, y1
                tiles[g] = (box[1] - box[0]) * (box[3] - box[2])
                offset = g // per_camera * across * down
                for ty in range(box[2], box[3]):
                    for tx in range(box[0], box[1]):
                        tile_starts[offset + ty * across + tx + 1] += 1
        slot_starts[g + 1] = slot_starts[g] + tiles[g]
    for t in range(tile_starts.shape[0] - 1):
        tile_starts[t + 1] += tile_starts[t]
    entries = tile_starts[-1]
    ids = np.empty(entries, np.int32)
    rows = np.empty((entries, 2), np.int16)
    slots = np.empty(entries, np.int32)
    free = tile_starts[:-1].copy()
    for camera in range(cameras):
        offset = camera * across * down
        for g in order_by_depth(depths, camera * per_camera, (camera + 1) * per_camera, tiles):
            slot = slot_starts[g]
            box = rectangles[g]
            for ty in range(box[2], box[3]):
                low = max(0, box[4] - ty * TILE)
                high = min(TILE, box[5] - ty * TILE)
                for tx in range(box[0], box[1]):
                    t = offset + ty * across + tx
                    i = free[t]
                    ids[i] = g
                    rows[i, 0] = low
                    rows[i, 1] = high
                    slots[i] = slot
                    free[t] = i + 1
                    slot += 1
    return tile_starts, ids, rows, slots, slot_starts


def list_tiles(means2d: np.ndarray, reach: np.ndarray, depths: np.ndarray, width: int, height: int) -> TileLists:
    """Tile lists of C cameras from means2d (C,N,2), reach (C,N,2) and depths (C,N), all float32.

    reach is half of the box in which a Gaussian shows, in pixels; 0 where it is not seen.
    """
    cameras = means2d.shape[0]
    tile_starts, ids, rows, slots, slot_starts = fill_lists(
        means2d.reshape(-1, 2), reach.reshape(-1, 2), depths.reshape(-1), cameras, width, height
    )
    return TileLists(tile_starts, ids, rows, slots, slot_starts, _spread(len(tile_starts) - 1))


def _spread(count: int) -> np.ndarray:
    """0..count-1 in golden-ratio steps: threads get equal shares of a crowded picture centre."""
    stride = max(1, round(count * 0.6180339887))
    while math.gcd(stride, count) != 1:
        stride += 1
    return (np.arange(count, dtype=np.int64) * stride % count).astype(np.int32)
