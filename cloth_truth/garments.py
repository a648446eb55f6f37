"""Clothes and hair cut to a body's measure: grids of rings and columns around the convex outline of trunk and legs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ani3d_formats.regions import GARMENT, HAIR

from .bodies import Body


@dataclass(frozen=True)
class Cut:
    """How a dress is cut; pairs are ranges to draw from.

    Attributes:
        hem: height of the hem over the person's height.
        radius: of the hem, metres; at least the outline of hips and legs.
        steepness: above 1 the skirt flares early, at 1 it is a cone.
        folds: number of folds around; depth: of the folds, metres; sharp: pleats with creases, not waves.
        tiers: gathered tiers of the skirt, 1 for none.
        cape: length over the person's height of a cape from the back of the bodice; None for none.
    """

    hem: tuple[float, float]
    radius: tuple[float, float]
    steepness: tuple[float, float] = (1.0, 1.7)
    folds: tuple[int, int] = (5, 11)
    depth: tuple[float, float] = (0.005, 0.025)
    sharp: bool = False
    tiers: int = 1
    cape: tuple[float, float] | None = None


CUTS: dict[str, Cut] = {
    "mini_aline": Cut((0.40, 0.45), (0.26, 0.33)),
    "knee_aline": Cut((0.27, 0.34), (0.28, 0.40)),
    "ankle_aline": Cut((0.09, 0.16), (0.32, 0.44)),
    "mini_straight": Cut((0.38, 0.43), (0.20, 0.22), folds=(4, 7), depth=(0.0, 0.006)),
    "knee_straight": Cut((0.30, 0.35), (0.22, 0.25), folds=(4, 7), depth=(0.0, 0.008)),
    "mini_pleated": Cut((0.40, 0.45), (0.27, 0.33), folds=(20, 28), depth=(0.012, 0.02), sharp=True),
    "knee_pleated": Cut((0.28, 0.35), (0.30, 0.38), folds=(20, 28), depth=(0.012, 0.02), sharp=True),
    "ankle_tiered": Cut((0.10, 0.17), (0.34, 0.44), (1.0, 1.3), (9, 15), (0.012, 0.022), tiers=3),
    "knee_tiered": Cut((0.28, 0.34), (0.32, 0.40), (1.0, 1.3), (9, 15), (0.012, 0.022), tiers=2),
    "knee_short_cape": Cut((0.27, 0.34), (0.26, 0.34), cape=(0.22, 0.3)),
    "mini_circle": Cut((0.39, 0.43), (0.40, 0.46), (1.5, 2.1), (10, 15), (0.02, 0.035)),
    "ankle_pleated": Cut((0.10, 0.16), (0.34, 0.42), folds=(20, 28), depth=(0.014, 0.022), sharp=True),
    "ankle_long_cape": Cut((0.10, 0.18), (0.28, 0.36), cape=(0.42, 0.55)),
    "midi_circle": Cut((0.22, 0.27), (0.42, 0.50), (1.4, 1.9), (8, 12), (0.02, 0.035)),
    "knee_pleated_tiers": Cut((0.27, 0.33), (0.32, 0.38), (1.0, 1.3), (20, 26), (0.012, 0.018), sharp=True, tiers=2),
    "ankle_column": Cut((0.11, 0.16), (0.23, 0.27), folds=(4, 7), depth=(0.0, 0.01)),
}
TOPS = ("bodice", "loose", "skirt")  # tight to the waist; free from the chest down; a skirt over a plain top


@dataclass(frozen=True)
class Part:
    """A piece of cloth or hair in bind pose, a mesh of its own.

    Attributes:
        name: what it is; region: 2 hair or 3 garment.
        vertices: (V,3); quads: (F,4); uvs: (F,4,2) in tiles of the pattern, v upwards.
        weights: (V,B) skin weights; pins: (V,) 1 sits on the skin .. 0 flies free.
    """

    name: str
    region: int
    vertices: np.ndarray
    quads: np.ndarray
    uvs: np.ndarray
    weights: np.ndarray
    pins: np.ndarray


def joined(name: str, parts: list[Part]) -> Part:
    """Several parts as one mesh."""
    starts = np.cumsum([0] + [len(p.vertices) for p in parts])
    return Part(
        name,
        parts[0].region,
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.quads + start for p, start in zip(parts, starts, strict=False)]),
        np.concatenate([p.uvs for p in parts]),
        np.concatenate([p.weights for p in parts]),
        np.concatenate([p.pins for p in parts]),
    )


def grid_quads(rows: int, columns: int, closed: bool) -> np.ndarray:
    """Quads (F,4) of a grid whose vertex (r, c) is r * columns + c; `closed` joins the last column to the first."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns - (not closed)), indexing="ij")
    right = (c + 1) % columns
    upper, lower = r * columns, (r + 1) * columns
    return np.stack([upper + c, lower + c, lower + right, upper + right], -1).reshape(-1, 4)


