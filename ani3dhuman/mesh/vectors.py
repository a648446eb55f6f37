"""Arithmetic of many short vectors: numpy's own sums along an axis of three are several times slower."""

from __future__ import annotations

import numpy as np


def dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(...,) products of vectors (...,K) of `a` and `b`."""
    return np.asarray(np.einsum("...k,...k->...", a, b))


def lengths(vectors: np.ndarray) -> np.ndarray:
    """(...,) of vectors (...,K)."""
    return np.asarray(np.sqrt(dots(vectors, vectors)))


def unit(vectors: np.ndarray, least: float = 1e-12) -> np.ndarray:
    """Vectors (...,K) made of length 1; those shorter than `least` are divided by that."""
    return np.asarray(vectors / np.maximum(lengths(vectors), least)[..., None])


def largest(vectors: np.ndarray) -> np.ndarray:
    """(...,) the largest number of each of `vectors` (...,3)."""
    return np.asarray(np.maximum(np.maximum(vectors[..., 0], vectors[..., 1]), vectors[..., 2]))
