"""What lies over what: pieces that pass through each other, or into the body, are pulled apart before they move.

Each piece is moved smoothly, as little as it needs, to its side of those that it crosses: of two sheets the outer one
is the one with the higher layer number, else the one that is outside for the most part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array, csr_array

from ..mesh.surface import Obstacle, Surface, triangles_around
from .constraints import Constraints
from .contact.candidates import PASSED, Cover
from .contact.seams import about_held
from .contact.touch import Lists, crossings

REACH = 0.05  # metres: what lies further beyond a sheet is taken to belong there
MARGINS = (1.3, 2.6, 5.2)  # times the distance to be kept, that is made: more where edges still cross
ROUNDS = 40
FURTHEST = 0.1  # metres that something may be moved for it
ENOUGH = 0.2  # of the crossings may be left where all pieces are moved at once
MOST = 12  # pairs of pieces that are tried one by one
SMOOTHINGS = 3  # passes after each round, in which neighbours go along
SHARE = 0.6  # of what lacks, that each of two sheets is moved in a round
ABOVE = 0.6  # cosine to the normal from which on something is over a sheet, and not beside its border
SMALL = 1e-4  # metres of the largest push with which it is good enough
CARDS = 0.2  # crossings for each triangle from which on hair is cards that lie in each other
ROUND = 0.3  # share of a piece's area that its normals may add up to, for hair to count as a tube with an inside


@dataclass(frozen=True)
class Stack:
    """P particles and their order.

    Attributes:
        layer: (P,) the artist's number, 1 next to the skin; 0 leaves the order to what lies outside.
        solid: whether pieces that are round all have an inside: locks of hair.
    """

    layer: np.ndarray
    solid: bool = False


def pulled_apart(
    x: np.ndarray,
    stack: Stack,
    constraints: Constraints,
    clear: np.ndarray,
    body: Obstacle | None,
    met: tuple[Cover, Lists],
) -> np.ndarray:
    """Places (P,3) near `x` in which pieces cross less, outside the body; pinned particles stay.

    Args:
        constraints: of the P particles; clear: (P,) metres to be kept from the body.
        body: in the pose of `x`, of one frame; None without one.
        met: what meets what, `Cover` and `Lists`.
    """
    cover, lists = met
    pieces, free = constraints.islands(), ~constraints.pinned
    surface = body.at(0) if body else None
    inside = free & (_lack(surface, x, 0 * clear, free)[0] > 0)
    pairs, crossings = _crossing(x, pieces, cover, lists)
    if not pairs and not inside.any():
        return x
    sheets = {n: Sheet.of(x, cover.faces, pieces, n, surface) for n in sorted({n for pair in pairs for n in pair})}
    ordered = [_ordered(sheets[a], sheets[b], x, stack) for a, b in pairs]
    work = Work(constraints, pieces, _neighbours(constraints, len(x)), clear, surface, met, np.zeros(len(x), bool))
    outside, still = work.parted(x, [], inside)
    if not still:  # they crossed in the body alone
        return outside
    found, left = work.parted(x, ordered, inside)
    if left <= ENOUGH * crossings:
        return found
    # some pieces pass right through others, as a sleeve through the side of a coat: no way leads out there, and what is
    # sewn so stays where it is, or it would cross in other places
    work = replace(work, held=about_held(x, np.ones(len(x), bool), cover, lists)[1])
    outside, still = work.parted(x, [], inside)
    if still > crossings:  # a scarf's turns would be pushed into each other
        inside = np.zeros_like(inside)
    else:
        x, crossings = outside, still
    for pair in ordered if len(ordered) <= MOST else []:
        if not crossings:
            break
        found, left = work.parted(x, [pair], inside)
        if left < crossings:
            x, crossings = found, left
    return x


@dataclass(frozen=True)
class Work:
    """What stays the same while P particles are pulled apart, of `pulled_apart`.

    `spread`: (P,P) of `_neighbours`; `held`: (P,) bool, what is not moved beside what is pinned.
    """

    constraints: Constraints
    pieces: np.ndarray
    spread: csr_array
    clear: np.ndarray
    surface: Surface | None
    met: tuple[Cover, Lists]
    held: np.ndarray

    def parted(
        self, x: np.ndarray, ordered: Sequence[tuple[Sheet, Sheet, bool]], inside: np.ndarray
    ) -> tuple[np.ndarray, int]:
        """Places (P,3) in which pairs of sheets, the inner one first, lie apart, and how many edges cross there.

        `inside` (P,) bool: what is to come out of the body.
        """
        free = ~self.constraints.pinned & ~self.held
        off = np.zeros(x.shape)
        for turn in range(len(MARGINS) * ROUNDS):
            now, push = (x + off).astype(np.float32), np.zeros(x.shape)
            half, shapes = MARGINS[turn // ROUNDS] * self.met[0].half, Shapes(now)
            for inner, outer, both in ordered:
                _push_over(push, inner, outer, shapes, half, 1.0)
                _push_over(push, outer, inner, shapes, half, 1.0 if both else -1.0)
            lack, away = _lack(self.surface, now, self.clear, free & (inside | (np.abs(off).max(1) > 0)))
            push += lack[:, None] * away
            push[~free] = 0
            last = turn % ROUNDS == ROUNDS - 1 or np.abs(push).max() < SMALL
            if last and not _crossing(now, self.pieces, *self.met)[0]:
                break
            off += 0.5 * push
            for _ in range(SMOOTHINGS):
                off[free] = 0.5 * (off + self.spread @ off)[free]
            off += 0.5 * push
            if np.abs(off).max() > FURTHEST:
                break
        moved = (x + off).astype(np.float32)
        return moved, _crossing(moved, self.pieces, *self.met)[1]


def _lack(
    surface: Surface | None, x: np.ndarray, clear: np.ndarray, asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What lacks to heights `clear` (P,) over the body, metres, and where it grows; nothing for what is too deep.

    Nothing either for what is not `asked` (P,) for.
    """
    lack, away = np.zeros(len(x)), np.zeros(x.shape)
    if surface is not None and asked.any():
        height, away[asked] = surface.heights(x[asked])
        lack[asked] = np.where(height > -surface.deepest, np.maximum(clear[asked] - height, 0), 0)
    return lack, away


