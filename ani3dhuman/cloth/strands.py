"""Hair strands: chains of particles that keep their length and, softly, their curves; their ribbons turn with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from ani3d_formats.hair_ribbons import tangents
from ani3d_formats.progress import Progress

from ..mesh.surface import Obstacle, Surface
from ..mesh.windings import windings
from .constraints import PINNED, Constraints
from .fabrics import LOCK
from .garment import Pieces, Tell, simulate_pieces
from .surroundings import Surroundings
from .worn import Worn

# of a thread: kg/m, N, N m^2, N s, N s/m^2; those of human hair 0.07 mm thick, but for what damps it
HAIR = replace(LOCK, density=5e-6, stretch=15.0, bend=5e-9, damping=4e-7, air=5e-6)
SHORT, LONG = 0.06, 0.3  # metres: short hair keeps its style, long hair hangs
STYLE = 0.35  # least pin weight of short hair
MOST = 800  # strands that are simulated; others follow the nearest of them
FOLLOWED = 3
CLEAR = 0.001  # metres from the body that strands are shown at least
SAME = 1e-5  # metres
DOUBTFUL = 0.02  # metres over the skin, up to which that is asked twice
WHOLE = 0.1  # of a time around, that a place in a closed surface may be off for rounding
TURNS = 4  # of a segment out of the body
STRAIGHT = 0.05  # share of a segment's length: what lies less along the skin leads straight into it


def simulate_strands(
    skinned: np.ndarray,
    rest: np.ndarray,
    points: int,
    pin_weights: np.ndarray,
    surroundings: Surroundings,
    fps: float,
    progress: Progress | None,
    tell: Tell,
) -> np.ndarray:
    """Simulate strands stored as ribbons.

    Args:
        skinned: (T,2*S*P,3) as the skeleton has them, world metres; rest: (2*S*P,3) bind pose.
        points: P, of each strand.
        pin_weights: (2*S*P,) 1 on the skin .. 0 free.
        surroundings: body, garments and colliders, with as many frames, gravity and forces.
        fps: scene frames a second.
        progress: advanced once a frame.
        tell: called for each reason for which strands follow the skeleton.

    Returns:
        (T,2*S*P,3) float32; ribbons keep their width and turn with their strand.

    Raises:
        Cancelled: within one frame of the request.
    """
    line = _middles(skinned).reshape(len(skinned), -1, points, 3)
    still = _middles(rest[None]).reshape(-1, points, 3)
    pins = np.maximum(pin_weights.reshape(-1, points, 2).max(2), _style(still))
    guides = Guides.of(still)
    chosen = guides.chosen

    def report(reason: str, gone: np.ndarray) -> None:
        if gone.any():
            tell(reason, np.flatnonzero(np.repeat(gone[guides.near[:, 0]], 2 * points)))

    rows = (2 * (chosen[:, None] * points + np.arange(points))).ravel()  # of the left edges
    led = _simulate_lines(line[:, chosen], still[chosen], pins[chosen], surroundings.part(rows), fps, progress, report)
    moved = guides.follow(line, led, pins <= PINNED)
    keep_lengths(moved, line, pins <= PINNED)
    simulated = np.abs(moved - line).max((0, 2, 3)) > SAME  # others follow the skeleton, wherever it leads
    for solid in (surroundings.obstacle, surroundings.skin):  # a way out of the skin may lead through what is worn
        keep_out(moved, (pins <= PINNED) & simulated[:, None], solid)
    ribbons = np.empty(skinned.shape, np.float32)
    for t, now in enumerate(moved):
        half = (skinned[t, 1::2] - skinned[t, 0::2]) / 2
        half = _turned(half, *(tangents(x).reshape(-1, 3) for x in (line[t], now)))
        places = now.reshape(-1, 3)
        ribbons[t, 0::2], ribbons[t, 1::2] = places - half, places + half
    return ribbons


def _simulate_lines(
    line: np.ndarray,
    still: np.ndarray,
    pins: np.ndarray,
    surroundings: Surroundings,
    fps: float,
    progress: Progress | None,
    report: Callable[[str, np.ndarray], None],
) -> np.ndarray:
    """Centre lines (T,S,P,3) simulated; `line` as the skeleton has them, `still` (S,P,3) at rest, `pins` (S,P)."""
    count, points = pins.shape
    first = np.arange(count * points).reshape(count, points)
    edges = np.stack([first[:, :-1].ravel(), first[:, 1:].ravel()], 1)
    joints = np.stack([first[:, :-2].ravel(), first[:, 1:-1].ravel(), first[:, 2:].ravel()], 1)
    part = np.repeat(np.arange(count), points)
    pieces = Pieces.of_parts(edges, part, still.reshape(-1, 3), pins.ravel().astype(np.float32))

    def build(resting: np.ndarray, held: np.ndarray) -> Constraints:
        return Constraints.of_strands(edges, joints, resting, held)

    flat = line.reshape(len(line), -1, 3)
    return simulate_pieces(
        flat, pieces, build, surroundings, fps, Worn.of(HAIR, flat.shape[1]), progress, report
    ).reshape(line.shape)


def keep_lengths(moved: np.ndarray, line: np.ndarray, free: np.ndarray) -> None:
    """Give segments of strands (T,S,P,3) the lengths that they have in `line` (T,S,P,3), from each root on, in place.

    Points that are not `free` (S,P) stay where they are.
    """
    for t, strands in enumerate(moved):
        long = np.linalg.norm(np.diff(line[t], axis=1), axis=2)
        for k in range(strands.shape[1] - 1):
            along = strands[:, k + 1] - strands[:, k]
            scale = long[:, k] / np.maximum(np.linalg.norm(along, axis=1), 1e-9)
            kept = strands[:, k] + along * scale[:, None]
            strands[:, k + 1] = np.where(free[:, k + 1, None], kept, strands[:, k + 1])


def keep_out(moved: np.ndarray, free: np.ndarray, obstacle: Obstacle | None) -> None:
    """Turn segments of strands (T,S,P,3) that lead into the body out of it, from each root on, in place.

    Segments keep their lengths; points that are not `free` (S,P) stay where they are.
    """
    if obstacle is None:
        return
    for t, strands in enumerate(moved):
        surface = obstacle.at(t)
        height = _heights(surface, strands.reshape(-1, 3))[0].reshape(free.shape)
        rows = np.flatnonzero((free & (height < CLEAR) & (height > -surface.deepest)).any(1))
        if len(rows) == 0:
            continue
        along = np.diff(strands[rows], axis=1)
        long = np.linalg.norm(along, axis=2, keepdims=True)
        for k in range(along.shape[1]):
            before = strands[rows, k]
            place = _turned_out(surface, before, before + along[:, k], long[:, k])
            height = _heights(surface, place)[0]
            still = np.flatnonzero((height < CLEAR / 2) & (height > -surface.deepest))
            if len(still):
                place[still] = _led_out(surface, before[still], along[still, k], place[still])
            strands[rows, k + 1] = np.where(free[rows, k + 1, None], place, strands[rows, k + 1])


def _turned_out(surface: Surface, before: np.ndarray, place: np.ndarray, long: np.ndarray) -> np.ndarray:
    """Ends (N,3) of segments `long` (N,1) metres from `before` (N,3), turned from `place` (N,3) towards the outside."""
    for _ in range(TURNS):
        height, away = _heights(surface, place)
        lack = np.where(height > -surface.deepest, np.maximum(CLEAR - height, 0), 0)
        off = place + lack[:, None] * away - before
        turned = before + off * (long / np.maximum(np.linalg.norm(off, axis=1, keepdims=True), 1e-9))
        place = np.where(lack[:, None] > 0, turned, place)
    return place


def _led_out(surface: Surface, before: np.ndarray, along: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Ends (N,3) of segments `along` (N,3) from `before` (N,3), which turning towards the nearest skin left at `place`.

    Between an ear and the head that leads nowhere. Ways along the skin, away from it and aside are tried as well.
    """
    long = np.linalg.norm(along, axis=1, keepdims=True)
    away = _heights(surface, before)[1]
    flat = along - (along * away).sum(1, keepdims=True) * away
    out, aside = long * away, np.cross(flat, away)
    best = _heights(surface, place)[0]
    for aim in (flat, flat + out, out, out - flat, out + aside, out - aside):
        size = np.linalg.norm(aim, axis=1, keepdims=True)
        start = before + np.where(size > STRAIGHT * long, aim * (long / np.maximum(size, 1e-9)), out)
        tried = _turned_out(surface, before, start, long)
        height = _heights(surface, tried)[0]
        better = (best < CLEAR) & (height > best)
        best, place = np.where(better, height, best), np.where(better[:, None], tried, place)
    return place


