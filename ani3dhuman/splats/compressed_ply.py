"""Compressed PLY of PlayCanvas: 16 bytes a Gaussian, relative to the bounds of its chunk of 256.

Positions and sizes are packed in 11, 10 and 11 bits, rotations as their smallest three in 10 bits each, colour and
opacity in 8 (developer.playcanvas.com, "The compressed PLY format").
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ani3d_formats.gaussians import SH_C0

from .ply import AXES_COMMENT, axes_in, read_table
from .quantized import add_largest, drop_largest, unit
from .splats import COEFFICIENTS, Parts, Splats, damaged_error

CHUNK = 256
BOUNDS = [
    *(f"{side}_{axis}" for side in ("min", "max") for axis in "xyz"),
    *(f"{side}_scale_{axis}" for side in ("min", "max") for axis in "xyz"),
    *(f"{side}_{axis}" for side in ("min", "max") for axis in "rgb"),
]
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
LOG_SIZES = 20.0  # logarithms of sizes are kept within plus and minus this


def read_compressed_ply(path: Path) -> tuple[Splats, str | None]:
    """Gaussians of a compressed PLY, and the axes that it names. Raises `Ani3DError` ``splats.malformed``."""
    table = read_table(path)
    chunks, rows = table.elements.get("chunk"), table.elements.get("vertex")
    names = (rows.dtype.names or ()) if rows is not None else ()
    if chunks is None or rows is None or any(name not in names for name in PACKED):
        raise damaged_error(path, "it has no packed vertices", "compressed PLY")
    if len(chunks) != -(-len(rows) // CHUNK) or any(name not in (chunks.dtype.names or ()) for name in BOUNDS[:12]):
        raise damaged_error(path, f"{len(chunks)} chunks do not go with {len(rows):,} vertices", "compressed PLY")
    which = np.arange(len(rows)) // CHUNK

    def bound(names: list[str], default: float) -> np.ndarray:
        known = chunks.dtype.names or ()
        each = [chunks[n].astype(np.float32) if n in known else np.full(len(chunks), default) for n in names]
        return np.stack(each, 1).astype(np.float32)[which]

    def between(packed: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return low + packed * (high - low)

    place, size = (_unpack_111011(rows[name]) for name in ("packed_position", "packed_scale"))
    means = between(place, bound(BOUNDS[0:3], 0), bound(BOUNDS[3:6], 0))
    logs = between(size, bound(BOUNDS[6:9], 0), bound(BOUNDS[9:12], 0))
    color = _unpack_8888(rows["packed_color"])
    colors = between(color[:, :3], bound(BOUNDS[12:15], 0), bound(BOUNDS[15:18], 1))
    turns = rows["packed_rotation"].astype(np.uint32)
    three = np.stack([(turns >> shift) & 1023 for shift in (20, 10, 0)], 1) / 1023 - 0.5
    quats = add_largest(three * np.sqrt(2), (turns >> 30).astype(np.int64))
    dc = (colors - np.float32(0.5)) / np.float32(SH_C0)
    sh = np.concatenate([dc[:, None], _rest(path, table.elements.get("sh"), len(rows))], axis=1).astype(np.float32)
    return Splats(means, quats, np.exp(logs), color[:, 3], sh), axes_in(table.comments)


def _rest(path: Path, table: np.ndarray | None, count: int) -> np.ndarray:
    """Coefficients above the first, (N,K-1,3)."""
    names = [] if table is None else [name for name in table.dtype.names or () if name.startswith("f_rest_")]
    if table is None or not names:
        return np.zeros((count, 0, 3), np.float32)
    if len(names) % 3 or 1 + len(names) // 3 not in COEFFICIENTS or len(table) != count:
        raise damaged_error(
            path, f"{len(table):,} rows of {len(names)} colour coefficients do not fit", "compressed PLY"
        )
    bytes_ = np.stack([table[f"f_rest_{k}"] for k in range(len(names))], 1).astype(np.float32)
    values = np.where(bytes_ == 0, 0, np.where(bytes_ == 255, 256, bytes_ + 0.5)) / 256 * 8 - 4
    return values.reshape(count, 3, -1).transpose(0, 2, 1)


def compressed_ply_parts(path: Path, splats: Splats, axes: str) -> Parts:
    """Gaussians as compressed PLY: places within 1/2047 of their chunk's extent, colours within 1/255."""
    count = splats.count
    starts = np.arange(0, count, CHUNK)
    with np.errstate(divide="ignore"):
        logs = np.clip(np.log(splats.scales), -LOG_SIZES, LOG_SIZES)
    packed, bounds = [], []
    for values in (splats.means, logs, splats.colors):
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        which = np.arange(count) // CHUNK
        span = np.where(high - low < 1e-5, 1, high - low)
        packed.append(np.clip((values - low[which]) / span[which], 0, 1))
        bounds += [low, high]
    three, largest = drop_largest(unit(splats.quats))
    ten = _unorm(three / np.sqrt(2) + 0.5, 1023)
    turns = (largest.astype(np.uint32) << 30) | (ten[:, 0] << 20) | (ten[:, 1] << 10) | ten[:, 2]
    eight = _unorm(np.concatenate([packed[2], splats.opacities[:, None]], 1), 255)
    color = (eight[:, 0] << 24) | (eight[:, 1] << 16) | (eight[:, 2] << 8) | eight[:, 3]
    rows = np.stack([_pack_111011(packed[0]), turns, _pack_111011(packed[1]), color], axis=1).astype("<u4")
    head = [f"ply\nformat binary_little_endian 1.0\ncomment {AXES_COMMENT}{axes}\nelement chunk {len(starts)}\n"]
    head += [f"property float {name}\n" for name in BOUNDS]
    head += [f"element vertex {count}\n", *(f"property uint {name}\n" for name in PACKED)]
    rest = splats.sh[:, 1:].transpose(0, 2, 1).reshape(count, -1)
    if rest.shape[1]:
        head += [f"element sh {count}\n", *(f"property uchar f_rest_{k}\n" for k in range(rest.shape[1]))]
    eighths = np.clip(np.floor((rest / 8 + 0.5) * 256), 0, 255).astype(np.uint8)
    body = [np.concatenate(bounds, axis=1).astype("<f4").tobytes(), rows.tobytes(), eighths.tobytes()]
    return [("".join(head) + "end_header\n").encode(), *body]


def _unorm(values: np.ndarray, top: int) -> np.ndarray:
    return np.clip(np.floor(values * top + 0.5), 0, top).astype(np.uint32)


def _pack_111011(values: np.ndarray) -> np.ndarray:
    x, y, z = _unorm(values[:, 0], 2047), _unorm(values[:, 1], 1023), _unorm(values[:, 2], 2047)
    return (x << 21) | (y << 11) | z


def _unpack_111011(packed: np.ndarray) -> np.ndarray:
    bits = packed.astype(np.uint32)
    each = (bits >> 21) / 2047, ((bits >> 11) & 1023) / 1023, (bits & 2047) / 2047
    return np.stack(each, axis=1).astype(np.float32)


def _unpack_8888(packed: np.ndarray) -> np.ndarray:
    bits = packed.astype(np.uint32)
    return np.stack([(bits >> shift) & 255 for shift in (24, 16, 8, 0)], axis=1).astype(np.float32) / np.float32(255)