@dataclass(frozen=True, eq=False)
class Sheet:
    """A connected piece.

    Attributes:
        own: (N,) its vertices; faces: (F,3) into them, wound outwards; around: as of `Obstacle`.
        round: whether it is closed around something.
    """

    own: np.ndarray
    faces: np.ndarray
    around: tuple[np.ndarray, np.ndarray]
    round: bool

    @classmethod
    def of(cls, x: np.ndarray, faces: np.ndarray, pieces: np.ndarray, number: int, surface: Surface | None) -> Sheet:
        """Piece `number` of `pieces` (P,), turned away from the body where there is one."""
        own = faces[pieces[faces[:, 0]] == number].astype(np.int64)
        corners = x[own].astype(np.float64)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        total = np.linalg.norm(normals.sum(0)) / max(np.linalg.norm(normals, axis=1).sum(), 1e-20)
        middles = corners.mean(1)
        out = surface.heights(middles)[1] if surface is not None and total > ROUND else middles - middles.mean(0)
        if (normals * out).sum() < 0:
            own = own[:, ::-1]
        used = np.unique(own)
        faces = np.ascontiguousarray(np.searchsorted(used, own))
        return cls(used, faces, triangles_around(faces, len(used)), bool(total < ROUND))


class Shapes:
    """Sheets whose particles are at `x` (P,3); what is asked of one is made once."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self._boxes: dict[Sheet, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self._surfaces: dict[Sheet, Surface] = {}

    def heights(self, base: Sheet, other: Sheet) -> tuple[np.ndarray, np.ndarray]:
        """Heights (N,) of the particles of `other` over a piece, and where they grow (N,3); NaN far away and beside its
        border."""
        (points, low, high), (places, lowest, highest) = self._box(base), self._box(other)
        height, away = np.full(len(places), np.nan), np.zeros((len(places), 3), np.float32)
        low, high = low - REACH, high + REACH
        if (lowest >= high).any() or (highest <= low).any():
            return height, away
        within = (places > low) & (places < high)
        close = within[:, 0] & within[:, 1] & within[:, 2]
        if close.any():
            if base not in self._surfaces:
                self._surfaces[base] = Surface.of(points, base.faces, base.around, np.inf)
            surface = self._surfaces[base]
            near = surface.tree.query(places[close])[1]
            found, away[close] = surface.heights(places[close], near)
            beside = np.abs((away[close] * surface.normals[near]).sum(1)) < ABOVE
            height[close] = np.where(beside | (np.abs(found) > REACH), np.nan, found)
        return height, away

    def _box(self, sheet: Sheet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The particles of a sheet, the least and the greatest of their coordinates."""
        if sheet not in self._boxes:
            places = self.x[sheet.own]
            self._boxes[sheet] = places, places.min(0), places.max(0)
        return self._boxes[sheet]