def outline(points: np.ndarray, z: float, angle: np.ndarray, axis_y: float, slab: float = 0.02) -> np.ndarray:
    """Convex outline of points (P,3) near height z, as radii at angles (A,) about x = 0, y = axis_y; 0 is -Y."""
    away = np.abs(points[:, 2] - z)
    near = points[away < max(slab, 1.01 * away.min())][:, :2] - [0, axis_y]
    normal = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    support = (near @ np.stack([np.sin(normal), -np.cos(normal)])).max(0)
    cosine = np.cos(np.asarray(angle)[:, None] - normal)
    return np.where(cosine > 0.05, support / np.maximum(cosine, 0.05), np.inf).min(1)


def smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def near_weights(points: np.ndarray, skin: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(P,B) weights of the ten nearest skin vertices, as automatic weights would give."""
    distance, near = cKDTree(skin).query(points, k=10)
    blend = 1 / (distance + 1e-4) ** 2
    return np.einsum("pk,pkb->pb", blend / blend.sum(1, keepdims=True), weights[near])


def _grid_uvs(quads: np.ndarray, columns: int, u: np.ndarray, v: np.ndarray, wrap: float) -> np.ndarray:
    """(F,4,2) from vertex coordinates u, v (V,); a face that closes the ring ends at u = `wrap`."""
    corners = u[quads]
    closing = (quads % columns == 0) & (quads[:, :1] % columns == columns - 1)
    return np.stack([np.where(closing, wrap, corners), v[quads]], axis=2)


def make_dress(rng: np.random.Generator, body: Body, cut: Cut, top: str, detail: float, tile: float) -> list[Part]:
    """Dress or skirt around trunk and legs, and its cape where the cut has one.

    Args:
        rng: draws the cut's measures.
        body: to fit; cut: ranges; top: one of `TOPS`.
        detail: factor on rows and columns; 1 gives about 2,000 to 4,500 vertices.
        tile: metres that one tile of the pattern is wide.
    """
    trunk = body.vertices[body.trunk]
    tall = body.height
    columns = round((112 if cut.sharp or cut.tiers > 1 else rng.integers(72, 97)) * detail)
    spacing = rng.uniform(0.021, 0.026) / detail
    waist = rng.uniform(0.605, 0.635) * tall
    upper = waist + 0.03 if top == "skirt" else rng.uniform(0.755, 0.775) * tall
    hem = rng.uniform(*cut.hem) * tall
    rings = np.concatenate(
        [
            np.linspace(upper, waist, max(2, round((upper - waist) / spacing)), endpoint=False),
            np.linspace(waist, hem, max(8, round((waist - hem) / spacing))),
        ]
    )
    angle = np.arange(columns) / columns * 2 * np.pi
    axis_y = float(trunk[np.abs(trunk[:, 2] - waist) < 0.03][:, 1].mean())
    fit = np.stack([outline(trunk, z, angle, axis_y) for z in rings])
    ease = rng.uniform(0.008, 0.012)
    down = np.clip((waist - rings) / (waist - hem), 0, 1)[:, None]
    radius = _skirt_radius(rng, cut, fit + ease, down, angle, np.argmin(np.abs(rings - waist)))
    if top == "loose":  # hangs from the chest past the waist
        chest = np.maximum.accumulate(np.where(rings[:, None] > hem, fit + ease, 0), axis=0)
        radius = np.maximum(radius, np.where(down < 0.35, chest, 0))
        radius[down[:, 0] > 0] = np.maximum.accumulate(radius[down[:, 0] > 0], axis=0)
    height = np.broadcast_to(rings[:, None], radius.shape)
    points = np.stack([radius * np.sin(angle), axis_y - radius * np.cos(angle), height], -1).reshape(-1, 3)
    quads = grid_quads(len(rings), columns, closed=True)
    tiles = max(4, round(2 * np.pi * float(radius[down[:, 0] > 0.3].mean()) / tile))
    u = np.tile(np.arange(columns) / columns * tiles, len(rings))
    v = np.repeat((rings - hem) / tile, columns)
    free_from = upper - 0.05 if top == "loose" else waist
    pins = 1 - smoothstep((free_from - points[:, 2]) / rng.uniform(0.04, 0.08))
    parts = [
        Part(
            "dress",
            GARMENT,
            points,
            quads,
            _grid_uvs(quads, columns, u, v, float(tiles)),
            near_weights(points, trunk, body.weights[body.trunk]),
            pins,
        )
    ]
    if cut.cape is not None:
        parts.append(_cape(rng, body, cut.cape, radius, rings, axis_y, detail, tile))
    return parts


def _skirt_radius(
    rng: np.random.Generator, cut: Cut, fit: np.ndarray, down: np.ndarray, angle: np.ndarray, waist: np.intp
) -> np.ndarray:
    """(R,C) radii: `fit` (R,C) above the waist, flared and folded below; down (R,1) is 0 at the waist, 1 at the hem."""
    target = rng.uniform(*cut.radius)
    flare = fit[waist] + np.maximum(target - fit[waist], 0.02) * (1 - (1 - down) ** rng.uniform(*cut.steepness))
    folds, depth = rng.integers(*cut.folds, endpoint=True), rng.uniform(*cut.depth)
    swing = folds * angle + (0 if cut.sharp else 0.5 * np.sin(2 * angle + rng.uniform(0, 6)))
    wave = (2 / np.pi * np.arcsin(0.98 * np.cos(swing)) if cut.sharp else np.cos(swing)) + 1
    grown = down ** (0.7 if cut.sharp else 1.3)
    if cut.tiers > 1:  # each tier starts gathered under a seam and opens towards its own edge
        within = np.minimum(down * cut.tiers, cut.tiers - 1e-6) % 1
        seam = np.clip(within * 5, 0, 1)
        grown = np.where(down > 0, (0.3 + 0.7 * down) * seam, 0)
        flare = flare + np.where(down > 0, 0.015 * seam * (1 - 0.5 * within), 0)
    radius = np.where(down > 0, np.maximum(fit + 0.004 * np.minimum(down * 8, 1), flare), fit)
    return radius + depth * grown * wave


def _cape(
    rng: np.random.Generator,
    body: Body,
    length: tuple[float, float],
    dress: np.ndarray,
    rings: np.ndarray,
    axis_y: float,
    detail: float,
    tile: float,
) -> Part:
    """A cape from the upper edge of the dress's back, outside the skirt; dress (R,C) are its radii at heights rings."""
    columns = round(44 * detail)
    low = max(rings[0] - rng.uniform(*length) * body.height, 0.06 * body.height)
    rows = max(8, round((rings[0] - low) / (0.025 / detail)))
    z = np.linspace(rings[0], low, rows)
    spread = np.radians(rng.uniform(48, 62))
    angle = np.pi + np.linspace(-spread, spread, columns)
    around = np.arange(dress.shape[1] + 1) / dress.shape[1] * 2 * np.pi
    closed = np.concatenate([dress, dress[:, :1]], axis=1)
    at = np.clip(np.interp(-z, -rings, np.arange(len(rings))), 0, len(rings) - 1)
    upper = np.floor(at).astype(int)
    lower, share = np.minimum(upper + 1, len(rings) - 1), (at - upper)[:, None]
    radius = np.stack([np.interp(angle, around, row) for row in closed])
    # the widest ring above and here, so that the cape falls straight from the shoulder blades
    radius = np.maximum.accumulate(np.maximum(radius[upper], radius[lower]) * share + radius[upper] * (1 - share))
    down = np.linspace(0, 1, rows)[:, None]
    folds = 0.012 * down * (1 + np.cos(rng.integers(4, 8) * np.linspace(0, 2 * np.pi, columns)))
    radius = radius + 0.014 + 0.01 * np.minimum(down * 5, 1) + folds
    points = np.stack(
        [radius * np.sin(angle), axis_y - radius * np.cos(angle), np.broadcast_to(z[:, None], radius.shape)], -1
    ).reshape(-1, 3)
    quads = grid_quads(rows, columns, closed=False)
    u, v = np.tile(np.arange(columns) * 0.025 / tile, rows), np.repeat((z - low) / tile, columns)
    pins = 1 - smoothstep((z[0] - points[:, 2] - 0.03) / 0.05)
    trunk = body.trunk
    weights = near_weights(points, body.vertices[trunk], body.weights[trunk])
    return Part("cape", GARMENT, points, quads, np.stack([u[quads], v[quads]], 2), weights, pins)


def make_sleeves(rng: np.random.Generator, body: Body, detail: float, tile: float) -> list[Part]:
    """A bell sleeve on each upper arm, held at its upper edge, wider below."""
    reach, bell = rng.uniform(0.75, 1.0), rng.uniform(0.02, 0.05)
    return [_sleeve(body, side, reach, bell, detail, tile) for side in "LR"]


def _sleeve(body: Body, side: str, reach: float, bell: float, detail: float, tile: float) -> Part:
    skeleton = body.skeleton
    start = skeleton.heads[skeleton.index(f"upperarm.{side}")]
    end = skeleton.heads[skeleton.index(f"lowerarm.{side}")]
    along = end - start
    length = np.linalg.norm(along)
    along = along / length
    skin = body.arms & (body.vertices[:, 0] * (1 if side == "L" else -1) > 0)
    local = body.vertices[skin] - start
    distance = local @ along
    from_axis = np.linalg.norm(local - distance[:, None] * along, axis=1)
    columns, rows = round(28 * detail), round(16 * detail)
    at = np.linspace(0.12, reach, rows) * length
    arm = np.array([from_axis[np.abs(distance - d) < 0.03].max() for d in at])
    down = np.linspace(0, 1, rows)
    radius = arm + 0.009 + bell * down
    side_axis = np.cross(along, [0.0, 1.0, 0.0])
    side_axis /= np.linalg.norm(side_axis)
    other = np.cross(along, side_axis)
    turn = np.arange(columns) / columns * 2 * np.pi
    ring = np.cos(turn)[:, None] * side_axis + np.sin(turn)[:, None] * other
    points = (start + at[:, None] * along)[:, None] + radius[:, None, None] * ring
    points = points.reshape(-1, 3)
    quads = grid_quads(rows, columns, closed=True)
    tiles = max(2, round(2 * np.pi * float(radius.mean()) / tile))
    u, v = np.tile(np.arange(columns) / columns * tiles, rows), np.repeat(-at / tile, columns)
    pins = np.repeat(1 - smoothstep((down - 0.12) / 0.2), columns)
    weights = near_weights(points, body.vertices[skin], body.weights[skin])
    return Part("sleeve", GARMENT, points, quads, _grid_uvs(quads, columns, u, v, float(tiles)), weights, pins)


def make_hair(rng: np.random.Generator, body: Body, kind: str, detail: float) -> Part:
    """Hair from the skull down: "bob" ends at the neck, "curtain" is one sheet down the back, "strips" hang apart."""
    head = body.vertices[body.head]
    columns, spacing = round(40 * detail), 0.018 / detail
    crown = head[:, 2].max()
    length = rng.uniform(0.2, 0.26) if kind == "bob" else rng.uniform(0.34, 0.5)
    rows = round(length / spacing)
    down = np.arange(rows)[:, None] * spacing
    gather = 0.0 if kind == "bob" else 0.62
    spread = np.radians(rng.uniform(105, 125)) * (1 - gather * smoothstep((down - 0.15) / 0.13))
    angle = np.pi + np.linspace(-1, 1, columns) * spread
    centre = (head.max(0) + head.min(0)) / 2
    half = (head.max(0) - head.min(0))[:2] / 2 + 0.012
    curve = np.sqrt(np.clip(1 - (1 - np.minimum(down / 0.1, 1)) ** 2, 0.03, 1))
    x = centre[0] + curve * half[0] * np.sin(angle)
    y = centre[1] - curve * half[1] * np.cos(angle)
    z = np.broadcast_to(crown + 0.01 - down, x.shape)
    skin = body.vertices[body.trunk]
    for row in np.flatnonzero(down[:, 0] > 0.2):  # outside neck and back
        near = skin[np.abs(skin[:, 2] - z[row, 0]) < 0.02]
        if len(near):
            beside = np.abs(near[:, 0][:, None] - x[row]) < 0.03
            back = np.where(beside, near[:, 1][:, None], -np.inf).max(0)
            y[row] = np.maximum(y[row], np.where(np.isfinite(back), back + 0.014, y[row]))
    y[1:] = np.where(down[1:] > 0.2, np.maximum(y[1:], np.maximum.accumulate(y, axis=0)[1:] - 0.06), y[1:])
    points = np.stack([x, y, z], -1).reshape(-1, 3)
    weights = np.zeros((len(points), len(body.skeleton.names)))
    weights[:, body.skeleton.index("head")] = 1
    quads = grid_quads(rows, columns, closed=False)
    if kind == "strips":
        cuts = np.cumsum(rng.integers(3, 6, columns))
        cuts = cuts[cuts < columns - 2]  # no strip of a single column, which no face would hold
        between = np.isin(quads[:, 0] % columns, cuts)
        quads = quads[~(between & (down[quads[:, 0] // columns, 0] > 0.2))]
    free = smoothstep((down - 0.13) / 0.08)
    pins = np.broadcast_to(1 - free, x.shape).reshape(-1)
    u, v = np.tile(np.linspace(0, 1, columns), rows), np.repeat(-down[:, 0] / 0.5, columns)
    return Part("hair", HAIR, points, quads, np.stack([u[quads], v[quads]], 2), weights, pins)
