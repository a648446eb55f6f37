# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the regions of a character's parts from their names and their geometry together.

A part is the faces of one material of one piece (a mesh object). Names say most; geometry corrects them (what the head
holds and closes over the skull is no cloth), decides where names say nothing, and keeps to body when unsure.
Lengths below are metres of a human 1.75 m high; a character of another height has them scaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ani3d_formats.regions import BODY, FACE, GARMENT, HAIR, REGIONS, is_loose

from .name_matching import region_of
from .shapes import Skin, at_open_edge, is_cards, lowest, open_share, skull_cover, spread, welded

HUMAN = 1.75
TIGHT = 0.008  # nearer to the skin than this
HANGING = 0.03  # further from it than this
HELD = 0.5  # share of weight from which bones hold a vertex
ENCLOSED = 0.6  # share of directions around the skull from which a part closes over it
HIPS = 0.53  # of the height
WELD = 1e-4  # vertices nearer than this are one
UNSURE = 0.5  # confidence below which the panel shows a question mark


@dataclass(frozen=True)
class Piece:
    """A mesh of the character in bind pose: `materials` by slot ("" an empty one), `vertices` (V,3) world,
    `triangles` (F,3) and their `slots` (F,), skin weights `weight_indices`, `weight_values` (V,K) over the shot's bones
    (zero rows where no bone holds a vertex); `simulated` where it has a Cloth modifier,
    `strands` where it is made of strands of hair."""

    name: str
    materials: tuple[str, ...]
    vertices: np.ndarray
    triangles: np.ndarray
    slots: np.ndarray
    weight_indices: np.ndarray
    weight_values: np.ndarray
    simulated: bool = False
    strands: bool = False

    @cached_property
    def face_parts(self) -> np.ndarray:
        """(F,) which of `part_names` each triangle belongs to; slots beyond the last are the last, as in Blender."""
        if not self.materials:
            return np.zeros(len(self.triangles), int)
        rows = np.array([self.part_names.index(name) for name in self.materials])
        return rows[np.clip(self.slots, 0, len(rows) - 1)]

    @cached_property
    def part_names(self) -> tuple[str, ...]:
        """The materials that occur, each once; "" alone without any."""
        return tuple(dict.fromkeys(self.materials)) or ("",)

    def held_by(self, bones: np.ndarray) -> np.ndarray:
        """(V,) share of each vertex's weight that `bones` (B,) bool hold."""
        if not len(bones):
            return np.zeros(len(self.vertices))
        return np.asarray((bones[self.weight_indices] * self.weight_values).sum(axis=1))

    def edged(self, near: float) -> np.ndarray:
        """(V,) bool, vertices at an open edge, those nearer than `near` made one."""
        return at_open_edge(welded(self.vertices, self.triangles, near), len(self.vertices))

    def part_vertices(self, part: int) -> np.ndarray:
        """Indices of the vertices of a part's faces; of all vertices where the piece has no faces."""
        if not len(self.triangles):
            return np.arange(len(self.vertices) if part == 0 else 0)
        used = np.zeros(len(self.vertices), bool)
        used[self.triangles[self.face_parts == part]] = True
        return np.flatnonzero(used)


@dataclass(frozen=True)
class Guess:
    """The region of one part: material name, index into REGIONS, confidence 0..1, a short reason, vertices."""

    slot: str
    region: int
    confidence: float
    reason: str
    vertices: int


def guess_regions(pieces: Sequence[Piece], heads: np.ndarray, height: float | None = None) -> list[list[Guess]]:
    """For every piece the guess for each of its parts that has faces.

    Args:
        pieces: all meshes of the character.
        heads: (B,) bool, which bones are the head's (`head_bones`).
        height: of the character in metres; measured where not given.
    """
    filled = [piece for piece in pieces if len(piece.vertices)]
    if not filled:
        return [[] for _ in pieces]
    if height is None:
        points = np.concatenate([piece.vertices for piece in filled])
        height = float(np.ptp(points[:, 2])) or 1.0
    parts = [[_Part(piece, row, heads, height / HUMAN) for row in range(len(piece.part_names))] for piece in pieces]
    parts = [[part for part in row if len(part.vertices)] for row in parts]
    named = [[part.named() for part in row] for row in parts]
    skin = [
        part
        for row, says in zip(parts, named, strict=True)
        for part, said in zip(row, says, strict=True)
        if said is None or not is_loose(np.array(said[0]))
    ]
    figure = _Figure(parts, skin, height)
    return [
        [figure.guess(part, said) for part, said in zip(row, says, strict=True)]
        for row, says in zip(parts, named, strict=True)
    ]


def vertex_labels(piece: Piece, regions: Mapping[str, int], heads: np.ndarray) -> np.ndarray:
    """Region ids (V,) uint8 of a piece whose parts have `regions` by material name; others are body.

    A vertex between two parts is of the one that is not body; a vertex of body that the head holds is face.
    """
    labels = np.full(len(piece.vertices), BODY, np.uint8)
    if not len(piece.triangles):
        labels[:] = regions.get(piece.part_names[0], BODY)
    order = sorted(range(len(piece.part_names)), key=lambda part: regions.get(piece.part_names[part], BODY))
    for part in order:
        labels[piece.part_vertices(part)] = regions.get(piece.part_names[part], BODY)
    labels[(labels == BODY) & (piece.held_by(heads) > HELD)] = FACE
    return labels


