"""Pictures and meshes with known properties."""

from __future__ import annotations

import numpy as np


def texture(height: int, width: int, shift: float = 0.0) -> np.ndarray:
    """A smooth colourful pattern (H,W,3) in 0..1, moved to the right by `shift` pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x = x - shift
    waves = (np.sin(0.31 * x + 0.17 * y), np.cos(0.23 * y - 0.19 * x), np.sin(0.13 * x - 0.27 * y + 1))
    return (0.5 + 0.4 * np.stack(waves, -1)).astype(np.float32)


def noisy(pictures: np.ndarray, amount: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(pictures.shape)
    return np.clip(pictures + amount * noise, 0, 1).astype(np.float32)


def sphere(radius: float, rings: int = 48, columns: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A closed sphere about the origin, normals outwards: vertices (V,3) and triangles."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    round_ = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    x, y = np.outer(np.sin(polar), np.cos(round_)), np.outer(np.sin(polar), np.sin(round_))
    z = np.broadcast_to(np.cos(polar)[:, None], x.shape)
    ring = np.stack([x, y, z], -1).reshape(-1, 3)
    vertices = radius * np.concatenate([ring, [[0, 0, 1], [0, 0, -1]]])
    top, bottom, last = len(ring), len(ring) + 1, (len(polar) - 1) * columns
    faces = []
    for j in range(columns):
        k = (j + 1) % columns
        faces += [(top, j, k), (bottom, last + k, last + j)]
        for i in range(len(polar) - 1):
            a, b = i * columns + j, i * columns + k
            faces += [(a, a + columns, b), (b, a + columns, b + columns)]
    return vertices, np.array(faces)


def sheet(rows: int = 12, columns: int = 10, spacing: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
    """A flat sheet in the xy plane: vertices (V,3) and triangles."""
    y, x = np.mgrid[:rows, :columns] * spacing
    vertices = np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3)
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    quads = np.stack([a, a + 1, a + columns + 1, a + columns], 1)
    return vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
