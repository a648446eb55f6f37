"""The surface where a field on a grid passes a level, as triangles (surface nets, after Gibson 1998)."""

from __future__ import annotations

from itertools import product

import numpy as np


def surface_net(field: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) in cells of the grid and faces (F,3), normals towards lower values.

    Args:
        field: (X,Y,Z); below `level` at its edges, so that the surface is closed.
    """
    shape = np.array(field.shape)
    inside = field > level
    sums, counts = np.zeros((*(shape - 1), 3)), np.zeros(shape - 1)
    for axis in range(3):
        across, at = _crossings(field, inside, level, axis)
        others = [k for k in range(3) if k != axis]
        for step in product((0, 1), repeat=2):  # the four cells around each edge of the grid
            cell = across.copy()
            cell[:, others] -= step
            cell, place = _within(cell, at, shape - 1)
            np.add.at(sums, tuple(cell.T), place)
            np.add.at(counts, tuple(cell.T), 1)
    used = counts > 0
    number = np.full(shape - 1, -1)
    number[used] = np.arange(used.sum())
    vertices = sums[used] / counts[used][:, None]
    faces = []
    for axis in range(3):
        across, _ = _crossings(field, inside, level, axis)
        u, v = (axis + 1) % 3, (axis + 2) % 3
        across = across[(across[:, u] > 0) & (across[:, v] > 0)]
        corners = np.repeat(across[:, None], 4, axis=1)
        corners[:, 1, u] -= 1
        corners[:, 2, u] -= 1
        corners[:, 2, v] -= 1
        corners[:, 3, v] -= 1
        quads = number[tuple(np.moveaxis(corners, 2, 0))]
        outwards = inside[tuple(across.T)]  # the edge leaves the inside along its axis
        quads = np.where(outwards[:, None], quads, quads[:, ::-1])
        faces.append(quads[:, [0, 1, 2]])
        faces.append(quads[:, [0, 2, 3]])
    return vertices, np.concatenate(faces)


def _crossings(field: np.ndarray, inside: np.ndarray, level: float, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Grid points (N,3) whose edge along an axis passes the level, and where (N,3)."""
    low, high = (np.take(inside, range(k, inside.shape[axis] - 1 + k), axis) for k in (0, 1))
    start = np.argwhere(low != high)
    end = start.copy()
    end[:, axis] += 1
    a, b = field[tuple(start.T)].astype(np.float64), field[tuple(end.T)].astype(np.float64)
    at = start.astype(np.float64)
    at[:, axis] += (level - a) / (b - a)
    return start, at


def _within(cell: np.ndarray, at: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sound = ((cell >= 0) & (cell < shape)).all(1)
    return cell[sound], at[sound]
