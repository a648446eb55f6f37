"""Cut a sleeveless summer dress to the person's measure: one grid of rings and columns, plus two shoulder straps.

Cloth spans hollows, so every ring stands on the convex outline of the body at its height (never following the skin
into a hollow), pushed out by the cloth's ease. Above the waist the rings follow the outline, below it they widen into a
skirt with soft folds. The skirt has weights from the nearest skin, as automatic weights would give: that is the stiff
skirt which the pipeline then brings to life.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from character import ARM_BONES, Human, Part, bone_weight
from mathutils.bvhtree import BVHTree

COLUMNS = 96
BODICE_RINGS = 21
SKIRT_RINGS = 31
FOLDS = 10
EASE = 0.007
WAIST = 0.625  # heights as fractions of the person's
HEM = 0.29
HEM_RADIUS = 0.35
FOLD_DEPTH = 0.036
STRAP_ROWS = 22
STRAP_COLUMNS = 5


@dataclass(frozen=True)
class Dress:
    """The mesh, and what a painter needs to know of the cut.

    waist: v of the waist; widths (N,): circumference in metres from the upper edge to the hem, evenly in v; length:
    metres from v = 1 to v = 0; covered (V,) 0..1: skin of the body that the bodice hides.
    """

    part: Part
    waist: float
    widths: np.ndarray
    length: float
    covered: np.ndarray


@dataclass(frozen=True)
class Outline:
    """Convex outline of the torso and legs: radius (Z,A) about x=0, y=axis_y at heights (Z,) and angles (A,)."""

    heights: np.ndarray
    angles: np.ndarray
    radius: np.ndarray
    axis_y: float

    def at(self, angle: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Radius at angles and heights of one common shape, linear between samples."""
        step = self.heights[1] - self.heights[0]
        z = np.clip((height - self.heights[0]) / step, 0, len(self.heights) - 1.001)
        a = np.mod(angle, 2 * np.pi) / (2 * np.pi) * len(self.angles)
        z0, a0 = z.astype(int), a.astype(int) % len(self.angles)
        a1, fz, fa = (a0 + 1) % len(self.angles), z - z0, a - np.floor(a)
        low = self.radius[z0, a0] * (1 - fa) + self.radius[z0, a1] * fa
        high = self.radius[z0 + 1, a0] * (1 - fa) + self.radius[z0 + 1, a1] * fa
        return low * (1 - fz) + high * fz


def measure_outline(vertices: np.ndarray, heights: np.ndarray, axis_y: float, slab: float = 0.016) -> Outline:
    """Convex outline from the points within `slab` of each height (support function, then its radial function)."""
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    normals = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    directions = np.stack([np.sin(normals), -np.cos(normals)])
    cosines = np.cos(angles[:, None] - normals)
    facing = cosines > 0.05
    radius = np.zeros((len(heights), len(angles)))
    for row, height in enumerate(heights):
        points = vertices[np.abs(vertices[:, 2] - height) < slab][:, :2] - [0, axis_y]
        support = (points @ directions).max(0)
        radius[row] = np.where(facing, support / np.where(facing, cosines, 1), np.inf).min(1)
    return Outline(heights, angles, radius, axis_y)


def _ring_points(outline: Outline, angle: np.ndarray, height: np.ndarray, radius: np.ndarray) -> np.ndarray:
    return np.stack([radius * np.sin(angle), outline.axis_y - radius * np.cos(angle), height], axis=-1)


def _neckline(angle: np.ndarray, chest: float, armpit: float) -> np.ndarray:
    """Height of the upper edge: a shallow heart in front (angle 0), low under the arms, straight across the back."""
    front = 0.5 + 0.5 * np.cos(angle)
    heart = 0.016 * np.exp(-((np.abs(angle) - 0.55) ** 2) / 0.06) - 0.012 * np.exp(-(angle**2) / 0.03)
    return armpit + (chest - armpit) * front**1.5 + heart


def _skirt(outline: Outline, angle: np.ndarray, waist: float, hem: float) -> np.ndarray:
    """(SKIRT_RINGS+1, COLUMNS, 3): from the waist down, widening, folds growing towards the hem."""
    down = np.linspace(0, 1, SKIRT_RINGS + 1)[:, None]
    height = waist + (hem - waist) * down + np.zeros_like(angle)
    body = outline.at(angle + np.zeros_like(down), height) + EASE + 0.006 * np.minimum(down * 8, 1)
    waist_radius = body[:1]
    # A cone with a rounded shoulder: the cloth leaves the hips steeply and falls straight from there.
    flare = waist_radius + (HEM_RADIUS - waist_radius) * (1 - (1 - down) ** 1.25)
    sharpness = 90.0
    radius = np.logaddexp(sharpness * body, sharpness * flare) / sharpness
    radius = np.where(down == 0, body, radius)
    depth = FOLD_DEPTH * down**1.3 * (0.85 + 0.3 * np.sin(3 * angle + 0.6))
    radius = radius + depth * (np.cos(FOLDS * angle + 0.5 * np.sin(2 * angle)) + 0.35)
    return _ring_points(outline, angle + np.zeros_like(down), height, radius)


