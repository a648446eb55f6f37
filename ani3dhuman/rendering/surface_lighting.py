"""How much light falls on the points of a mesh: from suns, lamps and the sky, with the shadows that the mesh casts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..mesh.kernels import point_normals
from ..mesh.raster import OPAQUE, Cutouts
from .around_kernels import draw_layers, gather_around
from .gloss import Shine, harmonics_spread, mirrored_sky
from .light_kernels import draw_depths, gather, send_on
from .light_sources import DISTANT, Emitters, Lighting, emitters
from .strand_light import Density, Hung, Strands

FINE, COARSE = 1024, 384  # cells along the side of a shadow map: of a light that is one emitter, and one of several
WAYS, CELLS, LAYERS = 24, 128, 8  # directions, each with its opposite, from which light comes from all around; maps
SHARPEST = 12.0  # exponent of what a point mirrors of them: a sharper one would fall between them
CURVE = 1023  # cells along the longest side of what a curve leads through
HALF_OPEN = 0.7  # the share of the sky that a face sees whose light, sent on twice, another gets
_AROUND = ("openness", "reflected", "mirror_open", "mirrored")  # of an `Illumination`, what comes from all around
_WIDEST = math.tan(math.radians(75))  # how far from its axis a lamp's map reaches


@dataclass(frozen=True)
class Illumination:
    """Light on N points of a mesh, linear; each is what a white surface sends on.

    Attributes:
        direct: (N,3) of suns and lamps.
        above: (N,3) of the whole sky.
        openness: (N,) the share of the sky's light that the mesh lets through.
        reflected: (N,3) that the mesh sends on itself, once and twice.
        shone: (N,3) of suns and lamps, what a glossy surface mirrors to the eye; zeros for a matte one, as all below.
        mirrored_above: (N,3) of the whole sky.
        mirror_open: (N,) the share of that which the mesh lets through.
        mirrored: (N,3) of the mesh itself.
    """

    direct: np.ndarray
    above: np.ndarray
    openness: np.ndarray
    reflected: np.ndarray
    shone: np.ndarray
    mirrored_above: np.ndarray
    mirror_open: np.ndarray
    mirrored: np.ndarray

    @property
    def sky(self) -> np.ndarray:
        """(N,3) of as much of the sky as the mesh leaves open."""
        return self.above * self.openness[:, None]

    @property
    def total(self) -> np.ndarray:
        """(N,3) all that a matte surface scatters."""
        return self.direct + self.sky + self.reflected

    @property
    def gloss(self) -> np.ndarray:
        """(N,3) all that the surface mirrors to the eye."""
        return self.shone + self.mirrored_above * self.mirror_open[:, None] + self.mirrored


@dataclass(frozen=True)
class Surface:
    """The mesh that is lit, and that is in its own light.

    Attributes:
        vertices: (V,3) metres.
        faces: (F,3).
        albedo: (V,3) linear colour.
        cutouts: where it is clear.
        strands: those of hair in it, None where there are none.
    """

    vertices: np.ndarray
    faces: np.ndarray
    albedo: np.ndarray
    cutouts: Cutouts = OPAQUE
    strands: Strands | None = None


def steadied(before: Illumination, now: Illumination, after: Illumination) -> Illumination:
    """The light of a frame with what comes from all around taken a little from its neighbours too.

    Few directions and coarse maps make that shimmer where something moves.
    """
    around = {
        name: 0.25 * getattr(before, name) + 0.5 * getattr(now, name) + 0.25 * getattr(after, name) for name in _AROUND
    }
    return replace(now, **around)


def between(before: Illumination, now: Illumination, after: Illumination) -> Illumination:
    """The light of a frame with what comes from all around the mean of that in the frames beside it."""
    return replace(now, **{name: (getattr(before, name) + getattr(after, name)) / 2 for name in _AROUND})


def illuminate(
    lighting: Lighting,
    surface: Surface,
    points: np.ndarray,
    normals: np.ndarray,
    shine: Shine | None = None,
    tones: np.ndarray | None = None,
    order: np.ndarray | None = None,
    around: bool = True,
    share: np.ndarray | None = None,
    planes: np.ndarray | None = None,
    hung: Hung | None = None,
) -> Illumination:
    """Light on `points` (N,3) of a surface, on the side of their unit `normals` (N,3), by the lights of one frame.

    `shine` says how they mirror, None that they do not; `tones` (N,2) are angle and soft edge, radians, of toon
    shaders, zeros or None of none. `order` (N,) is that in which points lie near each other (`by_place`), which is
    faster; None takes them as they are. Without `around` what comes from all around, most of the work, is left out: 0.
    `share` (N,3) is that of `Shine.mirrored`, where it is known.
    `planes` (N,3) are unit normals of the faces that the points lie in, on the same side: nothing in a plane hides its
    points, where smooth normals lean out of coarse faces. None takes `normals`.
    `hung` says where the points lie on the surface's strands, which other strands take light from; None that they do
    not.
    """
    tones = np.zeros((0, 2), np.float32) if tones is None else np.ascontiguousarray(tones, np.float32)
    mesh, faces = np.ascontiguousarray(surface.vertices, np.float32), surface.faces
    where, sides = np.ascontiguousarray(points, np.float32), np.ascontiguousarray(normals, np.float32)
    faced = sides if planes is None else np.ascontiguousarray(planes, np.float32)
    all_points, all_sides, all_planes, count = where, sides, faced, len(points)
    hair = _Hair.of(surface, hung, around)
    if around:  # both sides of the vertices are lit too, for what they send on
        own = point_normals(mesh, faces)
        all_points = np.concatenate([where, mesh, mesh])
        all_sides, all_planes = (np.concatenate([each, own, -own]) for each in (sides, faced))
    direct = np.zeros((len(all_points), 3), np.float32)
    shone = np.zeros((len(points), 3), np.float32)
    low, high = _bounds(np.ascontiguousarray(mesh.T))
    for light in emitters(lighting, (low + high) / 2):
        _add_light(
            light,
            (mesh, faces, surface.cutouts),
            (all_points, all_sides, all_planes, tones),
            shine,
            hair,
            direct,
            shone,
        )
    above = sky(lighting, all_sides)
    open_, reflected = np.zeros(count, np.float32), np.zeros((count, 3), np.float32)
    mirror_open, mirrored = np.zeros_like(open_), np.zeros_like(reflected)
    if around:
        layers, weights = _layers(lighting, mesh, faces, surface.cutouts, hair.faces)
        through = hair.through_around()
        of_points, of_vertices = ((hair.faces, *vars(each).values(), through) for each in (hair.points, hair.sides))
        first = _sent(surface, direct[count:] + HALF_OPEN * above[count:])
        both_sides = all_points[count:], all_sides[count:], all_planes[count:], tones[:0]
        vertex_open, vertex_reflected, *_ = _around(layers, weights, both_sides, None, of_vertices, first, None)
        sent = _sent(surface, direct[count:] + vertex_open[:, None] * above[count:] + vertex_reflected)
        open_, reflected, mirror_open, mirrored = _around(
            layers, weights, (where, sides, faced, tones), shine, of_points, sent, order
        )
    mirrored_above = np.zeros_like(mirrored)
    if shine is not None:
        share = shine.mirrored(sides) if share is None else share
        mirrored_above, mirrored = share * _mirrored_sky(lighting, shine, sides), share * mirrored
    return Illumination(direct[:count], above[:count], open_, reflected, shone, mirrored_above, mirror_open, mirrored)


@dataclass(frozen=True)
class _Hair:
    """The strands of a surface in one frame.

    Attributes:
        faces: (F,) bool, those that are theirs; (0,) where there are none.
        points, sides: where the lit points, and both sides of the vertices, lie on them.
        density: None where there are none.
        lit: of all that is lit by lamps.
    """

    faces: np.ndarray
    points: Hung
    sides: Hung
    density: Density | None
    lit: Hung

    @classmethod
    def of(cls, surface: Surface, hung: Hung | None, around: bool) -> _Hair:
        none = Hung.nowhere()
        if surface.strands is None or hung is None:
            return cls(np.zeros(0, bool), none, none, None, none)
        vertices = surface.strands.of_vertices()
        sides = vertices.and_then(vertices)
        density = surface.strands.density(surface.vertices)
        return cls(surface.strands.faces, hung, sides, density, hung.and_then(sides) if around else hung)

    def through_around(self) -> np.ndarray:
        """(Q,S,2) as of `Density.from_around`."""
        ways = _hemisphere(WAYS)
        return np.zeros((0, len(ways), 2), np.float32) if self.density is None else self.density.from_around(ways)

    def through(self, light: Emitters) -> np.ndarray:
        """(Q,S) as of `Density.from_light`."""
        return np.zeros((0, 0), np.float32) if self.density is None else self.density.from_light(light)


def by_place(points: np.ndarray) -> np.ndarray:
    """(N,) an order of points (N,3) in which neighbours lie near each other: along a Z-order curve (Morton 1966)."""
    low, high = points.min(0), points.max(0)
    cells = ((points - low) * (CURVE / max(float((high - low).max()), 1e-9))).astype(np.int64)
    codes = np.zeros(len(points), np.int64)
    for bit in range(CURVE.bit_length()):
        for axis in range(3):
            codes |= (cells[:, axis] >> bit & 1) << 3 * bit + axis
    return np.argsort(codes, kind="stable")


def _sent(surface: Surface, light: np.ndarray) -> np.ndarray:
    """(2F,3) what each side of each face sends on of `light` (2V,3) on the front and the back of the vertices."""
    sent = np.empty((len(surface.faces), 2, 3), np.float32)
    send_on(light.reshape(2, len(surface.vertices), 3), surface.albedo, surface.faces, sent)
    return sent.reshape(-1, 3)


def _layers(
    lighting: Lighting, mesh: np.ndarray, faces: np.ndarray, cutouts: Cutouts, strands: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Maps of all surfaces behind each other for `gather_around`, and how bright the sky is where they look from.

    `strands` (F,) are faces of hair, or (0,).
    """
    ways = _hemisphere(WAYS)
    both = np.stack([_radiance(lighting, ways).mean(-1), _radiance(lighting, -ways).mean(-1)], axis=1)
    views, cells = _distant_views(ways, mesh, CELLS)
    depths = np.empty((WAYS, CELLS, CELLS, LAYERS), np.float32)
    hits, counts = np.empty(depths.shape, np.int32), np.empty(depths.shape[:3], np.uint8)
    draw_layers(mesh, faces, cutouts, strands, views, depths, hits, counts)
    return (views, depths, hits, counts, cells), (both + 1e-9).astype(np.float32)


