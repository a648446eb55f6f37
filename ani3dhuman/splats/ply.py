"""PLY of 3DGS: one row of float32 a Gaussian, sizes as logarithms, opacities as logits (Kerbl et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .quantized import logit, sigmoid
from .splats import COEFFICIENTS, MOST, Parts, Splats, damaged_error

TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
LONGEST_HEADER = 1 << 20  # bytes
MOST_DIGITS = 12  # of a count
AT_ONCE = 1 << 20  # bytes of rows that are filled together
SMALLEST = np.float32(1e-12)  # metres; a size of zero has no logarithm
NAMES = ("x", "y", "z", "opacity", *(f"{name}_{k}" for name in ("scale", "f_dc") for k in range(3)))
TURNS = tuple(f"rot_{k}" for k in range(4))
AXES_COMMENT = "ani3dhuman axes "


@dataclass(frozen=True)
class Table:
    """A PLY file's elements by name, as structured memory maps, and its comments."""

    elements: dict[str, np.ndarray]
    comments: tuple[str, ...]


def read_table(path: Path) -> Table:
    """The elements of a binary PLY without lists. Raises `Ani3DError` ``splats.malformed``."""
    with open(path, "rb") as file:
        head = file.read(LONGEST_HEADER)
    end = head.find(b"end_header")
    stop = head.find(b"\n", end) + 1
    if not head.startswith(b"ply") or end < 0 or not stop:
        raise damaged_error(path, "its header does not begin with ply or has no end", "PLY")
    comments: list[str] = []
    order = ""
    layout: list[tuple[str, int, list[tuple[str, str]]]] = []
    for line in head[:end].decode("latin-1").splitlines()[1:]:
        word, _, rest = line.strip().partition(" ")
        parts = rest.split()
        if word == "comment":
            comments.append(rest)
        elif word == "format":
            order = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(parts[0] if parts else "", "")
        elif word == "element" and len(parts) == 2 and parts[1].isdecimal() and len(parts[1]) <= MOST_DIGITS:
            layout.append((parts[0], int(parts[1]), []))
        elif word == "property" and len(parts) == 2 and layout and parts[0] in TYPES:
            layout[-1][2].append((parts[1], order + TYPES[parts[0]]))
        elif word not in ("obj_info", ""):
            raise damaged_error(path, f"the line {line[:80]!r} of its header cannot be read", "PLY")
    if not order:
        raise damaged_error(path, "it is text, or says no byte order", "binary PLY")
    return Table(_elements(path, stop, layout), tuple(comments))


def _elements(path: Path, start: int, layout: list[tuple[str, int, list[tuple[str, str]]]]) -> dict[str, np.ndarray]:
    size, found = path.stat().st_size, {}
    for name, count, fields in layout:
        names = [field for field, _ in fields]
        if len(set(names)) < len(names) or name in found:
            raise damaged_error(path, f"element {name!r} names a property twice", "PLY")
        row = np.dtype(fields)
        if count > MOST or start + count * row.itemsize > size:
            raise damaged_error(path, f"it has {size:,} bytes, too few for {count:,} of element {name!r}", "PLY")
        empty = not (count and fields)
        found[name] = np.zeros(count, row) if empty else np.memmap(path, row, "r", start, (count,))
        start += count * row.itemsize
    return found


def axes_in(comments: tuple[str, ...]) -> str | None:
    """The axes that a file of ours names, None in files of others."""
    named = [text[len(AXES_COMMENT) :].strip() for text in comments if text.startswith(AXES_COMMENT)]
    return named[0] if named else None


def read_ply(path: Path) -> tuple[Splats, str | None]:
    """Gaussians of a PLY, and the axes that it names.

    Raises `Ani3DError`: ``splats.malformed`` where the header is damaged, the file too short, or properties of 3DGS are
    missing; compressed PLY is read by `compressed_ply`.
    """
    table = read_table(path)
    rows = table.elements.get("vertex")
    missing = [name for name in (*NAMES, *TURNS) if rows is None or name not in (rows.dtype.names or ())]
    if rows is None or missing:
        raise damaged_error(path, f"its vertices have no {', '.join(missing[:4])}", "3DGS PLY")
    extra = sum(name.startswith("f_rest_") for name in rows.dtype.names or ())
    if extra % 3 or 1 + extra // 3 not in COEFFICIENTS:
        raise damaged_error(path, f"it has {extra} colour coefficients f_rest, not 0, 9, 24 or 45", "3DGS PLY")

    def columns(names: list[str]) -> np.ndarray:
        return _columns(rows, names)

    sh = np.empty((len(rows), 1 + extra // 3, 3), np.float32)
    sh[:, 0] = columns([f"f_dc_{k}" for k in range(3)])
    if extra:
        sh[:, 1:] = columns([f"f_rest_{k}" for k in range(extra)]).reshape(len(rows), 3, -1).transpose(0, 2, 1)
    with np.errstate(over="ignore"):
        scales = np.exp(columns([f"scale_{k}" for k in range(3)]))
    splats = Splats(columns(["x", "y", "z"]), columns(list(TURNS)), scales, sigmoid(columns(["opacity"])[:, 0]), sh)
    return splats, axes_in(table.comments)


def _columns(rows: np.ndarray, names: list[str]) -> np.ndarray:
    """Some properties as (N,k) float32: one copy where they lie side by side and are float32, as they always are."""
    fields: Any = rows.dtype.fields
    offsets = [fields[name][1] for name in names]
    plain = all(fields[name][0] == np.dtype("<f4") for name in names) and not (offsets[0] | rows.dtype.itemsize) % 4
    if plain and all(b - a == 4 for a, b in pairwise(offsets)):
        table = np.ndarray((len(rows), rows.dtype.itemsize // 4), "<f4", rows, 0, (rows.dtype.itemsize, 4))
        return np.ascontiguousarray(table[:, offsets[0] // 4 : offsets[0] // 4 + len(names)])
    return np.stack([rows[name].astype(np.float32) for name in names], axis=1)


def ply_parts(path: Path, splats: Splats, axes: str) -> Parts:
    """Gaussians as 3DGS PLY, with normals of zero as trainers do; the axes are named in a comment."""
    rest = splats.sh.shape[1] - 1
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    names += [*(f"f_rest_{k}" for k in range(3 * rest)), "opacity", "scale_0", "scale_1", "scale_2", *TURNS]
    rows = np.empty((splats.count, len(names)), "<f4")
    further = splats.sh[:, 1:].transpose(0, 2, 1).reshape(splats.count, -1)
    sizes, solid = np.log(np.maximum(splats.scales, SMALLEST)), logit(splats.opacities)[:, None]
    normals = np.broadcast_to(np.float32(0), (splats.count, 3))
    _fill(rows, (splats.means, normals, splats.sh[:, 0], further, solid, sizes, splats.quats))
    properties = "".join(f"property float {name}\n" for name in names)
    head = f"ply\nformat binary_little_endian 1.0\ncomment {AXES_COMMENT}{axes}\nelement vertex {splats.count}\n"
    return [(head + properties + "end_header\n").encode(), rows.data]


def _fill(rows: np.ndarray, parts: Sequence[np.ndarray]) -> None:
    """Put `parts` (N,k) side by side into rows (N,K), some rows at a time, so that they stay in the cache meanwhile."""
    step = max(1, AT_ONCE // (4 * rows.shape[1]))
    for start in range(0, len(rows), step):
        block, column = rows[start : start + step], 0
        for part in parts:
            values = part[start : start + step]
            for k in range(part.shape[1]):
                block[:, column] = values[:, k]
                column += 1