def _heights(surface: Surface, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `Surface.heights` of places (N,3); where the nearest point says otherwise, by how the surface goes around.

    In the fold where a mouth begins the skin's normals do not tell the inside.
    """
    near = surface.tree.query(places)[1]
    height, away = surface.heights(places, near)
    over = ((places - surface.points[near]) * surface.normals[near]).sum(1)
    doubt = np.flatnonzero((height > CLEAR) & (height < DOUBTFUL) & (over < 0))
    turns = windings(surface.points, surface.faces, places[doubt])
    inside = doubt[np.abs(turns - 1) < WHOLE]  # open surfaces go around by any share
    height[inside], away[inside] = -height[inside], -away[inside]
    return height, away


@dataclass(frozen=True)
class Guides:
    """Strands that are simulated, and how the others follow those nearest to them.

    Attributes:
        chosen: (G,) strands; near: (S,N) the nearest of those, `weights` (S,N) of them.
    """

    chosen: np.ndarray
    near: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, still: np.ndarray) -> Guides:
        """At most `MOST` guides of strands (S,P,3), evenly chosen."""
        count = len(still)
        chosen = np.unique(np.linspace(0, count - 1, min(count, MOST)).astype(int))
        shape = still[:, [0, -1]].reshape(count, -1)  # root and tip
        away, near = cKDTree(shape[chosen]).query(shape, k=min(FOLLOWED, len(chosen)))
        away, near = away.reshape(count, -1), near.reshape(count, -1)
        weights = 1 / np.maximum(away, 1e-6) ** 2
        return cls(chosen, near, weights / weights.sum(1, keepdims=True))

    def follow(self, line: np.ndarray, led: np.ndarray, free: np.ndarray) -> np.ndarray:
        """All strands (T,S,P,3), from those as the skeleton has them and the guides (T,G,P,3) as simulated.

        Points that are not `free` (S,P) stay as the skeleton has them.
        """
        if len(self.chosen) == line.shape[1]:
            return led
        moved = np.empty(line.shape, np.float32)
        for t, stiff in enumerate(line):
            off = led[t] - stiff[self.chosen]
            moved[t] = stiff + np.einsum("sn,snpk->spk", self.weights, off[self.near]) * free[..., None]
            moved[t, self.chosen] = led[t]
        return moved


def _style(points: np.ndarray) -> np.ndarray:
    """Least pin weights (S,1) of strands (S,P,3), by their length."""
    length = np.linalg.norm(np.diff(points, axis=1), axis=2).sum(1, keepdims=True)
    return STYLE * np.clip((LONG - length) / (LONG - SHORT), 0, 1)


def _middles(vertices: np.ndarray) -> np.ndarray:
    """Centre lines (T,S*P,3) of ribbons (T,2*S*P,3)."""
    return (vertices[:, 0::2] + vertices[:, 1::2]) / 2


def _turned(vectors: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Vectors (N,3) turned as directions (N,3) turn from `before` to `after`, on the shortest way (Rodrigues)."""
    axis, cosine = np.cross(before, after), (before * after).sum(1, keepdims=True)
    first = np.cross(axis, vectors)
    turned = vectors + first + np.cross(axis, first) / np.maximum(1 + cosine, 1e-6)
    return np.where(cosine > -0.999, turned, vectors)
