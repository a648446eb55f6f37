"""One garment or head of hair, whatever its mesh is like: seams closed, buttons carried, what goes wrong put back.

A piece follows the skeleton where the solver cannot help: its size is animated, it blew up, flew off or was torn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from ani3d_formats.pieces import SAME_PLACE, close_pairs, components
from ani3d_formats.pins import ON_CLOTH, SMALL
from ani3d_formats.progress import Progress

from ..mesh.topology import edges_of
from .constraints import PINNED, SMALL_PART, Constraints, islands, sound_faces
from .preroll import rigid_fit
from .solver import run
from .surroundings import Shown, Surroundings
from .worn import Worn

RESIZED = 2.0  # times its usual size, up or down, from which on a piece's size is animated
OTHER_SIZE = 1.25  # times its bind pose, from which on a whole clip is of another size
TORN = 1.3  # times its length at rest, and in the rigid layer, that a piece's edges may have on average
COARSE = 0.04  # metres of an edge: the body comes through longer ones between their ends
BULGE = 0.1  # metres, the radius of a body part that comes through
FURTHEST = 0.03  # metres that coarse cloth is kept further away for this
CARRIERS, ABOUT = 8, 64  # vertices of the cloth that carry a button, and among which they are looked for
HOST = 0.5  # times its size, that what lies on a loose piece may have to go with it

Tell = Callable[[str, np.ndarray], None]
"""Called with a reason and the vertices of what follows the skeleton for it."""


@dataclass(frozen=True)
class Welded:
    """Vertices in the same place as one: `first` (Q,) of each, and which of those each of the P vertices is (P,)."""

    first: np.ndarray
    index: np.ndarray

    @classmethod
    def of(cls, rest: np.ndarray, skinned: np.ndarray) -> Welded:
        """Those of `rest` (P,3) that stay together in all frames (T,P,3)."""
        pairs = close_pairs(rest, SAME_PLACE)
        apart = np.zeros(len(pairs))
        for frame in skinned:
            apart = np.maximum(apart, np.linalg.norm(frame[pairs[:, 0]] - frame[pairs[:, 1]], axis=1))
        first, index = np.unique(components(len(rest), pairs[apart < 4 * SAME_PLACE]), return_inverse=True)
        return cls(first, index.reshape(-1))


@dataclass(frozen=True)
class Garment:
    """A mesh to simulate: faces (F,3), bind pose (P,3) and pin weights (P,)."""

    faces: np.ndarray
    rest: np.ndarray
    pins: np.ndarray

    def part(self, rows: np.ndarray) -> Garment:
        """Of vertices `rows` (N,) alone, in their order, and the faces between them."""
        index = np.full(len(self.rest), -1)
        index[rows] = np.arange(len(rows))
        faces = index[self.faces]
        return Garment(faces[(faces >= 0).all(1)], self.rest[rows], self.pins[rows])


def simulate_garment(
    skinned: np.ndarray,
    garment: Garment,
    surroundings: Surroundings,
    fps: float,
    worn: Worn,
    progress: Progress | None,
    tell: Tell,
) -> np.ndarray:
    """Simulate as `simulate.simulate` does, piece by piece safe; arguments and result as there.

    Args:
        tell: called for each reason for which pieces follow the skeleton.

    Raises:
        Cancelled: within one frame of the request.
    """
    welded = Welded.of(garment.rest, skinned)
    shown, skinned = skinned, skinned[:, welded.first]
    pins = np.zeros(len(welded.first), np.float32)
    np.maximum.at(pins, welded.index, garment.pins)
    faces = welded.index[garment.faces]
    pieces = Pieces.of_mesh(faces, garment.rest[welded.first], pins)

    def report(reason: str, chosen: np.ndarray) -> None:
        if chosen.any():
            tell(reason, np.flatnonzero(chosen[pieces.part][welded.index]))

    def build(rest: np.ndarray, held: np.ndarray) -> Constraints:
        return Constraints.of_mesh(faces, rest, held)

    def until(frame: int) -> None:
        assert surroundings.until
        surroundings.until(frame)
        skinned[frame] = shown[frame, welded.first]

    def parted(frame: int, x: np.ndarray) -> np.ndarray:
        pieces.carry(carriers, x)
        return np.asarray(x[welded.index] + (shown[frame] - skinned[frame, welded.index]))

    def see(frame: int, _: np.ndarray, x: np.ndarray) -> None:
        assert surroundings.shown
        surroundings.shown(frame, parted(frame, x.copy()))

    carriers, everyone = pieces.carriers(), np.arange(len(welded.first))
    watcher = Shown(see, everyone, everyone) if surroundings.shown else None
    worn, around = worn.part(welded.first), surroundings.part(welded.first)
    worn = replace(worn, extra=worn.extra + _stand_off(pieces))
    around = replace(around, shown=watcher, until=until if surroundings.until else None)
    moved = simulate_pieces(skinned, pieces, build, around, fps, worn, progress, report)
    return np.stack([parted(t, x) for t, x in enumerate(moved)])


def _stand_off(pieces: Pieces) -> np.ndarray:
    """Metres (P,) that coarse cloth is kept further from the body: as far as an edge of it cuts into a round limb."""
    free = pieces.edges[(pieces.pins[pieces.edges] <= PINNED).any(1)]
    length = np.linalg.norm(pieces.rest[free[:, 0]] - pieces.rest[free[:, 1]], axis=1)
    owner, extra = pieces.part[free[:, 0]], np.zeros(len(pieces.edged))
    for number in np.unique(owner):
        usual = float(np.median(length[owner == number]))
        extra[number] = min(usual**2 / (8 * BULGE), FURTHEST) if usual > COARSE else 0.0
    return extra[pieces.part]


def simulate_pieces(
    skinned: np.ndarray,
    pieces: Pieces,
    build: Callable[[np.ndarray, np.ndarray], Constraints],
    surroundings: Surroundings,
    fps: float,
    worn: Worn,
    progress: Progress | None,
    report: Callable[[str, np.ndarray], None],
) -> np.ndarray:
    """Simulate `pieces` (T,P,3); those that the solver cannot help follow the skeleton.

    Args:
        build: makes constraints of the rest shape (P,3) and the pins (P,).
        report: called for each reason with the pieces (K,) bool that it applies to.
    """
    sizes = pieces.lengths(skinned) / np.maximum(pieces.lengths(pieces.rest[None]), 1e-9)
    usual = float(np.median(sizes[:, pieces.edged])) if pieces.edged.any() else 1.0
    if not (usual > OTHER_SIZE or 1e-3 < usual < 1 / OTHER_SIZE):
        usual = 1.0
    resized = pieces.edged & ~((sizes > usual / RESIZED) & (sizes < usual * RESIZED)).all(0)
    report("the size of {it} is animated", resized & pieces.free)
    pins = np.where((resized | pieces.buttons)[pieces.part], 1, pieces.pins).astype(np.float32)
    resting = pieces.rest * np.float32(usual)
    obstacle = surroundings.obstacle
    if obstacle is not None and obstacle.rest is not None:
        surroundings = replace(surroundings, obstacle=replace(obstacle, rest=obstacle.rest * np.float32(usual)))
    moved = run(skinned, resting, build(resting, pins), pins, surroundings, fps, worn, progress)
    moved[:, resized[pieces.part]] = skinned[:, resized[pieces.part]]
    for reason, chosen in pieces.gone(moved, skinned, usual).items():
        report(reason, chosen)
        back = chosen[pieces.part]
        moved[:, back] = skinned[:, back]
    return moved


@dataclass(frozen=True)
class Pieces:
    """Connected pieces of a garment of P vertices.

    Attributes:
        rest: (P,3); pins: (P,); edges: (E,2).
        part: (P,) the number of each vertex's piece, 0 to K-1.
        edged: (K,) bool, those with edges; free: (K,) those with a vertex that is not pinned.
        buttons: (K,) bool, small ones without a pin.
    """

    rest: np.ndarray
    pins: np.ndarray
    edges: np.ndarray
    part: np.ndarray
    edged: np.ndarray
    free: np.ndarray
    buttons: np.ndarray

    @classmethod
    def of_mesh(cls, faces: np.ndarray, rest: np.ndarray, pins: np.ndarray) -> Pieces:
        """Pieces of a mesh: faces (F,3), rest shape (P,3), pins (P,)."""
        edges = edges_of(sound_faces(faces))
        return cls.of_parts(edges, islands(edges, len(rest)), rest, pins)

    @classmethod
    def of_parts(cls, edges: np.ndarray, part: np.ndarray, rest: np.ndarray, pins: np.ndarray) -> Pieces:
        """Pieces by number (P,): edges (E,2), rest shape (P,3), pins (P,)."""
        count = int(part.max()) + 1
        edged = np.bincount(part[edges[:, 0]], minlength=count) > 0
        pinned = np.bincount(part, pins > PINNED, count) > 0
        small = np.bincount(part, minlength=count) < max(2, SMALL_PART * len(rest))
        low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
        np.minimum.at(low, part, rest)
        np.maximum.at(high, part, rest)
        small |= (high - low).max(1) < SMALL
        free = np.bincount(part, pins <= PINNED, count) > 0
        return cls(rest, pins, edges, part, edged, free, small & ~pinned)

    def lengths(self, vertices: np.ndarray) -> np.ndarray:
        """The sum of each piece's edges (T,K), metres, for vertices (T,P,3)."""
        owner, count = self.part[self.edges[:, 0]], len(self.edged)
        found = np.empty((len(vertices), count))
        for t, frame in enumerate(vertices):
            each = np.linalg.norm(frame[self.edges[:, 0]] - frame[self.edges[:, 1]], axis=1)
            found[t] = np.bincount(owner, each, count)
        return found

    def gone(self, moved: np.ndarray, skinned: np.ndarray, usual: float) -> dict[str, np.ndarray]:
        """Pieces (K,) bool by what became of them.

        Args:
            moved, skinned: (T,P,3); usual: times the bind pose's size that they have.
        """
        count = len(self.edged)
        members = np.maximum(np.bincount(self.part, minlength=count), 1)[:, None]
        middle = np.stack([np.bincount(self.part, self.rest[:, k], count) for k in range(3)], 1) / members
        size = np.zeros(count)
        np.maximum.at(size, self.part, 2 * np.linalg.norm(self.rest - middle[self.part], axis=1))
        broken, left = np.zeros(count, bool), np.zeros(count, bool)
        for one, other in zip(moved, skinned, strict=True):
            broken |= np.bincount(self.part, ~np.isfinite(one).all(1), count) > 0
            off = np.nan_to_num(one - other)
            away = np.stack([np.bincount(self.part, off[:, k], count) for k in range(3)], 1) / members
            left |= np.linalg.norm(away, axis=1) > np.maximum(size * usual, SMALL)
        rest = np.maximum(self.lengths(self.rest[None]) * usual, 1e-9)
        allowed = TORN * np.maximum(1, self.lengths(skinned) / rest)
        torn = self.edged & (np.nan_to_num(self.lengths(moved)) / rest > allowed).any(0)
        free = self.free & ~self.buttons
        return {
            "the simulation of {it} failed": broken & free,
            "nothing keeps {it} on the body": left & ~broken & free,
            "the body's motion tears {it}": torn & ~left & ~broken & free,
        }

    def carriers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Buttons that go with the cloth that they lie on: vertices (N,), and those (M,) of the cloth that carry them.

        Others stay with the skeleton.
        """
        on = ~self.buttons[self.part]
        if on.all() or not on.any():
            return []
        cloth = np.flatnonzero(on)
        tree = cKDTree(self.rest[cloth])
        goes_with, found = np.where(on, -1, self._hosts()[self.part]), []
        for number in np.unique(goes_with[~on]):
            own = np.flatnonzero(goes_with == number)
            away, nearest = tree.query(self.rest[own])
            if away.min() > 1.5 * ON_CLOTH:
                continue
            about = cloth[np.atleast_1d(tree.query(self.rest[own].mean(0), k=min(ABOUT, len(cloth)))[1])]
            same = about[self.part[about] == self.part[cloth[nearest[away.argmin()]]]]  # the piece that it lies on
            found.append((own, (same if len(same) >= CARRIERS else about)[:CARRIERS]))
        return found

    def carry(self, carriers: Sequence[tuple[np.ndarray, np.ndarray]], x: np.ndarray) -> None:
        """Put buttons where cloth at `x` (P,3) carries them, in place; not with what blew up."""
        for own, near in carriers:
            if np.isfinite(x[near]).all():
                R, offset = rigid_fit(self.rest[near], x[near])
                x[own] = self.rest[own] @ R.T + offset

    def _hosts(self) -> np.ndarray:
        """(K,) the piece that each button goes with: the largest that it lies on, or itself.

        What is sewn to a patch would pass through it if each went with the cloth by itself.
        """
        hosts, numbers = np.arange(len(self.edged)), np.flatnonzero(self.buttons)
        order = np.argsort(self.part, kind="stable")
        starts = np.searchsorted(self.part[order], numbers)
        ends = np.searchsorted(self.part[order], numbers, side="right")
        own = [self.rest[order[start:end]] for start, end in zip(starts, ends, strict=True)]
        low, high = np.array([points.min(0) for points in own]), np.array([points.max(0) for points in own])
        size = np.linalg.norm(high - low, axis=1)
        for k in np.argsort(size, kind="stable"):  # the largest has the last word
            upon = (size <= HOST * size[k]) & ((low <= high[k]) & (high >= low[k])).all(1)
            hosts[numbers[upon]] = numbers[k]
        return hosts
