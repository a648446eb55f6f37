"""SPZ of Niantic, versions 2 to 4 (github.com/nianticlabs/spz): fixed-point places, bytes for all else.

Versions 2 and 3 are one gzip stream behind a 16-byte header. Version 4 has a plain header of 32 bytes, a table of
(compressed, whole) sizes, and a zstd stream an attribute; it needs the package zstandard.
"""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError

from .quantized import add_largest, drop_largest, to_bytes, unit
from .splats import COEFFICIENTS, MOST, Parts, Splats, check_unpacked, damaged_error

MAGIC = 0x5053474E  # "NGSP"
HEADER = struct.Struct("<IIIBBBB")
STREAMS = struct.Struct("<IIIBBBBI")  # of version 4: the last byte counts streams, then where their table begins
COLOR = 0.15  # of a byte's range that one unit of the first coefficient takes
MOST_BITS = 12  # of a fraction, .24 mm
GREATEST = (1 << 23) - 1
ROTATION_BYTES = {2: 3, 3: 4, 4: 4}
AT_ONCE = 1 << 20  # bytes that are compressed between two looks at whether to stop
KEPT_BITS = 5, 4  # of coefficients of degree 1, and of higher ones


def read_spz(path: Path) -> tuple[Splats, str | None]:
    """Gaussians of an SPZ. Raises `Ani3DError`: ``splats.malformed``, ``splats.package`` without zstandard."""
    data = path.read_bytes()
    gzipped = data[:2] == b"\x1f\x8b"
    head = _gunzipped(path, data, HEADER.size) if gzipped else data[: HEADER.size]
    if len(head) < HEADER.size:
        raise damaged_error(path, f"it has only {len(data)} bytes", "SPZ")
    magic, version, count, degree, bits, _, last = HEADER.unpack(head)
    if magic != MAGIC or version not in ROTATION_BYTES or gzipped != (version < 4):
        raise damaged_error(path, f"it says version {version}" if magic == MAGIC else "it begins otherwise", "SPZ")
    if degree >= len(COEFFICIENTS) or count > MOST or bits > 23:
        raise damaged_error(path, f"it says {count:,} Gaussians of degree {degree}, {bits} bits a fraction", "SPZ")
    widths = [9, 1, 3, 3, ROTATION_BYTES[version], 3 * (COEFFICIENTS[degree] - 1)]
    check_unpacked(path, len(data), count * sum(widths), "SPZ")
    if version < 4:
        whole = _gunzipped(path, data, HEADER.size + count * sum(widths))[HEADER.size :]
        cuts = np.cumsum([0, *(count * width for width in widths)])
        parts = [whole[a:b] for a, b in pairwise(cuts)]
    else:
        parts = _streams(path, data, [count * width for width in widths], last)
    arrays = [np.frombuffer(part, np.uint8).reshape(count, -1) for part in parts if len(part)]
    if not count:
        arrays = [np.zeros((0, width), np.uint8) for width in widths]
    means = _fixed(arrays[0]) / np.float32(1 << bits)
    colors = (arrays[2] / np.float32(255) - np.float32(0.5)) / np.float32(COLOR)
    scales = np.exp(arrays[3] / np.float32(16) - 10)
    sh = np.empty((count, COEFFICIENTS[degree], 3), np.float32)
    sh[:, 0] = colors
    if degree:  # (byte - 128) / 128 to the bit, without arrays between
        np.multiply(arrays[5].reshape(count, -1, 3), np.float32(1 / 128), out=sh[:, 1:])
        sh[:, 1:] -= 1
    quats = _turns(arrays[4])[:, [3, 0, 1, 2]]
    return Splats(means, quats, scales, arrays[1][:, 0] / np.float32(255), sh), None


def _gunzipped(path: Path, data: bytes, wanted: int) -> bytes:
    """The first `wanted` bytes of a gzip stream, and never more memory than that."""
    try:
        found = zlib.decompressobj(31).decompress(data, wanted)
    except zlib.error as error:
        raise damaged_error(path, f"it cannot be unpacked ({error})", "SPZ") from error
    if len(found) < wanted:
        raise damaged_error(path, f"it holds {len(found):,} of {wanted:,} bytes", "SPZ")
    return found


def _streams(path: Path, data: bytes, sizes: list[int], count: int) -> list[bytes]:
    """The attributes of version 4."""
    sizes = [size for index, size in enumerate(sizes) if size or index < 5]
    if len(data) < 32 or count != len(sizes):
        raise damaged_error(path, f"it has {count} streams, expected {len(sizes)}", "SPZ")
    table = STREAMS.unpack(data[: STREAMS.size])[-1]
    start = table + 16 * count
    if table < 32 or start > len(data):
        raise damaged_error(path, "its table of streams lies outside of it", "SPZ")
    zstd, parts = zstandard(path), []
    for index, whole in enumerate(sizes):
        packed, size = struct.unpack_from("<QQ", data, table + 16 * index)
        if size != whole or packed > len(data) - start:
            raise damaged_error(path, f"stream {index} has {size:,} bytes, expected {whole:,}", "SPZ")
        try:
            with zstd.ZstdDecompressor().stream_reader(data[start : start + packed]) as stream:
                part = stream.read(whole + 1)
        except zstd.ZstdError as error:
            raise damaged_error(path, f"stream {index} cannot be unpacked ({error})", "SPZ") from error
        if len(part) != whole:
            raise damaged_error(path, f"stream {index} holds another number of bytes than {whole:,}", "SPZ")
        parts.append(part)
        start += packed
    return parts