def _around(
    layers: tuple[np.ndarray, ...],
    weights: np.ndarray,
    lit: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    shine: Shine | None,
    hair: tuple[np.ndarray, ...],
    sent: np.ndarray,
    order: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The share (N,) of the sky's light that is not hidden, and the light (N,3) of faces that hide it.

    Then the same of what is mirrored. `layers` and `weights` are those of `_layers`, `lit` points, normals,
    planes and tones, `hair` as of `gather_around`, `sent` what faces send on, `order` as of `illuminate`.
    """
    points, normals, *_ = lit
    open_, reflected = np.empty(len(points), np.float32), np.empty((len(points), 3), np.float32)
    mirrors, sharpness = np.zeros((0, 3), np.float32), np.zeros(0, np.float32)
    if shine is not None:
        mirrors = shine.ways(normals).astype(np.float32)
        sharpness = np.clip(0.5 / shine.roughness**4, 1, SHARPEST).astype(np.float32)
    mirror_open, mirrored = np.zeros(len(points), np.float32), np.zeros((len(points), 3), np.float32)
    matte, glossy = (open_, reflected), (mirror_open, mirrored)
    ways = _hemisphere(WAYS).astype(np.float32)
    taken = np.arange(len(points)) if order is None else order
    gather_around(lit, taken, mirrors, sharpness, ways, weights, layers, hair, sent, matte, glossy)
    return open_, reflected, mirror_open, mirrored


def _mirrored_sky(lighting: Lighting, shine: Shine, normals: np.ndarray) -> np.ndarray:
    """(N,3) the open sky in surfaces of unit `normals` (N,3), for all that they mirror of it 1."""
    ways = shine.ways(normals)
    if lighting.sky_picture is not None:
        return mirrored_sky(lighting.sky_picture, ways, shine.roughness)
    if lighting.ambient_sh is None:
        return np.broadcast_to(lighting.ambient.astype(np.float32), ways.shape)
    seen = (_harmonics(ways) * harmonics_spread(shine.roughness)) @ lighting.ambient_sh
    return np.maximum(seen, 0).astype(np.float32)


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
    light: Emitters,
    surface: tuple[np.ndarray, np.ndarray, Cutouts],
    lit: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    shine: Shine | None,
    hair: _Hair,
    result: np.ndarray,
    shone: np.ndarray,
) -> None:
    """Add the light of one lamp or sun: `surface` is vertices, faces and cutouts, `lit` points, normals, planes and
    tones."""
    mesh, faces, cutouts = surface
    count, distant = len(light.kinds), light.kinds == DISTANT
    size = FINE if count == 1 else COARSE
    if light.casts:
        look = _distant_views(light.origins, mesh, size) if distant.all() else _lamp_views(light.origins, mesh, size)
        views, cells = look
        maps = np.empty((count, size, size), np.float32)
        bare = np.empty(maps.shape if len(hair.faces) else (0, 0, 0), np.float32)
        draw_depths(mesh, faces, cutouts, views, distant, maps, hair.faces, bare)
        slots = np.arange(count)
    else:
        views, cells = np.zeros((1, 3, 4), np.float32), np.ones(1, np.float32)
        maps, slots = np.zeros((1, 2, 2), np.float32), np.full(count, -1)
        bare = maps
    own = light.places, light.colors, light.frames, light.cones, light.spreads
    numbers = tuple(np.ascontiguousarray(a, np.float32) for a in own)
    eyes = np.zeros((0, 3), np.float32), np.zeros(0, np.float32), np.zeros((0, 3), np.float32)
    if shine is not None:
        eyes = shine.towards, shine.roughness**2, shine.facing
    between = hair.lit.rows, hair.lit.share, hair.through(light), bare
    gather(lit, eyes, light.kinds, numbers, slots, views, maps, cells, between, result, shone)


def _distant_views(ways: np.ndarray, mesh: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Views (S,3,4) of the whole mesh against the unit vectors `ways` (S,3), and metres a cell (S,)."""
    views, cells = np.empty((len(ways), 3, 4)), np.empty(len(ways), np.float32)
    for s, way in enumerate(ways):
        axes = _axes(-way)
        low, high = _bounds(axes.astype(np.float32) @ mesh.T)
        cells[s] = max((high - low)[:2].max(), 1e-6) / (size - 4)
        views[s, :2, :3] = axes[:2] / cells[s]
        views[s, :2, 3] = size / 2 - (low + high)[:2] / 2 / cells[s]
        views[s, 2] = *axes[2], -(low[2] + high[2]) / 2
    return views.astype(np.float32), cells


def _lamp_views(places: np.ndarray, mesh: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Views (S,3,4) of the mesh from `places` (S,3), and metres a cell (S,) at a distance of one metre."""
    views, cells = np.empty((len(places), 3, 4)), np.empty(len(places), np.float32)
    low, high = _bounds(mesh.T)
    for s, place in enumerate(places):
        axes = _axes((low + high) / 2 - place)
        seen = axes.astype(np.float32) @ (mesh - place.astype(np.float32)).T
        ahead = seen[:, seen[2] > 1e-3]
        slopes = ahead[:2] / ahead[2] if ahead.size else np.zeros((2, 1))
        first, last = (np.clip(bound, -_WIDEST, _WIDEST) for bound in _bounds(slopes))
        cells[s] = max((last - first).max(), 1e-6) / (size - 4)
        views[s, :2, :3] = axes[:2] / cells[s] + np.outer(size / 2 - (first + last) / 2 / cells[s], axes[2])
        views[s, 2, :3] = axes[2]
        views[s, :, 3] = -views[s, :, :3] @ place
    return views.astype(np.float32), cells


def _bounds(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest of each row of coordinates."""
    return points.min(1).astype(np.float64), points.max(1).astype(np.float64)


def _axes(along: np.ndarray) -> np.ndarray:
    """(3,3) rows: two unit vectors across `along`, and its direction."""
    way = along / max(float(np.linalg.norm(along)), 1e-12)
    across = np.cross((0.0, 0.0, 1.0) if abs(way[2]) < 0.9 else (1.0, 0.0, 0.0), way)
    across /= max(float(np.linalg.norm(across)), 1e-12)
    return np.stack([across, np.cross(way, across), way])


def _hemisphere(count: int) -> np.ndarray:
    """(count,3) unit vectors that with their opposites are spread evenly over the sphere."""
    numbers = np.arange(count) + 0.5
    z, turn = 1 - numbers / count, numbers * math.pi * (3 - math.sqrt(5))
    flat = np.sqrt(1 - z * z)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)