def _bodice(outline: Outline, angle: np.ndarray, waist: float, edge: np.ndarray) -> np.ndarray:
    """(BODICE_RINGS, COLUMNS, 3): from the upper edge down to the ring above the waist."""
    down = np.linspace(0, 1, BODICE_RINGS, endpoint=False)[:, None]
    height = edge + (waist - edge) * down
    angle = angle + np.zeros_like(down)
    return _ring_points(outline, angle, height, outline.at(angle, height) + EASE)


def _upper_hull(points: np.ndarray) -> np.ndarray:
    """The upper convex hull of points (N,2) sorted by their first coordinate: a thread pulled tight over them."""
    hull: list[np.ndarray] = []
    for point in points:
        while len(hull) > 1:
            u, v = hull[-1] - hull[-2], point - hull[-2]
            if u[0] * v[1] - u[1] * v[0] < 0:
                break
            hull.pop()
        hull.append(point)
    return np.array(hull)


def _strap(start: np.ndarray, end: np.ndarray, body: BVHTree, above: float) -> np.ndarray:
    """(STRAP_ROWS, STRAP_COLUMNS, 3): over the shoulder from the edge points `start` to `end` (columns, 3).

    `above` is a height over the shoulders and under the ears: what lies higher is not to be touched.
    """
    columns = []
    for a, b in zip(start, end, strict=True):
        way = np.linspace(0, 1, 40)[:, None]
        line = a + (b - a) * way
        for point in line[1:-1]:
            hit, *_ = body.ray_cast((point[0], point[1], above), (0, 0, -1))
            if hit is not None:
                point[2] = max(point[2], hit[2] + EASE)
        tight = _upper_hull(line[:, 1:])
        length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(tight, axis=0), axis=1))])
        at = np.linspace(0, length[-1], STRAP_ROWS)
        y, z = np.interp(at, length, tight[:, 0]), np.interp(at, length, tight[:, 1])
        columns.append(np.stack([np.interp(y, line[:, 1], line[:, 0]), y, z], axis=1))
    return np.stack(columns, axis=1)


def grid_quads(rows: int, columns: int, closed: bool) -> np.ndarray:
    """(F,4) quads of a grid whose vertex (r, c) is r * columns + c; `closed` joins the last column to the first."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    right = (c + 1) % columns
    quads = np.stack([r * columns + c, (r + 1) * columns + c, (r + 1) * columns + right, r * columns + right], -1)
    return quads.reshape(-1, 4)


def skin_weights(points: np.ndarray, part: Part, quads: np.ndarray) -> np.ndarray:
    """(P,B) weights of the nearest skin among `quads` of `part`, blended over the quad's corners."""
    tree: Any = BVHTree.FromPolygons(part.vertices.tolist(), quads.tolist())
    result = np.zeros((len(points), part.weights.shape[1]))
    for row, point in enumerate(points):
        location, _, quad, _ = tree.find_nearest(point)
        distance = np.linalg.norm(part.vertices[quads[quad]] - location, axis=1)
        nearness = 1 / (distance + 1e-4)
        result[row] = nearness @ part.weights[quads[quad]] / nearness.sum()
    return result / result.sum(1, keepdims=True)


def push_outside(points: np.ndarray, tree: BVHTree, margin: float) -> np.ndarray:
    """Points (P,3) nearer than `margin` to the surface, or inside it, moved out along the nearest surface normal."""
    moved = points.copy()
    for row, point in enumerate(points):
        location, normal = (np.array(vector) for vector in tree.find_nearest(point)[:2])
        depth = margin - float((point - location) @ normal)
        if 0 < depth < 0.05:
            moved[row] += depth * normal
    return moved


def smooth_over_mesh(values: np.ndarray, quads: np.ndarray, rounds: int, amount: np.ndarray) -> np.ndarray:
    """Move vertex values (V,K) `rounds` times towards the mean of their edge neighbours, by amount (V,1) 0..1."""
    edges = np.concatenate([quads[:, [k, (k + 1) % 4]] for k in range(4)])
    edges = np.concatenate([edges, edges[:, ::-1]])
    count = np.bincount(edges[:, 0], minlength=len(values))[:, None]
    for _ in range(rounds):
        total = np.zeros_like(values)
        np.add.at(total, edges[:, 0], values[edges[:, 1]])
        values = values + amount * (total / count - values)
    return values