def zstandard(path: Path) -> Any:
    """The package zstandard. Raises `Ani3DError` ``splats.package`` without it."""
    try:
        import zstandard as package
    except ImportError as error:
        raise Ani3DError(
            "splats.package",
            f"{path.name} is SPZ of version 4, which needs the package zstandard.",
            "Install it: pip install 'ani3dhuman[formats]'.",
        ) from error
    return package


def _fixed(three: np.ndarray) -> np.ndarray:
    """(N,3) float32 of 24-bit signed numbers (N,9)."""
    padded = np.zeros((len(three), 3, 4), np.uint8)
    padded[:, :, 1:] = three.reshape(-1, 3, 3)
    return (padded.view("<i4")[..., 0] >> 8).astype(np.float32)


def _turns(packed: np.ndarray) -> np.ndarray:
    """(N,4) xyzw of rotations in 3 bytes (xyz, w positive) or 4 (the smallest three of 9 bits and a sign)."""
    if packed.shape[1] == 3:
        xyz = packed / np.float32(127.5) - 1
        return np.concatenate([xyz, np.sqrt(np.maximum(0, 1 - np.square(xyz).sum(1, keepdims=True)))], 1)
    bits = np.ascontiguousarray(packed).view("<u4")[:, 0]
    each = np.stack([(bits >> shift) & 1023 for shift in (20, 10, 0)], 1)
    sizes = (each & 511) / np.float32(511 * np.sqrt(2))
    return add_largest(np.where(each & 512, -sizes, sizes), (bits >> 30).astype(np.int64))


def spz_parts(path: Path, splats: Splats, axes: str, version: int = 3) -> Parts:
    """Gaussians as SPZ; `axes` are not recorded there and must be "y-up".

    Raises:
        Ani3DError: ``splats.range`` for places beyond 8,388 km; ``splats.package`` for version 4 without zstandard.
    """
    furthest = float(np.abs(splats.means).max(initial=0))
    bits = MOST_BITS
    while bits and furthest * (1 << bits) > GREATEST:
        bits -= 1
    if furthest * (1 << bits) > GREATEST:
        raise Ani3DError(
            "splats.range",
            f"{path.name}: Gaussians lie {furthest:,.0f} m from the origin, too far for SPZ.",
            "Use PLY.",
        )
    places = np.rint(splats.means.astype(np.float64) * (1 << bits)).astype("<i4")
    three, largest = drop_largest(unit(splats.quats)[:, [1, 2, 3, 0]])
    nine = np.minimum(np.floor(np.abs(three) * np.sqrt(2) * 511 + 0.5), 511).astype(np.uint32)
    each = nine | ((three < 0).astype(np.uint32) << 9)
    turns = (largest.astype(np.uint32) << 30) | (each[:, 0] << 20) | (each[:, 1] << 10) | each[:, 2]
    with np.errstate(divide="ignore"):
        sizes = to_bytes((np.log(splats.scales) + 10) * 16)
    parts = [
        np.ascontiguousarray(places).view(np.uint8).reshape(-1, 3, 4)[:, :, :3].tobytes(),
        to_bytes(splats.opacities * 255).tobytes(),
        to_bytes((splats.sh[:, 0] * COLOR + 0.5) * 255).tobytes(),
        sizes.tobytes(),
        turns.astype("<u4").tobytes(),
    ]
    if splats.degree:
        parts.append(_coefficients(splats.sh[:, 1:]).tobytes())
    last = len(parts) if version == 4 else 0
    head = HEADER.pack(MAGIC, version, splats.count, splats.degree, bits, 0, last)
    if version == 4:
        pack = zstandard(path).ZstdCompressor().compress
        packed = [pack(part) for part in parts]
        table = b"".join(struct.pack("<QQ", len(a), len(b)) for a, b in zip(packed, parts, strict=True))
        yield from ((head + struct.pack("<I", 32)).ljust(32, b"\0") + table, *packed)
        return
    stream, whole = zlib.compressobj(6, zlib.DEFLATED, 31), memoryview(head + b"".join(parts))
    yield from (stream.compress(whole[start : start + AT_ONCE]) for start in range(0, len(whole), AT_ONCE))
    yield stream.flush()


def _coefficients(rest: np.ndarray) -> np.ndarray:
    """Bytes of (N,K-1,3) coefficients, in 5 bits of degree 1 and 4 of higher ones, as the reference library keeps."""
    steps = np.repeat([1 << (8 - KEPT_BITS[0]), 1 << (8 - KEPT_BITS[1])], [3, rest.shape[1] - 3])[:, None]
    return np.clip(np.floor((np.rint(rest * 128) + 128 + steps / 2) / steps) * steps, 0, 255).astype(np.uint8)
