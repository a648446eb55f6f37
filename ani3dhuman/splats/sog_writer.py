"""SOG of PlayCanvas, version 2, written: pictures without loss in a ZIP, numbers by codebooks of 256.

What each picture holds is in `sog`, which reads them.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from .quantized import drop_largest, to_bytes, unit
from .sog import PALETTE
from .splats import Parts, Splats

BOOK = 256  # numbers of a codebook
BOOK_ROUNDS, PALETTE_ROUNDS = 2, 4  # few of a codebook, whose ends would wander to the middle
SAMPLE = 200_000  # numbers that a codebook is found from
MOST_ENTRIES, FEWER = 65_536, 4096  # of a palette: every Gaussian's own, or those of many found by likeness
SMALLEST = 1e-12  # metres


def sog_parts(path: Path, splats: Splats, axes: str) -> Parts:
    """Gaussians as one .sog file; `axes` go unsaid."""
    logs = np.sign(splats.means) * np.log1p(np.abs(splats.means.astype(np.float64)))
    low, high = ((getattr(logs, side)(0) if splats.count else np.zeros(3)) for side in ("min", "max"))
    sixteen = np.rint((logs - low) / np.maximum(high - low, 1e-12) * 65535).astype(np.uint16)
    three, largest = drop_largest(unit(splats.quats))
    turns = np.concatenate([to_bytes((three / np.sqrt(2) + 0.5) * 255), (252 + largest[:, None]).astype(np.uint8)], 1)
    sizes, size_numbers = _coded(np.log(np.maximum(splats.scales, SMALLEST)))
    bases, base_numbers = _coded(splats.sh[:, 0])
    base = np.concatenate([base_numbers, to_bytes(255 * splats.opacities[:, None])], axis=1)
    meta: dict[str, Any] = {
        "version": 2,
        "asset": {"generator": "ani3dhuman"},
        "count": splats.count,
        "means": {"mins": low.tolist(), "maxs": high.tolist(), "files": ["means_l.webp", "means_u.webp"]},
        "scales": {"codebook": sizes, "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": bases, "files": ["sh0.webp"]},
    }
    pictures = {
        "means_l.webp": _square((sixteen & 255).astype(np.uint8)),
        "means_u.webp": _square((sixteen >> 8).astype(np.uint8)),
        "quats.webp": _square(turns),
        "scales.webp": _square(size_numbers),
        "sh0.webp": _square(base),
    }
    if splats.degree and splats.count:
        palette, labels = yield from _palette(splats.sh[:, 1:].reshape(splats.count, -1))
        book, numbers = _coded(palette.reshape(len(palette), -1, 3))
        files = ["shN_centroids.webp", "shN_labels.webp"]
        meta["shN"] = {"count": len(palette), "bands": splats.degree, "codebook": book, "files": files}
        rows = np.zeros((-(-len(palette) // PALETTE) * PALETTE, *numbers.shape[1:]), np.uint8)
        rows[: len(palette)] = numbers
        two = np.stack([labels & 255, labels >> 8, np.zeros_like(labels)], axis=1).astype(np.uint8)
        pictures |= {files[0]: rows.reshape(-1, PALETTE * numbers.shape[1], 3), files[1]: _square(two)}
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("meta.json"), json.dumps(meta).encode())
        for name, picture in pictures.items():
            archive.writestr(zipfile.ZipInfo(name), _webp(picture))
            yield b""
    yield whole.getvalue()


def _coded(values: np.ndarray) -> tuple[list[float], np.ndarray]:
    """256 numbers, and for each of `values` that of the nearest one, bytes in its shape."""
    flat = values.reshape(-1).astype(np.float64)
    if not len(flat):
        return [0.0] * BOOK, np.zeros(values.shape, np.uint8)
    some = np.sort(flat[:: max(1, len(flat) // SAMPLE)])
    book = np.linspace(some[0], some[-1], BOOK) * 0.8 + np.quantile(some, np.linspace(0, 1, BOOK)) * 0.2
    for _ in range(BOOK_ROUNDS):
        owner = np.searchsorted((book[1:] + book[:-1]) / 2, some)
        held = np.bincount(owner, minlength=BOOK)
        book = np.sort(np.where(held > 0, np.bincount(owner, some, BOOK) / np.maximum(held, 1), book))
    book = book.astype(np.float32).astype(np.float64)
    numbers = np.searchsorted((book[1:] + book[:-1]) / 2, flat)
    return book.tolist(), numbers.astype(np.uint8).reshape(values.shape)


def _palette(rows: np.ndarray) -> Generator[bytes, None, tuple[np.ndarray, np.ndarray]]:
    """Entries (P,C) that stand for rows (N,C), and the number of each row's (N,)."""
    if len(rows) <= MOST_ENTRIES:
        return rows, np.arange(len(rows))
    rng = np.random.default_rng(0)
    some = rows[rng.choice(len(rows), min(len(rows), 8 * FEWER), replace=False)]
    entries = some[:FEWER].copy()
    for _ in range(PALETTE_ROUNDS):
        owner = yield from _nearest(some, entries)
        held = np.bincount(owner, minlength=len(entries))[:, None]
        sums = np.stack([np.bincount(owner, column, len(entries)) for column in some.T], axis=1)
        entries = np.where(held > 0, sums / np.maximum(held, 1), entries).astype(np.float32)
    return entries, (yield from _nearest(rows, entries))


def _nearest(rows: np.ndarray, entries: np.ndarray) -> Generator[bytes, None, np.ndarray]:
    half, found = np.square(entries).sum(1) / 2, np.empty(len(rows), np.int64)
    for k in range(0, len(rows), 4096):
        found[k : k + 4096] = (half - rows[k : k + 4096] @ entries.T).argmin(1)
        yield b""
    return found


def _square(pixels: np.ndarray) -> np.ndarray:
    """(H,W,k) bytes, nearly square, the first of which are `pixels` (N,k)."""
    width = max(4, 4 * math.ceil(math.sqrt(len(pixels)) / 4))
    picture = np.zeros((max(1, -(-len(pixels) // width)) * width, pixels.shape[1]), np.uint8)
    picture[: len(pixels)] = pixels
    return picture.reshape(-1, width, pixels.shape[1])


def _webp(picture: np.ndarray) -> bytes:
    """Without loss."""
    import cv2

    code = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
    return bytes(cv2.imencode(".webp", cv2.cvtColor(picture, code), [cv2.IMWRITE_WEBP_QUALITY, 101])[1])
