# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shape of a mesh says: gaps to the skin, open edges, cards, how far something surrounds a point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SAMPLES = 12_000  # points that stand for the skin
DIRECTIONS = 240


class Skin:
    """Points spread evenly over the triangles of `meshes` (vertices (V,3), triangles (F,3)), with normals."""

    def __init__(self, meshes: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        corners = [vertices[triangles] for vertices, triangles in meshes]
        owners = np.repeat(np.arange(len(corners)), [len(each) for each in corners])
        joined = np.concatenate(corners) if corners else np.empty((0, 3, 3))
        crossed = np.cross(joined[:, 1] - joined[:, 0], joined[:, 2] - joined[:, 0])
        area = np.linalg.norm(crossed, axis=1)
        rng = np.random.default_rng(0)
        total = area.sum()
        chosen = rng.choice(len(area), SAMPLES, p=area / total) if total > 0 else np.empty(0, int)
        a, b = rng.random((2, len(chosen), 1))
        a, b = np.where(a + b > 1, 1 - a, a), np.where(a + b > 1, 1 - b, b)
        at = joined[chosen]
        self.points = at[:, 0] + a * (at[:, 1] - at[:, 0]) + b * (at[:, 2] - at[:, 0])
        self.normals = crossed[chosen] / np.maximum(area[chosen, None], 1e-30)
        self.owners = owners[chosen]
        self.spacing = float(np.sqrt(total / 2 / SAMPLES)) if len(chosen) else 0.0

    def gap(self, points: np.ndarray, without: int = -1) -> np.ndarray:
        """(P,) distance of `points` to the skin, that of the mesh number `without` left out; infinite without any."""
        kept = self.owners != without
        if not kept.any():
            return np.full(len(points), np.inf)
        skin, normals = self.points[kept], self.normals[kept]
        middle = skin.mean(axis=0)
        centred = (skin - middle).astype(np.float32)
        nearest = np.argmin((centred**2).sum(axis=1) - 2 * (points - middle).astype(np.float32) @ centred.T, axis=1)
        away = points - skin[nearest]
        plane = np.abs((away * normals[nearest]).sum(axis=1))
        far = np.linalg.norm(away, axis=1)
        beside = np.sqrt(np.maximum(far**2 - plane**2, 0))  # above a sample's triangle the plane is the nearer
        return np.where(beside < 2 * self.spacing, plane, far)


def spread(points: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of `points`, evenly through their order."""
    return points[np.linspace(0, len(points) - 1, min(count, len(points))).round().astype(int)]


def lowest(points: np.ndarray) -> float:
    return float(points[:, 2].min())


def welded(points: np.ndarray, triangles: np.ndarray, near: float) -> np.ndarray:
    """Triangles (F,3) with vertices nearer than about `near` made one: importers split vertices at seams of UVs."""
    cells = np.round((points - points.min(axis=0)) / near).astype(np.int64) & 0x1FFFFF  # 21 bits a direction
    _, first, one = np.unique(cells @ np.array([1 << 42, 1 << 21, 1]), return_index=True, return_inverse=True)
    joined: np.ndarray = first[one.reshape(-1)][triangles]
    return joined


def at_open_edge(triangles: np.ndarray, count: int) -> np.ndarray:
    """(V,) bool, which of `count` vertices lie at an edge of one triangle only."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64), axis=1)
    found, uses = np.unique(edges[:, 0] * count + edges[:, 1], return_counts=True)
    result = np.zeros(count, bool)
    result[np.r_[found[uses == 1] // count, found[uses == 1] % count]] = True
    return result


def open_share(points: np.ndarray, triangles: np.ndarray, edged: np.ndarray) -> float:
    """Share of the area that lies in connected pieces with an open edge; `edged` (V,) bool, vertices at one."""
    names = components(triangles, len(points))[triangles[:, 0]]
    corners = points[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    open_names = np.unique(names[edged[triangles].any(axis=1)])
    return float(area[np.isin(names, open_names)].sum() / max(area.sum(), 1e-30))


def components(triangles: np.ndarray, count: int) -> np.ndarray:
    """(V,) number of the connected piece of each of `count` vertices; the lowest vertex names it."""
    label = np.arange(count)
    edges = triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    while True:
        before = label.copy()
        smaller = np.minimum(label[edges[:, 0]], label[edges[:, 1]])
        np.minimum.at(label, edges[:, 0], smaller)
        np.minimum.at(label, edges[:, 1], smaller)
        label = label[label]  # halves the way to the root
        if (label == before).all():
            return label


def is_cards(points: np.ndarray, triangles: np.ndarray, edged: np.ndarray, longest: float) -> bool:
    """True for many long thin strips with open edges: cards of hair. Strips over `longest` metres are no cards."""
    if not len(triangles):
        return False
    pieces = components(triangles, len(points))
    names = np.unique(pieces[triangles[:, 0]])
    cards = 0
    for name in names:
        own = points[pieces == name]
        if len(own) < 3:
            continue
        sides = np.linalg.svd(own - own.mean(axis=0), compute_uv=False) / np.sqrt(len(own))
        thin = sides[1] < 0.5 * sides[0] and sides[0] < longest
        cards += bool(thin and edged[pieces == name].mean() > 0.3)
    return cards >= 3 and cards > 0.6 * len(names)


def skull_cover(points: np.ndarray, triangles: np.ndarray, centre: np.ndarray) -> float:
    """Share of the directions at and above `centre` in which triangles surround it."""
    rows = np.arange(DIRECTIONS) + 0.5
    up = 1 - rows / DIRECTIONS  # the upper half of a sphere, evenly
    turn = np.pi * (1 + np.sqrt(5)) * rows
    flat = np.sqrt(1 - up**2)
    directions = np.stack([flat * np.cos(turn), flat * np.sin(turn), up], axis=1)
    corners = points[triangles] - centre
    if len(corners) > 4000:
        corners = corners[np.argsort(np.linalg.norm(np.cross(corners[:, 1], corners[:, 2]), axis=1))[-4000:]]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    hit = np.zeros(DIRECTIONS, bool)
    for row, direction in enumerate(directions):
        side = np.cross(direction, second)
        det = (first * side).sum(axis=1)
        good = np.abs(det) > 1e-30
        inverse = 1 / np.where(good, det, 1)
        u = -(corners[:, 0] * side).sum(axis=1) * inverse
        other = np.cross(-corners[:, 0], first)
        v = (other @ direction) * inverse
        far = (second * other).sum(axis=1) * inverse
        hit[row] = (good & (u >= 0) & (v >= 0) & (u + v <= 1) & (far > 0)).any()
    return float(hit.mean())
