"""What a fabric's numbers mean for the particles of a mesh, so that its spacing does not change the cloth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

THINNEST = 0.01  # times the median, the least size that a particle has: slivers would weigh nothing
WIDEST = 10.0  # times its length, up and down, that the cloth beside an edge counts as wide
BETWEEN = 0.385  # share by which lines of other hinges between make the square of the spacing of hinges less
SPARSEST = 0.25  # least share of a sheet's bending that a triangle is taken to have: at a border it has few hinges


class Material(NamedTuple):
    """What fabric's numbers are multiplied with, for P particles, E edges, H hinges and S joints.

    Of a mesh these are square metres, 1, 1/m^2 and nothing, for numbers of a sheet (kg/m^2, N/m, N m); of strands
    metres, 1/m, nothing and 1/m^3, for numbers of a thread (kg/m, N, N m^2). `even` (H,) is what `bend` is multiplied
    with so that it is alike in all directions; `spacing` (H,) is how far lines of hinges stand apart, metres.
    """

    sizes: np.ndarray
    stretch: np.ndarray
    bend: np.ndarray
    even: np.ndarray
    spacing: np.ndarray
    joints: np.ndarray


def sheet(
    faces: np.ndarray,
    rest: np.ndarray,
    edges: np.ndarray,
    hinges: tuple[np.ndarray, np.ndarray],
    pinned: np.ndarray,
) -> Material:
    """What a sheet's numbers mean for a mesh.

    Args:
        faces: (F,3); rest: (P,3) shape, metres; edges: (E,2); pinned: (P,) bool.
        hinges: (H,4) and their weights (H,4).

    A particle weighs a third of its triangles. An edge is a spring as wide as both triangles at it are on average: of
    equilateral ones this makes a sheet of Young's modulus 1.15 times the stretch stiffness (Seung and Nelson 1988).
    """
    areas = _areas(faces, rest)
    sizes = np.bincount(faces.ravel(), np.repeat(areas / 3, 3), len(rest))
    lengths = np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)
    sides = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    count = len(rest)
    each = np.searchsorted(edges[:, 0] * count + edges[:, 1], sides[:, 0] * count + sides[:, 1])
    beside = np.bincount(each, np.repeat(areas, 3), len(edges))
    stretch = np.clip(beside / np.maximum(lengths, 1e-9) ** 2, 1 / WIDEST, WIDEST)
    return Material(_weighty(sizes), stretch, *_bending(*hinges, rest, pinned), np.zeros(0))


def thread(edges: np.ndarray, joints: np.ndarray, rest: np.ndarray) -> Material:
    """What a thread's numbers mean for chains of particles: edges (E,2), joints (S,3), rest shape (P,3)."""
    lengths = np.maximum(np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1), 1e-6)
    sizes = np.bincount(edges.ravel(), np.repeat(lengths / 2, 2), len(rest))
    before, after = (np.linalg.norm(rest[joints[:, k]] - rest[joints[:, k + 1]], axis=1) for k in (0, 1))
    none, bend = np.zeros(0), 1 / np.maximum((before + after) / 2, 1e-6) ** 3
    return Material(_weighty(sizes), 1 / lengths, none, none, none, bend)


def _weighty(sizes: np.ndarray) -> np.ndarray:
    """Sizes (P,) of which none is nothing."""
    some = sizes[sizes > 0]
    return np.maximum(sizes, THINNEST * float(np.median(some)) if len(some) else 1.0)


def _bending(
    hinges: np.ndarray, weights: np.ndarray, rest: np.ndarray, pinned: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factors (H,) 1/m^2 by which hinges (H,4) with weights (H,4) together resist bending as a sheet does, on average.

    A hinge of 1 over the area of its two triangles is right for equilateral ones. What a triangulation makes of a
    cylinder, averaged over all directions of its axis, is known exactly, and each triangle's share is brought to that
    of a sheet. A triangle whose corners are all `pinned` (P,) does not bend: its neighbour takes the whole angle.

    Returns:
        Those; `even` and `spacing` of `Material`. Hinges across from a right angle become half as stiff: quads cut in
        two then bend alike in all directions within 5 per cent, where they are 15 per cent softer along their sides.
        Lines of hinges are as far apart as triangles are high, less where corners lie beside an edge's middle, as
        lines of other hinges come between.
    """
    x0, x1, x2, x3 = (rest[hinges[:, k]].astype(np.float64) for k in range(4))
    length = np.maximum(np.linalg.norm(x1 - x0, axis=1), 1e-9)
    along = (x1 - x0) / length[:, None]
    feet = [((x - x0) * along).sum(1) for x in (x2, x3)]
    highs = [np.linalg.norm(x - x0 - f[:, None] * along, axis=1) for x, f in zip((x2, x3), feet, strict=True)]
    highs = [np.maximum(h, 1e-3 * length) for h in highs]
    own = [h * length / 2 for h in highs]
    # the hinge's angle where the cloth is bent by S: across S_xx + twist S_xy + down S_yy, x across the edge
    across, twist = (highs[0] + highs[1]) / 2, feet[0] - feet[1]
    pairs = list(zip(feet, highs, strict=True))
    down = sum(f * (f - length) / h for f, h in pairs) / 2
    scale = weights[:, 2] * highs[0]  # the length, but where the weights are held down
    cosines = [(h * h - f * (length - f)) / np.hypot(f, h) / np.hypot(length - f, h) for f, h in pairs]
    less = sum(1 / np.maximum(1, 2 - 2 * cosine) for cosine in cosines) / 2  # from 1 at 60 degrees to a half at 90
    mean = scale**2 * (3 * across**2 + 3 * down**2 + 2 * across * down + twist**2) / 8
    both = own[0] + own[1]
    triangle = np.sort(np.stack([hinges[:, [0, 1, 2]], hinges[:, [0, 1, 3]]], 1).reshape(-1, 3), axis=1)
    _, index = np.unique(triangle, axis=0, return_inverse=True)
    index = index.reshape(-1, 2)

    def shares(weight: np.ndarray | float) -> np.ndarray:
        """(H,) shares of a sheet's bending that the triangles at each hinge have, if all hinges have this weight."""
        share = np.bincount(index.ravel(), np.stack([weight * mean / both / 2 / area for area in own], 1).ravel())
        return np.asarray(np.maximum(share[index].mean(1), SPARSEST))

    loose = np.where(pinned[hinges[:, [0, 1, 3]]].all(1), own[0], np.where(pinned[hinges[:, :3]].all(1), own[1], both))
    middle = sum(np.clip(4 * f * (length - f) / length**2, 0, 1) for f in feet) / 2  # 1 beside the edge's middle
    spacing = across * np.sqrt(1 - BETWEEN * middle)
    return 1 / loose / shares(1.0), less * shares(1.0) / shares(less), spacing


def _areas(faces: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Areas (F,) of faces (F,3)."""
    x = rest[faces].astype(np.float64)
    return np.asarray(np.linalg.norm(np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]), axis=1) / 2)
