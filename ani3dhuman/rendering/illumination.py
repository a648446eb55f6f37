"""How much light falls on the points of a mesh: from suns, lamps and the sky, with the shadows that the mesh casts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .light_kernels import draw_depths, gather, gather_openness
from .lighting import DISTANT, Emitters, Lighting, emitters

FINE, COARSE = 640, 256  # cells along the side of a shadow map: of a light that is one emitter, and one of several
SKY_WAYS, SKY_CELLS = 32, 160
_WIDEST = math.tan(math.radians(75))  # how far from its axis a lamp's map reaches


@dataclass(frozen=True)
class Illumination:
    """Light on N points of a mesh, linear; each is what a white surface sends on.

    Attributes:
        direct: (N,3) of suns and lamps.
        ambient: (N,3) of the sky, as if nothing were in its way.
        openness: (N,) the share of the sky's light that is not hidden by the mesh.
    """

    direct: np.ndarray
    ambient: np.ndarray
    openness: np.ndarray

    def on(self, albedo: np.ndarray) -> np.ndarray:
        """(N,3) light that surfaces of `albedo` (N,3) send on.

        What hides the sky sends light on itself: hidden surfaces are lit as by Jimenez et al., Practical Realtime
        Strategies for Accurate Indirect Occlusion (2016), as if it had their own albedo.
        """
        x = self.openness[:, None]
        a, b, c = 2.0404 * albedo - 0.3324, -4.7951 * albedo + 0.6417, 2.7552 * albedo + 0.6903
        return albedo * (self.direct + self.ambient * np.maximum(x, ((x * a + b) * x + c) * x))


def illuminate(
    lighting: Lighting, vertices: np.ndarray, faces: np.ndarray, points: np.ndarray, normals: np.ndarray
) -> Illumination:
    """Light on points of a mesh, which shades itself.

    Args:
        lighting: lights of one frame.
        vertices: (V,3) of the mesh, metres.
        faces: (F,3).
        points: (N,3) on the mesh.
        normals: (N,3) unit, on the side that is lit.
    """
    mesh = np.ascontiguousarray(vertices, np.float32)
    where, sides = np.ascontiguousarray(points, np.float32), np.ascontiguousarray(normals, np.float32)
    low, high = mesh.min(0).astype(np.float64), mesh.max(0).astype(np.float64)
    direct = np.zeros((len(points), 3), np.float32)
    for light in emitters(lighting, (low + high) / 2):
        _add_light(light, mesh, faces, where, sides, direct)
    ambient = sky(lighting, sides)
    openness = np.ones(len(points), np.float32)
    if ambient.any():
        ways = _sphere(SKY_WAYS)
        weights = np.maximum(_radiance(lighting, ways).mean(-1), 0).astype(np.float32)
        views, cells = _distant_views(ways, mesh, SKY_CELLS)
        maps = np.empty((len(ways), SKY_CELLS, SKY_CELLS), np.float32)
        draw_depths(mesh, faces, views, np.ones(len(ways), bool), maps)
        gather_openness(where, sides, ways.astype(np.float32), weights, views, maps, np.float32(cells.max()), openness)
    return Illumination(direct, ambient, openness)


def sky(lighting: Lighting, normals: np.ndarray) -> np.ndarray:
    """(N,3) what white surfaces of unit `normals` (N,3) send on under an open sky."""
    if lighting.ambient_sh is None:
        return np.broadcast_to(lighting.ambient.astype(np.float32), normals.shape)
    spread = np.repeat([1.0, 2 / 3, 1 / 4], [1, 3, 5])[:, None]
    return np.maximum(_harmonics(normals) @ (spread * lighting.ambient_sh), 0).astype(np.float32)


def _radiance(lighting: Lighting, ways: np.ndarray) -> np.ndarray:
    if lighting.ambient_sh is None:
        return np.broadcast_to(lighting.ambient, ways.shape)
    return np.maximum(_harmonics(ways) @ lighting.ambient_sh, 0)


def _harmonics(ways: np.ndarray) -> np.ndarray:
    """(N,9) real spherical harmonics up to degree 2 of unit vectors (N,3), in the order of `ambient_sh`."""
    x, y, z = np.asarray(ways, np.float64).T
    linear, mixed = 0.4886025119029199, 1.0925484305920792
    return np.stack(
        [
            np.full_like(x, 0.28209479177387814), linear * y, linear * z, linear * x, mixed * x * y, mixed * y * z,
            0.31539156525252005 * (3 * z * z - 1), mixed * x * z, mixed / 2 * (x * x - y * y),
        ],
        axis=1,
    )  # fmt: skip


def _add_light(
    light: Emitters, mesh: np.ndarray, faces: np.ndarray, points: np.ndarray, normals: np.ndarray, result: np.ndarray
) -> None:
    """Add the light of one lamp or sun."""
    count, distant = len(light.kinds), light.kinds == DISTANT
    size = FINE if count == 1 else COARSE
    if light.casts:
        look = _distant_views(light.origins, mesh, size) if distant.all() else _lamp_views(light.origins, mesh, size)
        views, cells = look
        maps = np.empty((count, size, size), np.float32)
        draw_depths(mesh, faces, views, distant, maps)
        slots = np.arange(count)
    else:
        views, cells = np.zeros((1, 3, 4), np.float32), np.ones(1, np.float32)
        maps, slots = np.zeros((1, 2, 2), np.float32), np.full(count, -1)
    numbers = [np.ascontiguousarray(a, np.float32) for a in (light.places, light.colors, light.frames, light.cones)]
    gather(points, normals, light.kinds, *numbers, slots, views, maps, cells, result)


def _distant_views(ways: np.ndarray, mesh: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Views (S,3,4) of the whole mesh against the unit vectors `ways` (S,3), and metres a cell (S,)."""
    views, cells = np.empty((len(ways), 3, 4)), np.empty(len(ways), np.float32)
    for s, way in enumerate(ways):
        axes = _axes(-way)
        low, high = _bounds(mesh @ axes.T.astype(np.float32))
        cells[s] = max((high - low)[:2].max(), 1e-6) / (size - 4)
        views[s, :2, :3] = axes[:2] / cells[s]
        views[s, :2, 3] = size / 2 - (low + high)[:2] / 2 / cells[s]
        views[s, 2] = *axes[2], -(low[2] + high[2]) / 2
    return views.astype(np.float32), cells


