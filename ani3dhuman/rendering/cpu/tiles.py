"""Which Gaussians touch which tile, each tile's list in depth order.

Entries of the lists are grouped by tile and sorted by depth inside it, ties by index. Every entry also gets a slot in
a second order, grouped by Gaussian: the backward pass writes its sums there, so that each Gaussian can add its own
rows afterwards in a fixed order.

Sorting and filling run over chunks in parallel; where an entry ends up depends on its rank alone, so neither the
number of chunks nor that of threads shows in the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel
from .footprint import MEAN_X, MEAN_Y, REACH_X, REACH_Y, RECORD, TILE, U

WIDER = 1.0001
RADIX_BITS = 11
RADIX = 1 << RADIX_BITS
CHUNK = 1 << 13  # Gaussians a thread takes at once when lists are filled
SORT_CHUNK = 1 << 16  # and when they are sorted


@dataclass(frozen=True)
class TileLists:
    """Lists for all tiles of all cameras; G = cameras times Gaussians, M entries in all.

    Attributes:
        tile_starts: (tiles+1,) int64 first entry of each tile.
        ids: (M,) int32 Gaussian of each entry, 0..G-1.
        slots: (M,) int32 the entry's place when entries are grouped by Gaussian.
        slot_starts: (G+1,) int64 first slot of each Gaussian.
        schedule: (tiles,) int32 tiles in an order that spreads crowded neighbours over the threads.
    """

    tile_starts: np.ndarray
    ids: np.ndarray
    slots: np.ndarray
    slot_starts: np.ndarray
    schedule: np.ndarray


@kernel
def pixel_range(center: float, reach: float, size: int) -> tuple[int, int]:
    """Pixels first..last (end excluded) whose centres are within reach, widened by a hair for rounding."""
    low = math.floor(center - reach * WIDER - 0.5) + 1.0
    high = math.floor(center + reach * WIDER - 0.5) + 1.0
    return int(min(max(low, 0.0), float(size))), int(min(max(high, 0.0), float(size)))


@parallel_kernel
def find_rectangles(splats: np.ndarray, width: int, height: int, boxes: np.ndarray) -> None:
    """boxes (G,4) int16: tile columns x0..x1 and rows y0..y1 (ends excluded); empty where nothing is touched."""
    splats32 = splats.view(np.float32)
    count = boxes.shape[0]
    for g in prange(count):
        reach_x = splats32[U(g) * U(2 * RECORD) + REACH_X]
        boxes[g] = 0
        if reach_x > 0:
            at = U(g) * U(RECORD)
            x0, x1 = pixel_range(splats[at + MEAN_X], reach_x, width)
            y0, y1 = pixel_range(splats[at + MEAN_Y], splats32[at + at + REACH_Y], height)
            if x0 < x1 and y0 < y1:
                boxes[g, 0], boxes[g, 1] = x0 // TILE, (x1 - 1) // TILE + 1
                boxes[g, 2], boxes[g, 3] = y0 // TILE, (y1 - 1) // TILE + 1


@kernel
def assign_slots(boxes: np.ndarray, slot_starts: np.ndarray) -> int:
    """slot_starts (G+1,) from how many tiles each box has; returns how many boxes are not empty."""
    touching = 0
    for g in range(boxes.shape[0]):
        tiles = (boxes[g, 1] - boxes[g, 0]) * (boxes[g, 3] - boxes[g, 2])
        slot_starts[g + 1] = slot_starts[g] + tiles
        touching += tiles > 0
    return touching


def radix_pass(
    keys: np.ndarray, ids: np.ndarray, shift: int, places: np.ndarray, to_keys: np.ndarray, to_ids: np.ndarray
) -> None:
    """One stable counting sort by RADIX_BITS bits of the keys; places (chunks,RADIX) int64 is scratch."""
    count = keys.shape[0]
    chunks = places.shape[0]
    for chunk in prange(chunks):
        places[chunk] = 0
        for i in range(chunk * SORT_CHUNK, min(count, (chunk + 1) * SORT_CHUNK)):
            places[chunk, (keys[i] >> np.uint32(shift)) & np.uint32(RADIX - 1)] += 1
    free = 0
    for digit in range(RADIX):
        for chunk in range(chunks):
            here = places[chunk, digit]
            places[chunk, digit] = free
            free += here
    for chunk in prange(chunks):
        for i in range(chunk * SORT_CHUNK, min(count, (chunk + 1) * SORT_CHUNK)):
            digit = (keys[i] >> np.uint32(shift)) & np.uint32(RADIX - 1)
            to = places[chunk, digit]
            places[chunk, digit] = to + 1
            to_keys[to] = keys[i]
            to_ids[to] = ids[i]


# one chunk has no work to share, and waking threads six times costs more than such a sort
radix_pass_alone = kernel(radix_pass)
radix_pass_shared = parallel_kernel(radix_pass)


@kernel
def touching_keys(depths: np.ndarray, slot_starts: np.ndarray, keys: np.ndarray, ids: np.ndarray) -> None:
    """Gaussians that touch a tile, and their depths as integers of the same order."""
    depth_bits = depths.view(np.uint32)
    n = 0
    for g in range(depths.shape[0]):
        if slot_starts[g + 1] > slot_starts[g]:
            # float bits sort like integers once negative numbers (an orthographic camera may see them) are flipped
            flip = np.uint32(0xFFFFFFFF) if depth_bits[g] >> 31 else np.uint32(0x80000000)
            keys[n] = depth_bits[g] ^ flip
            ids[n] = g
            n += 1


def order_by_depth(depths: np.ndarray, slot_starts: np.ndarray, touching: int) -> np.ndarray:
    """Indices of the `touching` Gaussians with slots, nearest first, ties by index, from depths (G,) float32."""
    keys, ids = np.empty(touching, np.uint32), np.empty(touching, np.int32)
    touching_keys(depths, slot_starts, keys, ids)
    other_keys, other_ids = np.empty_like(keys), np.empty_like(ids)
    places = np.empty((max(1, -(-touching // SORT_CHUNK)), RADIX), np.int64)
    sort = radix_pass_alone if len(places) == 1 else radix_pass_shared
    for shift in (0, RADIX_BITS, 2 * RADIX_BITS):
        sort(keys, ids, shift, places, other_keys, other_ids)
        keys, other_keys, ids, other_ids = other_keys, keys, other_ids, ids
    return ids


@parallel_kernel
def fill_lists(
    order: np.ndarray,  # (touching,) Gaussians, nearest first
    boxes: np.ndarray,
    slot_starts: np.ndarray,
    per_camera: int,
    across: int,
    down: int,
    places: np.ndarray,  # (chunks,tiles) int32, comes in as zeros
    tile_starts: np.ndarray,  # outs, see TileLists
    ids: np.ndarray,
    slots: np.ndarray,
) -> None:
    count = order.shape[0]
    chunks, tiles = places.shape
    for chunk in prange(chunks):
        for i in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK)):
            g = order[i]
            first = g // per_camera * across * down
            for ty in range(boxes[g, 2], boxes[g, 3]):
                for tx in range(boxes[g, 0], boxes[g, 1]):
                    places[chunk, first + ty * across + tx] += 1
    free = 0
    for tile in range(tiles):
        tile_starts[tile] = free
        for chunk in range(chunks):
            here = places[chunk, tile]
            places[chunk, tile] = free
            free += here
    tile_starts[tiles] = free
    for chunk in prange(chunks):
        for i in range(chunk * CHUNK, min(count, (chunk + 1) * CHUNK)):
            g = order[i]
            first = g // per_camera * across * down
            slot = slot_starts[g]
            for ty in range(boxes[g, 2], boxes[g, 3]):
                for tx in range(boxes[g, 0], boxes[g, 1]):
                    to = places[chunk, first + ty * across + tx]
                    places[chunk, first + ty * across + tx] = to + 1
                    ids[to] = g
                    slots[to] = slot
                    slot += 1


def list_tiles(splats: np.ndarray, depths: np.ndarray, width: int, height: int) -> TileLists:
    """Tile lists of C cameras from splat records (C*N*8,) and depths (C,N) float32."""
    cameras, per_camera = depths.shape
    across, down = -(-width // TILE), -(-height // TILE)
    boxes = np.empty((cameras * per_camera, 4), np.int16)
    slot_starts = np.zeros(cameras * per_camera + 1, np.int64)
    find_rectangles(splats, width, height, boxes)
    touching = assign_slots(boxes, slot_starts)
    order = order_by_depth(depths.reshape(-1), slot_starts, touching)
    tiles, entries = cameras * across * down, int(slot_starts[-1])
    tile_starts = np.empty(tiles + 1, np.int64)
    ids, slots = np.empty(entries, np.int32), np.empty(entries, np.int32)
    places = np.zeros((max(1, -(-touching // CHUNK)), tiles), np.int32)
    fill_lists(order, boxes, slot_starts, max(1, per_camera), across, down, places, tile_starts, ids, slots)
    return TileLists(tile_starts, ids, slots, slot_starts, _spread(tiles))


def _spread(count: int) -> np.ndarray:
    """0..count-1 in golden-ratio steps: threads get equal shares of a crowded picture centre."""
    stride = max(1, round(count * 0.6180339887))
    while math.gcd(stride, count) != 1:
        stride += 1
    return (np.arange(count, dtype=np.int64) * stride % count).astype(np.int32)
