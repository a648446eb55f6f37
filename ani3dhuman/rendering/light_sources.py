"""The lights of a scene, as Blender has them, and as the few points and directions that light is gathered from.

A sun or lamp that is small, as seen from the character, is one point; a larger one is some points spread evenly over
it, each with its share of the light, which is what makes its shadows soft.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ani3d_formats.shot import Shot
from ani3d_formats.shot_lights import LAMP_KINDS

DISTANT, POINT, SPOT, AREA = range(4)  # what an emitter is, for the kernels
_MOST = 16  # emitters of one light
_SMALL, _LARGE = math.radians(2), math.radians(12)  # angular diameters from which on a light is 4 or `_MOST` emitters
_TIME = {"sun_directions": 3, "sun_colors": 3, "ambient": 2, "sun_shapes": 3, "ambient_sh": 3}
_TIME |= {"lamp_matrices": 4, "lamp_colors": 3, "lamp_shapes": 3}


@dataclass(frozen=True)
class Lighting:
    """Lights of a scene, world space, linear. Arrays that change have a first axis of frames; docs/conventions.

    Attributes:
        sun_directions: (L,3) unit, the way the light travels.
        sun_colors: (L,3) irradiance, W/m^2.
        ambient: (3,) mean radiance of the world.
        sun_shapes: (L,2) angular diameter, radians, and 1 where it casts shadows; None for points that do.
        lamp_kinds: (P,) index into `LAMP_KINDS`; None without lamps.
        lamp_matrices: (P,4,4) place and axes; light leaves along -Z.
        lamp_colors: (P,3) power, W.
        lamp_shapes: (P,5) sizes along X and Y, metres; angle of the cone; blend; 1 where it casts shadows.
        ambient_sh: (9,3) spherical harmonics of the world's radiance; None where it is even.
        sky_picture: (H,W,3) radiance all around, the lowest row first, +X in the middle and +Y a quarter to the left of
            it; None where nobody looked.
    """

    sun_directions: np.ndarray
    sun_colors: np.ndarray
    ambient: np.ndarray
    sun_shapes: np.ndarray | None = None
    lamp_kinds: np.ndarray | None = None
    lamp_matrices: np.ndarray | None = None
    lamp_colors: np.ndarray | None = None
    lamp_shapes: np.ndarray | None = None
    ambient_sh: np.ndarray | None = None
    sky_picture: np.ndarray | None = None

    @classmethod
    def of(cls, shot: Shot) -> Lighting:
        own = (shot["sun_directions"], shot["sun_colors"], shot["ambient"])
        return cls(*own, *(shot.arrays.get(name) for name in list(cls.__dataclass_fields__)[len(own) :]))

    def at(self, frame: int) -> Lighting:
        """The lights of one frame."""
        return self.taken(frame)

    def taken(self, frames: int | np.ndarray) -> Lighting:
        """The lights of some frames, in their order."""
        moving = {n: getattr(self, n) for n, axes in _TIME.items() if np.ndim(getattr(self, n)) == axes}
        return replace(self, **{name: array[frames] for name, array in moving.items()})


@dataclass(frozen=True)
class Emitters:
    """Points and directions that the light of one lamp or sun comes from.

    Attributes:
        kinds: (S,) `DISTANT`, `POINT`, `SPOT` or `AREA`.
        places: (S,3) metres; of a distant one the unit vector towards it.
        origins: (S,3) where it is for the shadows, as `places`: spread over the light.
        colors: (S,3) what a white surface that faces it sends on: radiance, at a metre where it is not distant.
        frames: (S,3,3) rows are its local axes; light leaves against the third.
        cones: (S,3) of a spot the cosine of half its angle, and one over the width of its soft edge in cosines; of an
            area the tangent of half its spread, and what narrowing it makes it brighter by; the squared radius of a
            point or spot, whose light Blender takes for that of a disc that faces the surface.
        spreads: (S,) by how much it widens the slopes of a surface that mirrors it: a metre away where it has a place.
        casts: whether it casts shadows.
    """

    kinds: np.ndarray
    places: np.ndarray
    origins: np.ndarray
    colors: np.ndarray
    frames: np.ndarray
    cones: np.ndarray
    spreads: np.ndarray
    casts: bool


def emitters(lighting: Lighting, center: np.ndarray) -> list[Emitters]:
    """The lights of one frame, those that are not black, as emitters for a character around `center` (3,)."""
    suns = [_sun(lighting, n) for n in range(len(lighting.sun_directions)) if lighting.sun_colors[n].any()]
    if lighting.lamp_kinds is None or lighting.lamp_colors is None:
        return suns
    lit = np.flatnonzero(lighting.lamp_colors.any(-1))
    return suns + [_lamp(lighting, int(n), np.asarray(center, np.float64)) for n in lit]


def _sun(lighting: Lighting, n: int) -> Emitters:
    angle, casts = (0.0, 1.0) if lighting.sun_shapes is None else lighting.sun_shapes[n]
    towards = -lighting.sun_directions[n].astype(np.float64)
    count = _count(float(angle))
    frame = _frame(towards)
    spots = math.tan(angle / 2) * _disc(count) @ frame[:2] + towards if count > 1 else towards[None]
    spots = spots / np.linalg.norm(spots, axis=1, keepdims=True)
    shares = np.tile(lighting.sun_colors[n] / np.pi / count, (count, 1))
    places = np.tile(towards, (count, 1))
    return _part(DISTANT, places, spots, shares, frame, (0.0, 0.0, 0.0, math.tan(angle / 2) / 2), casts > 0)


def _lamp(lighting: Lighting, n: int, center: np.ndarray) -> Emitters:
    kinds, matrices, colors, shapes = (
        lighting.lamp_kinds, lighting.lamp_matrices, lighting.lamp_colors, lighting.lamp_shapes,
    )  # fmt: skip
    assert kinds is not None and matrices is not None and colors is not None and shapes is not None
    kind, place, axes = LAMP_KINDS[kinds[n]], matrices[n, :3, 3].astype(np.float64), matrices[n, :3, :3].T.astype(float)
    width, height, cone, blend, casts = (float(v) for v in shapes[n])
    count = _count(2 * math.atan2(max(width, height) / 2, max(float(np.linalg.norm(center - place)), 1e-9)))
    if kind in ("point", "spot"):
        radius = width / 2
        spots = place + radius * _disc(count) @ _frame(center - place)[:2]
        places = np.tile(place, (count, 1))
        shares = np.tile(colors[n] / (4 * np.pi**2) / count, (count, 1))
        if kind == "point":
            return _part(POINT, places, spots, shares, axes, (0.0, 0.0, radius**2, radius / 2), casts > 0)
        cosine = math.cos(cone / 2)
        edge = 1 / max((1 - cosine) * blend, 1e-7)
        return _part(SPOT, places, spots, shares, axes, (cosine, edge, radius**2, radius / 2), casts > 0)
    offsets = 0.5 * _disc(_MOST) if kind == "ellipse" else _square(_MOST)
    spots = place + (offsets * (width, height)) @ axes[:2]
    half = max(min(cone, math.pi) / 2, 0.01)
    tangent = math.tan(half) if half < 1.5707 else 1e5
    cones = tangent, 1 / (tangent - half), 0.0, max(width, height) / 2 / math.isqrt(_MOST)
    return _part(AREA, spots, spots, np.tile(colors[n] / np.pi**2 / _MOST, (_MOST, 1)), axes, cones, casts > 0)


def _part(
    kind: int,
    places: np.ndarray,
    origins: np.ndarray,
    shares: np.ndarray,
    frame: np.ndarray,
    cone: tuple[float, float, float, float],
    casts: bool,
) -> Emitters:
    """Emitters that differ in place and share; `cone` is a row of `cones`, and of `spreads`."""
    count = len(places)
    frames, cones = np.tile(frame, (count, 1, 1)), np.tile(np.array(cone[:3]), (count, 1))
    kinds, spreads = np.full(count, kind, np.int64), np.full(count, cone[3])
    return Emitters(kinds, places, origins, shares, frames, cones, spreads, casts)


def _count(angle: float) -> int:
    """How many emitters a light of an angular diameter is."""
    return 1 if angle < _SMALL else 4 if angle < _LARGE else _MOST


def _disc(count: int) -> np.ndarray:
    """(count,2) points spread evenly over the unit disc, their mean in its middle."""
    if count == 1:
        return np.zeros((1, 2))
    numbers = np.arange(count)
    turn = numbers * math.pi * (3 - math.sqrt(5))
    points = np.sqrt((numbers + 0.5) / count)[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return points - points.mean(0)


def _square(count: int) -> np.ndarray:
    """(count,2) points of a grid over the square -.5 .. .5; `count` is a square number."""
    side = math.isqrt(count)
    ticks = (np.arange(side) + 0.5) / side - 0.5
    return np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)


def _frame(direction: np.ndarray) -> np.ndarray:
    """(3,3) rows: two unit vectors across `direction`, and it."""
    way = np.asarray(direction, np.float64)
    way = way / max(float(np.linalg.norm(way)), 1e-12)
    across = np.cross((0.0, 0.0, 1.0) if abs(way[2]) < 0.9 else (1.0, 0.0, 0.0), way)
    across /= max(float(np.linalg.norm(across)), 1e-12)
    return np.stack([across, np.cross(way, across), way])
