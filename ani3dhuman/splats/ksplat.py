""".ksplat of mkkellogg's GaussianSplats3D: sections of Gaussians, places relative to buckets.

A header of 4,096 bytes, 1,024 for each section, then the sections: sizes of partly filled buckets, middles of all
buckets, Gaussians. Mode 0 holds float32, mode 1 half precision, mode 2 bytes for colour that depends on the view.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ani3d_formats.gaussians import SH_C0

from .harmonics import BANDS
from .quantized import to_bytes, unit
from .splats import COEFFICIENTS, MOST, Parts, Splats, damaged_error

HEADER, SECTION = 4096, 1024
FLOATS = ("<f4", "<f2", "<f2")
HARMONICS = ("<f4", "<f2", "u1")
STEPS = (1, 32767, 32767)  # of places on each side of a bucket's middle, where the section names no number
MOST_SECTIONS = 65_536


@dataclass(frozen=True)
class Section:
    """Numbers of a section's header."""

    count: int
    room: int
    bucket_capacity: int
    buckets: int
    block: float
    bucket_bytes: int
    steps: int
    full: int
    partial: int
    degree: int

    @classmethod
    def of(cls, head: bytes) -> Section:
        whole, short = ([int(v) for v in np.frombuffer(head[:44], kind)] for kind in ("<u4", "<u2"))
        return cls(
            count=whole[0],
            room=whole[1],
            bucket_capacity=whole[2],
            buckets=whole[3],
            block=float(np.frombuffer(head[16:20], "<f4")[0]),
            bucket_bytes=short[10],
            steps=whole[6],
            full=whole[8],
            partial=whole[9],
            degree=short[20],
        )


def read_ksplat(path: Path) -> tuple[Splats, str | None]:
    """Gaussians of a .ksplat. Raises `Ani3DError` ``splats.malformed``."""
    data = path.read_bytes()
    if len(data) < HEADER or data[0] != 0 or data[1] < 1:
        raise damaged_error(path, "its header is cut or of another version", ".ksplat")
    sections = int(np.frombuffer(data[4:8], "<u4")[0])
    count = int(np.frombuffer(data[16:20], "<u4")[0])
    mode = int(np.frombuffer(data[20:22], "<u2")[0])
    low, high = (float(v) for v in np.frombuffer(data[36:44], "<f4"))
    start = HEADER + sections * SECTION
    if mode > 2 or sections > MOST_SECTIONS or start > len(data) or count > MOST:
        raise damaged_error(path, f"it says mode {mode}, {sections:,} sections, {count:,} Gaussians", ".ksplat")
    parts = []
    for number in range(sections):
        section = Section.of(data[HEADER + number * SECTION :][:SECTION])
        if section.degree > 3 or section.count > section.room:
            raise damaged_error(path, f"section {number} says degree {section.degree}, {section.count:,}", ".ksplat")
        row = _row(mode, section.degree)
        rows = start + section.bucket_bytes * section.buckets + 4 * section.partial
        end = rows + row.itemsize * section.room
        if rows + row.itemsize * section.count > len(data):
            raise damaged_error(path, f"section {number} goes beyond its end", ".ksplat")
        found = np.frombuffer(data, row, section.count, rows)
        middles = _middles(path, data, start, section) if mode else np.zeros((section.count, 3), np.float32)
        parts.append(_decoded(found, middles, section, mode, (low or -1.5, high or 1.5)))
        start = end
    if sum(part.count for part in parts) != count:
        raise damaged_error(path, f"its sections hold another number of Gaussians than {count:,}", ".ksplat")
    return Splats.joined(parts), None


def _row(mode: int, degree: int) -> np.dtype:
    place = "<f4" if mode == 0 else "<u2"
    rest = 3 * (COEFFICIENTS[degree] - 1)
    fields = [("mean", place, 3), ("scale", FLOATS[mode], 3), ("quat", FLOATS[mode], 4), ("color", "u1", 4)]
    return np.dtype([*fields, ("rest", HARMONICS[mode], rest)])


def _middles(path: Path, data: bytes, start: int, section: Section) -> np.ndarray:
    """(N,3) the middle of the bucket that each Gaussian of a section is in."""
    after = start + 4 * section.partial
    if after + 12 * section.buckets > len(data) or section.full + section.partial > section.buckets:
        raise damaged_error(path, "the buckets of a section go beyond its end", ".ksplat")
    if section.full * section.bucket_capacity > section.count:
        raise damaged_error(path, "the buckets of a section hold more than it has", ".ksplat")
    middles = np.frombuffer(data, "<f4", 3 * section.buckets, after).reshape(-1, 3)
    partial = np.frombuffer(data, "<u4", section.partial, start).astype(np.int64)
    full = section.full * section.bucket_capacity
    if full + partial.sum() != section.count:
        raise damaged_error(path, "the buckets of a section hold another number than it has", ".ksplat")
    held = np.concatenate([np.full(section.full, section.bucket_capacity), partial]).astype(np.int64)
    return np.repeat(middles[: len(held)], held, axis=0)


def _decoded(rows: np.ndarray, middles: np.ndarray, section: Section, mode: int, bounds: tuple[float, float]) -> Splats:
    means = rows["mean"].astype(np.float32)
    if mode:
        steps = section.steps or STEPS[mode]
        means = ((means - steps) * (section.block / 2 / steps) + middles).astype(np.float32)
    colors = rows["color"].astype(np.float32) / np.float32(255)
    rest = rows["rest"].astype(np.float32)
    if mode == 2:
        rest = (bounds[0] + rest / 255 * (bounds[1] - bounds[0])).astype(np.float32)
    sh = [((colors[:, :3] - np.float32(0.5)) / np.float32(SH_C0))[:, None]]
    for first, past in ((0, 9), (9, 24), (24, 45))[: section.degree]:
        sh.append(rest[:, first:past].reshape(len(rows), 3, -1).transpose(0, 2, 1))  # each degree channel by channel
    scales, quats = rows["scale"].astype(np.float32), rows["quat"].astype(np.float32)
    return Splats(means, quats, scales, colors[:, 3], np.concatenate(sh, axis=1).astype(np.float32))


def ksplat_parts(path: Path, splats: Splats, axes: str) -> Parts:
    """Gaussians as .ksplat in mode 0, one section with one bucket; `axes` go unsaid."""
    count, degree = splats.count, splats.degree
    rows = np.zeros(count, _row(0, degree))
    rows["mean"], rows["scale"], rows["quat"] = splats.means, splats.scales, unit(splats.quats)
    rows["color"] = to_bytes(np.concatenate([splats.colors, splats.opacities[:, None]], axis=1) * 255)
    bands = [splats.sh[:, a:b].transpose(0, 2, 1).reshape(count, -1) for a, b in BANDS[1 : degree + 1]]
    if bands:
        rows["rest"] = np.concatenate(bands, axis=1)
    bucket = np.zeros(3, "<f4").tobytes()
    head, section = bytearray(HEADER), bytearray(SECTION)
    head[1] = 1  # version 0.1
    struct.pack_into("<IIII", head, 4, 1, 1, count, count)  # sections and Gaussians, those there is room for first
    struct.pack_into("<ff", head, 36, -1.5, 1.5)
    struct.pack_into("<IIIIf", section, 0, count, count, max(count, 1), 1, 5.0)
    struct.pack_into("<H", section, 20, len(bucket))
    struct.pack_into("<IIII", section, 24, 1, len(bucket) + rows.nbytes, 1, 0)
    struct.pack_into("<H", section, 40, degree)
    return [bytes(head + section) + bucket, rows.tobytes()]