def cut_dress(human: Human) -> Dress:
    """The dress, one welded mesh with skin weights and the groups ani3d_garment and ani3d_pin."""
    body, skeleton = human.body, human.skeleton
    tall = body.vertices[:, 2].max()
    arms = bone_weight(body.weights, skeleton, *ARM_BONES) > 0.35
    trunk = body.vertices[~arms & body.vertices_of("Skin")]
    armpit = skeleton.heads[skeleton.index("upperarm.L"), 2] - 0.072 * tall / 1.75
    chest = armpit + 0.035
    waist, hem = WAIST * tall, HEM * tall
    axis_y = float(trunk[np.abs(trunk[:, 2] - waist) < 0.02][:, 1].mean())
    outline = measure_outline(trunk, np.arange(hem - 0.02, chest + 0.03, 0.008), axis_y)

    angle = (np.arange(COLUMNS) / COLUMNS * 2 * np.pi + np.pi) % (2 * np.pi) - np.pi
    edge = _neckline(angle, chest, armpit)
    ring = np.concatenate([_bodice(outline, angle, waist, edge), _skirt(outline, angle, waist, hem)])
    rows = len(ring)
    vertices = [ring.reshape(-1, 3)]
    quads = [grid_quads(rows, COLUMNS, closed=True)]
    turned = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(ring, axis=0), axis=2).mean(1))])
    v = np.repeat(1 - turned / turned[-1], COLUMNS).reshape(rows, COLUMNS)
    u = np.tile(np.arange(COLUMNS) / COLUMNS, (rows, 1))
    uv = [np.stack([u, v], -1).reshape(-1, 2)]

    tree = BVHTree.FromPolygons(body.vertices.tolist(), body.quads.tolist())
    above = skeleton.heads[skeleton.index("neck"), 2] + 0.02
    for front in (11, -11):
        start = (front + np.arange(STRAP_COLUMNS) - STRAP_COLUMNS // 2) % COLUMNS
        end = (COLUMNS // 2 - start) % COLUMNS
        strap = _strap(ring[0, start], ring[0, end], tree, above)
        known = sum(len(block) for block in vertices)
        index = np.arange(known, known + (STRAP_ROWS - 2) * STRAP_COLUMNS).reshape(-1, STRAP_COLUMNS)
        index = np.concatenate([start[None], index, end[None]])
        local = grid_quads(STRAP_ROWS, STRAP_COLUMNS, closed=False)
        vertices.append(strap[1:-1].reshape(-1, 3))
        quads.append(index.reshape(-1)[local][:, ::-1])
        uv.append(np.full(((STRAP_ROWS - 2) * STRAP_COLUMNS, 2), [0.5, 0.995]))
    points, faces, corner = np.concatenate(vertices), np.concatenate(quads), np.concatenate(uv)

    corner_uvs = corner[faces]
    wraps = np.ptp(corner_uvs[..., 0], axis=1) > 0.5
    corner_uvs[wraps, :, 0] += corner_uvs[wraps, :, 0] < 0.5
    corner_uvs[faces.max(1) >= rows * COLUMNS] = [0.5, 0.995]

    points = push_outside(points, tree, 0.6 * EASE)
    limbs = bone_weight(body.weights, skeleton, "upperarm", "lowerarm", "hand") > 0.5
    skin = body.quads[(body.face_materials == body.materials.index("Skin")) & ~limbs[body.quads].any(1)]
    weights = skin_weights(points, body, skin)
    below = np.clip((waist - points[:, 2]) / 0.06, 0, 1)
    weights = smooth_over_mesh(weights, faces, 40, 0.7 * below[:, None])
    pin = 1 - below**2 * (3 - 2 * below)
    part = Part(
        "Dress",
        points,
        faces,
        corner_uvs,
        ("Dress",),
        np.zeros(len(faces), int),
        weights,
        {"ani3d_garment": np.ones(len(points)), "ani3d_pin": pin},
    )
    around = np.linalg.norm(np.roll(ring, -1, 1) - ring, axis=2).sum(1)
    widths = np.interp(np.linspace(0, turned[-1], 64), turned, around)
    x, y, z = body.vertices.T
    skin_angle = np.arctan2(x, axis_y - y)
    order = np.argsort(angle)
    below_edge = np.interp(skin_angle, angle[order], edge[order], period=2 * np.pi) - 0.02 - z
    inside = np.clip(below_edge / 0.006, 0, 1) * np.clip((z - 0.44 * tall) / 0.01, 0, 1)
    covered = np.where(arms | ~body.vertices_of("Skin"), 0, inside)
    return Dress(part, float(1 - turned[BODICE_RINGS] / turned[-1]), widths, float(turned[-1]), covered)
