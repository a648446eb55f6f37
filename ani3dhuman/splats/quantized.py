"""Numbers in few bits: what compressed formats share."""

from __future__ import annotations

import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) in float32, without overflow."""
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-x, dtype=np.float32))).astype(np.float32)


def logit(opacities: np.ndarray) -> np.ndarray:
    """The inverse of `sigmoid`; 0 and 1 become -16.1 and 16.1, which come back as 1e-7 from them."""
    least = np.float32(1e-7)
    # the difference from 1 is exact where it is small
    return np.log(np.maximum(opacities, least)) - np.log(np.maximum(1 - opacities, least))


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Numbers 0..255 as the nearest bytes; what lies beyond is cut."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def unit(quats: np.ndarray) -> np.ndarray:
    """Quaternions (N,4) at length 1, float32; those of no length become the identity."""
    lengths = np.linalg.norm(quats.astype(np.float64), axis=1, keepdims=True)
    whole = np.where(lengths > 0, quats / np.maximum(lengths, 1e-30), (1.0, 0, 0, 0))
    return whole.astype(np.float32)


def drop_largest(quats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest three of unit quaternions (N,4) in any order: (N,3) in their order, and which was left out (N,).

    Signs are such that the one left out is positive.
    """
    largest = np.abs(quats).argmax(1)
    sign = np.where(np.take_along_axis(quats, largest[:, None], 1) < 0, -1, 1)
    others = _others()[largest]
    return np.take_along_axis(quats * sign, others, 1), largest


def add_largest(three: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """The inverse of `drop_largest`: unit quaternions (N,4) float32."""
    quats = np.empty((len(three), 4), np.float32)
    np.put_along_axis(quats, _others()[largest], three.astype(np.float32), 1)
    rest = np.sqrt(np.maximum(0, 1 - np.square(three).sum(1)))
    np.put_along_axis(quats, largest[:, None], rest[:, None].astype(np.float32), 1)
    return quats


def _others() -> np.ndarray:
    return np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
