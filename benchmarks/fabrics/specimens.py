"""Specimens as a laboratory cuts them, as triangle meshes of any spacing, in rings, in rows or unstructured."""

from __future__ import annotations

import numpy as np
from scipy.spatial import Delaunay

DISC, PEDESTAL = 0.15, 0.09  # metres, radii of Cusick's specimen and of the discs that hold it
STRIP = 0.025  # metres, width of Peirce's strip
SEED = 7


def disc_of_rings(spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """A disc, from just inside its pedestal's edge on, of rings of quads cut in two, as garments are: (P,3), (F,3)."""
    rings = round((DISC - PEDESTAL) / spacing)
    columns = round(2 * np.pi * (DISC + PEDESTAL) / 2 / spacing)
    angle = np.arange(columns) / columns * 2 * np.pi
    step = (DISC - PEDESTAL) / rings
    radius = (PEDESTAL + step * np.arange(-1, rings + 1))[:, None]
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * radius * angle], -1).reshape(-1, 3)
    return points, _halved(rings + 1, columns, closed=True)


def disc_unstructured(spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """The same of unstructured triangles, about equilateral, from points that pushed each other apart."""
    rng = np.random.default_rng(SEED)
    rims = [
        radius * np.stack([np.cos(angle), np.sin(angle)], 1)
        for radius in (PEDESTAL - spacing, PEDESTAL, DISC)
        for angle in [np.arange(round(2 * np.pi * radius / spacing)) * spacing / radius]
    ]
    fixed = np.concatenate(rims)
    area, rim = np.pi * (DISC**2 - PEDESTAL**2), len(rims[1]) + len(rims[2])
    count = max(round(area / (spacing**2 * np.sqrt(3) / 2) - rim / 2), 1)
    radius = np.sqrt(rng.uniform((PEDESTAL + spacing / 2) ** 2, (DISC - spacing / 2) ** 2, count))
    angle = rng.uniform(0, 2 * np.pi, count)
    inner = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    for _ in range(60):
        points = np.concatenate([fixed, inner])
        pairs = _sides(Delaunay(points).simplices)
        apart = points[pairs[:, 0]] - points[pairs[:, 1]]
        length = np.linalg.norm(apart, axis=1, keepdims=True)
        push = 0.3 * np.maximum(1.2 * spacing - length, 0) * apart / length
        moves = np.zeros_like(points)
        np.add.at(moves, pairs[:, 0], push)
        np.add.at(moves, pairs[:, 1], -push)
        inner = inner + moves[len(fixed) :]
        radius = np.linalg.norm(inner, axis=1, keepdims=True)
        inner *= np.clip(radius, PEDESTAL + spacing / 3, DISC - spacing / 3) / radius
    points = np.concatenate([fixed, inner])
    faces = Delaunay(points).simplices
    kept = np.linalg.norm(points[faces].mean(1), axis=1) > PEDESTAL - spacing
    return np.column_stack([points, 0 * points[:, 0]]), faces[kept]


def strip(spacing: float, length: float) -> tuple[np.ndarray, np.ndarray]:
    """A strip along X of a length that is not held, with one more row that is: (P,3), (F,3)."""
    rows, columns = max(round(length / spacing), 2), max(round(STRIP / spacing), 1)
    step = length / rows
    x, y = np.meshgrid((np.arange(rows + 2) - 1) * step, np.linspace(-STRIP / 2, STRIP / 2, columns + 1), indexing="ij")
    return np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1), _halved(rows + 1, columns, closed=False)


def _halved(rows: int, columns: int, closed: bool) -> np.ndarray:
    """Triangles (F,3) of a grid of quads, every other one cut along its other diagonal."""
    wide = columns if closed else columns + 1
    row, column = (k.ravel() for k in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    after = (column + 1) % wide
    a, b, c, d = row * wide + column, row * wide + after, (row + 1) * wide + after, (row + 1) * wide + column
    even = ((row + column) % 2 == 0)[:, None]
    first = np.where(even, np.stack([a, b, c], 1), np.stack([a, b, d], 1))
    return np.concatenate([first, np.where(even, np.stack([a, c, d], 1), np.stack([b, c, d], 1))])


def _sides(faces: np.ndarray) -> np.ndarray:
    return np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