def _push_over(push: np.ndarray, base: Sheet, other: Sheet, shapes: Shapes, half: np.ndarray, side: float) -> None:
    """Add to `push` (P,3) what brings `other` to a side of `base`, 1 the outer one; `half` (P,) of the distance
    kept."""
    height, away = shapes.heights(base, other)
    lack = np.where(np.isfinite(height), np.maximum(2 * half[other.own] - side * height, 0), 0)
    push[other.own] += (SHARE * side * lack)[:, None] * away


def _ordered(a: Sheet, b: Sheet, x: np.ndarray, stack: Stack) -> tuple[Sheet, Sheet, bool]:
    """The inner and the outer of two, and whether each is to be outside of the other."""
    both = stack.solid and a.round and b.round
    first, second = stack.layer[a.own[0]], stack.layer[b.own[0]]
    if first and second and first != second:
        return (a, b, both) if first < second else (b, a, both)
    shapes = Shapes(x)
    height, depth = shapes.heights(a, b)[0], shapes.heights(b, a)[0]
    outside = np.concatenate([height[np.isfinite(height)], -depth[np.isfinite(depth)]])
    return (a, b, both) if outside.sum() >= 0 else (b, a, both)


def _crossing(x: np.ndarray, pieces: np.ndarray, cover: Cover, lists: Lists) -> tuple[list[tuple[int, int]], int]:
    """Pairs of different pieces that cross, and how many edges do."""
    hits = _hits(x, cover, lists)
    both = pieces[cover.faces[hits, 0]]
    both = np.unique(np.sort(both[both[:, 0] != both[:, 1]], axis=1), axis=0)
    return [(int(a), int(b)) for a, b in both], len(hits)


def let_cards_cross(cover: Cover, lists: Lists) -> None:
    """Let hair (garment 0) pass itself if it does so at rest in many places, by the number of its garment."""
    pairs = _hits(cover.rest, cover, lists)
    own = (cover.garment[cover.faces[pairs, 0]] == 0).all(1)
    if own.sum() > CARDS * max(1, (cover.garment[cover.faces[:, 0]] == 0).sum()):
        cover.garment[cover.garment == 0] = PASSED


def _hits(x: np.ndarray, cover: Cover, lists: Lists) -> np.ndarray:
    """(N,2) triangles that cross."""
    return crossings(x, cover, lists)[:, [0, 2]]


def _neighbours(constraints: Constraints, count: int) -> csr_array:
    """(P,P) means over the neighbours along edges."""
    both = np.concatenate([constraints.edges, constraints.edges[:, ::-1]])
    graph = coo_array((np.ones(len(both)), both.T), shape=(count, count)).tocsr()
    degree = np.maximum(np.asarray(graph.sum(1)).ravel(), 1)
    return csr_array(graph.multiply(1 / degree[:, None]))