def _lamp_views(places: np.ndarray, mesh: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Views (S,3,4) of the mesh from `places` (S,3), and metres a cell (S,) at a distance of one metre."""
    views, cells = np.empty((len(places), 3, 4)), np.empty(len(places), np.float32)
    low, high = _bounds(mesh)
    for s, place in enumerate(places):
        axes = _axes((low + high) / 2 - place)
        seen = (mesh - place.astype(np.float32)) @ axes.T.astype(np.float32)
        ahead = seen[seen[:, 2] > 1e-3]
        slopes = ahead[:, :2] / ahead[:, 2:] if len(ahead) else np.zeros((1, 2))
        first, last = (np.clip(bound, -_WIDEST, _WIDEST) for bound in _bounds(slopes))
        cells[s] = max((last - first).max(), 1e-6) / (size - 4)
        views[s, :2, :3] = axes[:2] / cells[s] + np.outer(size / 2 - (first + last) / 2 / cells[s], axes[2])
        views[s, 2, :3] = axes[2]
        views[s, :, 3] = -views[s, :, :3] @ place
    return views.astype(np.float32), cells


def _bounds(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return points.min(0).astype(np.float64), points.max(0).astype(np.float64)


def _axes(along: np.ndarray) -> np.ndarray:
    """(3,3) rows: two unit vectors across `along`, and its direction."""
    way = along / max(float(np.linalg.norm(along)), 1e-12)
    across = np.cross((0.0, 0.0, 1.0) if abs(way[2]) < 0.9 else (1.0, 0.0, 0.0), way)
    across /= max(float(np.linalg.norm(across)), 1e-12)
    return np.stack([across, np.cross(way, across), way])


def _sphere(count: int) -> np.ndarray:
    """(count,3) unit vectors spread evenly over the sphere."""
    numbers = np.arange(count) + 0.5
    z, turn = 1 - 2 * numbers / count, numbers * math.pi * (3 - math.sqrt(5))
    flat = np.sqrt(1 - z * z)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)
