"""Constraints in colours: those of one colour share no particle that moves, and are solved at once."""

from __future__ import annotations

import numpy as np

from ...jit import kernel

BITS = 64


@kernel
def _color(rows, free, taken, colors):  # type: ignore[no-untyped-def]
    """Give each of `rows` (N,K) the lowest of the colours that its particles have not `taken` (P,W), bits."""
    for n in range(rows.shape[0]):
        for word in range(taken.shape[1]):
            used = np.uint64(0)
            for k in range(rows.shape[1]):
                if free[rows[n, k]]:
                    used |= taken[rows[n, k], word]
            bit = 0
            while bit < BITS and used >> np.uint64(bit) & np.uint64(1):
                bit += 1
            if bit == BITS:
                continue
            for k in range(rows.shape[1]):
                if free[rows[n, k]]:
                    taken[rows[n, k], word] |= np.uint64(1) << np.uint64(bit)
            colors[n] = BITS * word + bit
            break


def in_colors(rows: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The order (N,) of constraints between particles `rows` (N,K) colour by colour, and where each colour lies.

    `free` (P,) bool are the particles that move; the others may be shared.

    Returns:
        The order; for each colour where it begins in that, and how many it has.
    """
    if len(rows) == 0:
        return np.zeros(0, np.int64), []
    busiest = int(np.bincount(rows.ravel(), minlength=len(free)).max())
    taken = np.zeros((len(free), rows.shape[1] * busiest // BITS + 1), np.uint64)
    colors = np.zeros(len(rows), np.int64)
    _color(np.ascontiguousarray(rows, np.int64), free, taken, colors)
    counts = np.bincount(colors)
    return np.argsort(colors, kind="stable"), list(zip(np.cumsum(counts) - counts, counts, strict=True))
