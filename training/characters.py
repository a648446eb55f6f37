"""Random clothed characters from the demo's CC0 human: body, a dress or skirt of any cut, a curtain of hair."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

HUMAN = Path(__file__).parent.parent / "examples" / "demo" / "human.npz"
INFLUENCES = 4
ARMS = ("clavicle", "shoulder", "upperarm", "lowerarm", "hand")


@dataclass(frozen=True)
class Character:
    """A rigged mesh in bind pose, world space, Z up, facing -Y.

    Attributes:
        vertices: (V,3); faces: (F,3) triangles.
        regions: (V,) indices into `ani3dhuman.shot.REGIONS`.
        pins: (V,) 1 sits on the skin .. 0 flies free.
        weight_indices, weight_values: (V,4).
        bone_names; bone_parents: (B,); bone_heads: (B,3).
    """

    vertices: np.ndarray
    faces: np.ndarray
    regions: np.ndarray
    pins: np.ndarray
    weight_indices: np.ndarray
    weight_values: np.ndarray
    bone_names: tuple[str, ...]
    bone_parents: np.ndarray
    bone_heads: np.ndarray


def random_character(rng: np.random.Generator, path: Path = HUMAN) -> Character:
    """A body of random build in a random dress, two times in three with long hair."""
    with np.load(path) as file:
        human = {name: file[name] for name in file.files}
    build = np.array([rng.uniform(0.9, 1.15), rng.uniform(0.9, 1.12), rng.uniform(0.93, 1.05)])
    body = human["vertices"].astype(np.float64) * build
    heads = human["bone_heads"].astype(np.float64) * build
    names = tuple(str(n) for n in human["bone_names"])
    dense = np.zeros((len(body), len(names)))
    np.put_along_axis(dense, human["weight_indices"].astype(int), human["weight_values"].astype(float), 1)
    dense /= dense.sum(1, keepdims=True)
    head = dense[:, names.index("head")] > 0.5
    arms = dense[:, [i for i, n in enumerate(names) if n.split(".")[0] in ARMS]].sum(1) > 0.35
    skin = human["quads"][human["parts"] == 0].astype(np.int64)

    simple, simple_skin, simple_dense = _simplify(body, skin, dense)
    simple_head = simple_dense[:, names.index("head")] > 0.5
    parts = [(simple, simple_skin, simple_dense, np.where(simple_head, 1, 0), np.ones(len(simple)))]
    parts.append(_dress(rng, body[~arms & ~head], dense[~arms & ~head]))
    if rng.random() < 0.67:
        parts.append(_hair(rng, body[head], names.index("head"), len(names)))
    starts = np.cumsum([0] + [len(p[0]) for p in parts])
    quads = np.concatenate([p[1] + start for p, start in zip(parts, starts, strict=False)])
    indices, values = _sparse(np.concatenate([p[2] for p in parts]))
    return Character(
        np.concatenate([p[0] for p in parts]).astype(np.float32),
        np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]),
        np.concatenate([p[3] for p in parts]),
        np.concatenate([p[4] for p in parts]).astype(np.float32),
        indices,
        values,
        names,
        human["bone_parents"].astype(int),
        heads,
    )


def _simplify(vertices: np.ndarray, quads: np.ndarray, dense: np.ndarray, cell: float = 0.02) -> tuple:
    """The mesh with all vertices of a cell of space merged: cloth collides with it four times as fast."""
    _, group = np.unique(np.floor(vertices / cell).astype(int), axis=0, return_inverse=True)
    count = np.bincount(group)[:, None]
    merged = [np.stack([np.bincount(group, a) for a in values.T], 1) / count for values in (vertices, dense)]
    quads = group[quads]
    whole = np.array([len(np.unique(quad)) == 4 for quad in quads])
    folded = np.array([len(np.unique(quad)) == 3 for quad in quads])
    corners = [np.append(np.unique(quad, return_index=True)[1], 0) for quad in quads[folded]]
    kept = [quad[np.sort(c[:3])][[0, 1, 2, 2]] for quad, c in zip(quads[folded], corners, strict=True)]
    return merged[0], np.concatenate([quads[whole], np.array(kept).reshape(-1, 4)]), merged[1]


def _sparse(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    indices = np.argsort(-dense, axis=1)[:, :INFLUENCES]
    values = np.take_along_axis(dense, indices, 1)
    return indices.astype(np.int32), (values / values.sum(1, keepdims=True)).astype(np.float32)


Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _dress(rng: np.random.Generator, trunk: np.ndarray, weights: np.ndarray) -> Part:
    """Rings around trunk and legs from chest or waist to a hem anywhere between thigh and ankle."""
    tall = 1.06 * trunk[:, 2].max()
    columns = int(rng.integers(56, 97))
    spacing = rng.uniform(0.02, 0.03)
    waist = rng.uniform(0.57, 0.64) * tall
    top = rng.uniform(0.74, 0.77) * tall if rng.random() < 0.75 else waist + 0.06
    hem = rng.uniform(0.1, 0.46) * tall
    rings = np.concatenate(
        [
            np.linspace(top, waist, max(2, round((top - waist) / spacing)), endpoint=False),
            np.linspace(waist, hem, max(8, round((waist - hem) / spacing))),
        ]
    )
    angle = np.arange(columns) / columns * 2 * np.pi
    axis_y = trunk[np.abs(trunk[:, 2] - waist) < 0.03][:, 1].mean()
    outline = np.stack([_outline(trunk, z, angle, axis_y) for z in rings])
    down = np.clip((waist - rings) / (waist - hem), 0, 1)[:, None]
    hem_radius = rng.uniform(0.2, 0.42)
    steepness = rng.uniform(1.0, 1.8)
    waist_radius = outline[np.argmin(np.abs(rings - waist))]
    flare = waist_radius + np.maximum(hem_radius - waist_radius, 0.02) * (1 - (1 - down) ** steepness)
    folds, depth = rng.integers(5, 15), rng.uniform(0, 0.03)
    wave = np.cos(folds * angle + 0.5 * np.sin(2 * angle + rng.uniform(0, 6))) + 0.35
    ease = rng.uniform(0.005, 0.012)
    radius = np.where(down > 0, np.maximum(outline + ease, flare), outline + ease) + depth * down**1.3 * wave
    height = np.broadcast_to(rings[:, None], radius.shape)
    points = np.stack([radius * np.sin(angle), axis_y - radius * np.cos(angle), height], -1).reshape(-1, 3)
    quads = _grid(len(rings), columns, closed=True)

    distance, near = cKDTree(trunk).query(points, k=10)
    blend = 1 / (distance + 1e-4) ** 2
    skin = np.einsum("pk,pkb->pb", blend / blend.sum(1, keepdims=True), weights[near])
    free = np.clip((waist - points[:, 2]) / rng.uniform(0.04, 0.09), 0, 1)
    pins = 1 - free**2 * (3 - 2 * free)
    return points, quads, skin, np.full(len(points), 3), pins


def _outline(trunk: np.ndarray, z: float, angle: np.ndarray, axis_y: float) -> np.ndarray:
    """Convex outline of the trunk at a height, as radii at angles about x = 0, y = axis_y."""
    away = np.abs(trunk[:, 2] - z)
    near = trunk[away < max(0.02, 1.01 * away.min())][:, :2] - [0, axis_y]
    normal = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    support = (near @ np.stack([np.sin(normal), -np.cos(normal)])).max(0)
    cosine = np.cos(angle[:, None] - normal)
    return np.where(cosine > 0.05, support / np.maximum(cosine, 0.05), np.inf).min(1)


def _hair(rng: np.random.Generator, head: np.ndarray, head_bone: int, bones: int) -> Part:
    """A curtain from the back of the skull down to neck, shoulders or back."""
    columns, spacing = 32, 0.018
    crown = head[:, 2].max()
    length = rng.uniform(0.22, 0.5)
    rows = round(length / spacing)
    spread = np.radians(rng.uniform(95, 140))
    angle = np.pi + np.linspace(-spread, spread, columns)
    centre = (head.max(0) + head.min(0)) / 2
    half = (head.max(0) - head.min(0))[:2] / 2 + 0.012
    down = np.arange(rows)[:, None] * spacing
    curve = np.sqrt(np.clip(1 - (1 - np.minimum(down / 0.1, 1)) ** 2, 0.03, 1))
    x = centre[0] + curve * half[0] * np.sin(angle)
    y = centre[1] - curve * half[1] * np.cos(angle)
    z = np.broadcast_to(crown + 0.01 - down, x.shape)
    points = np.stack([x, y, z], -1).reshape(-1, 3)
    weights = np.zeros((len(points), bones))
    weights[:, head_bone] = 1
    free = np.clip((down - 0.11) / 0.08, 0, 1)
    pins = np.broadcast_to(1 - free**2 * (3 - 2 * free), x.shape).reshape(-1)
    return points, _grid(rows, columns, closed=False), weights, np.full(len(points), 2), pins


def _grid(rows: int, columns: int, closed: bool) -> np.ndarray:
    """Quads (F,4) of a grid whose vertex (r, c) is r * columns + c."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns - (not closed)), indexing="ij")
    right = (c + 1) % columns
    return np.stack([r, r + 1, r + 1, r], -1).reshape(-1, 4) * columns + np.stack([c, c, right, right], -1).reshape(
        -1, 4
    )