class _Part:
    """The faces of one material of a piece, and what its geometry says."""

    def __init__(self, piece: Piece, row: int, heads: np.ndarray, scale: float) -> None:
        self.piece, self.slot, self.scale = piece, piece.part_names[row], scale
        self.vertices = piece.part_vertices(row)
        self.triangles = piece.triangles[piece.face_parts == row] if len(piece.triangles) else piece.triangles
        self.on_head = piece.held_by(heads)[self.vertices] > HELD

    @cached_property
    def bones(self) -> np.ndarray:
        """For each vertex the bone that holds it most."""
        indices, values = self.piece.weight_indices[self.vertices], self.piece.weight_values[self.vertices]
        if not indices.shape[1]:
            return np.zeros(len(indices), int)
        return np.asarray(np.take_along_axis(indices, values.argmax(axis=1)[:, None], axis=1)[:, 0])

    @cached_property
    def points(self) -> np.ndarray:
        return self.piece.vertices[self.vertices]

    @cached_property
    def outline(self) -> tuple[np.ndarray, np.ndarray]:
        """Triangles as rows of `points`, welded, and which of these lie at an open edge of the whole piece."""
        rows = np.searchsorted(self.vertices, self.triangles)
        return welded(self.points, rows, WELD * self.scale), self.piece.edged(WELD * self.scale)[self.vertices]

    def named(self) -> tuple[int, float, str] | None:
        """Region, confidence and the name that says so: the surer of the object's and the material's name."""
        if self.piece.strands:
            return HAIR, 0.95, "strands of hair"
        said = [(region_of(name), name) for name in (self.slot, self.piece.name)]
        best = max((found for found in said if found[0]), key=lambda found: found[0][1], default=None)
        if best is None or best[0] is None:
            return None
        return REGIONS.index(best[0][0]), best[0][1], f"named '{best[1]}'"


class _Figure:
    """The whole character, which its parts are compared with."""

    def __init__(self, parts: Sequence[Sequence[_Part]], skin: Sequence[_Part], height: float) -> None:
        self.scale = height / HUMAN
        self.all = [part for row in parts for part in row]
        self.floor = min(lowest(part.points) for part in self.all)
        self.height = height
        self.bodies = skin
        self.skin = Skin([(part.piece.vertices, part.triangles) for part in skin])

    def guess(self, part: _Part, said: tuple[int, float, str] | None) -> Guess:
        region, confidence, reason = self._judged(part, said)
        return Guess(part.slot, region, confidence, reason, len(part.vertices))

    def _judged(self, part: _Part, said: tuple[int, float, str] | None) -> tuple[int, float, str]:
        if said is None and part.piece.simulated:
            said = GARMENT, 0.9, "has a Cloth modifier"
        if said is None:
            return self._by_shape(part)
        if said[0] == GARMENT and self._closes_over_skull(part):
            return BODY, 0.8, "held by the head and closed over the skull"
        if is_loose(np.array(said[0])) and not part.piece.simulated and self._is_whole_figure(part):
            return BODY, 0.4, "the whole figure is one part"
        region, confidence, reason = said
        if region in (BODY, FACE) and confidence >= 0.4:  # a weak word against others, yet a clear one by itself
            confidence = max(confidence, 0.7)
        return region, confidence, reason

    def _by_shape(self, part: _Part) -> tuple[int, float, str]:
        """What geometry alone says."""
        if part.on_head.mean() > HELD:
            if is_cards(part.points, *part.outline, 0.35 * self.scale):
                return HAIR, 0.5, "long thin cards held by the head"
            return BODY, 0.5, "held by the head"
        others = [other for other in self.bodies if other is not part]
        if not others or not len(part.triangles):
            return BODY, 0.6, "the only part that is skin" if not others else "no faces"
        own = next((row for row, other in enumerate(self.bodies) if other is part), -1)
        gap = self.skin.gap(spread(part.points, 150), without=own)
        if np.median(gap) < TIGHT * self.scale:
            return BODY, 0.5, "tight to the skin"
        hem = part.points[part.outline[1]]
        below = len(hem) > 0 and lowest(hem) < self.floor + HIPS * self.height
        hangs = below and np.quantile(gap, 0.75) > HANGING * self.scale
        if hangs and self._is_sheet(part) and self._moves_with(part, others):
            return GARMENT, 0.45, "a sheet that hangs off the body with a free edge below the hips"
        return BODY, 0.3, "nothing tells"

    def _is_sheet(self, part: _Part) -> bool:
        """Large enough to be clothing, and no whole figure: a fifth of the height along two of three directions."""
        sides = np.sort(np.ptp(part.points, axis=0))[::-1]
        if sides[1] < 0.15 * self.height or self._is_whole_figure(part):
            return False
        return open_share(part.points, *part.outline) > 0.5

    def _moves_with(self, part: _Part, others: Sequence[_Part]) -> bool:
        """True where the bones that hold a part hold other skin too: it lies over a limb and is not the limb."""
        bones, counts = np.unique(np.concatenate([other.bones for other in others]), return_counts=True)
        return bool(np.isin(part.bones, bones[counts >= 3]).mean() > 0.6)

    def _closes_over_skull(self, part: _Part) -> bool:
        """A hood or a hat: the head holds most of it, it surrounds the skull, and hangs no further than a neck."""
        if part.on_head.mean() <= HELD or not len(part.triangles):
            return False
        others = [o.points[o.on_head] for o in self.bodies if o is not part and o.on_head.any()]
        inner = np.concatenate(others) if others else part.points[part.on_head]
        low, high = inner.min(axis=0), inner.max(axis=0)
        if lowest(part.points) < low[2] - 0.8 * (high[2] - low[2]):
            return False
        return skull_cover(part.points, part.outline[0], (low + high) / 2) > ENCLOSED

    def _is_whole_figure(self, part: _Part) -> bool:
        """From the feet to the head, the head included, and no other part is skin of that size."""
        if np.ptp(part.points[:, 2]) < 0.8 * self.height or part.on_head.mean() < 0.03:
            return False
        return not any(np.ptp(other.points[:, 2]) > 0.6 * self.height and other is not part for other in self.bodies)
