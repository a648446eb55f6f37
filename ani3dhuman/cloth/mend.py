"""What a frame is shown as: where the solver left it, but for edges that it left too long."""

from __future__ import annotations

import numpy as np

from ..mesh.kernels import heights_over, limit_edges
from ..mesh.surface import TRUSTED, Contacts
from ..mesh.vectors import lengths
from .constraints import Constraints
from .contact.candidates import Cover
from .contact.touch import Lists, go_between
from .kernels import Pose
from .worn import Worn

MAX_STRETCH = 1.22  # times its rest length, of an edge: the body may push one end of a short one far
LOOSE, LOOSE_ROUNDS = 1.03, 20  # the same of edges of which the body touches neither end, and rounds for these
ELASTIC = 10.0  # N/m of stretch, below which cloth is meant to become longer than that: an artist's rubber
ROUNDS, OF_HAIR = 5, 8  # in which lengths, body and other cloth have their say; locks have edges of a millimetre
LIMIT_ROUNDS = 60  # most of them where a row of edges is too long as a whole
CLEAR = 0.5  # share of the distance to be kept from the body that is enough
UNSEEN = 1e-7  # metres
LEEWAY = 1e-3  # metres over what is kept from the body
TRIES = 4  # in each of which what would go too far for what is near it is held


class Mender:
    """For one piece of cloth of P particles over its body; `free` (P,): inverse masses, thickness (P,) metres."""

    def __init__(
        self, constraints: Constraints, free: np.ndarray, thickness: np.ndarray, contacts: Contacts, worn: Worn
    ) -> None:
        self.constraints, self.free, self.contacts = constraints, free, contacts
        self.rounds = OF_HAIR if worn.hair else ROUNDS
        self.clear = (CLEAR * thickness).astype(np.float32)
        self.shortest = np.zeros_like(constraints.edge_rest)
        self.longest = np.float32(MAX_STRETCH) * constraints.edge_rest
        firm = (worn.each("stretch")[constraints.edges] >= ELASTIC).all(1)
        self.usual = np.where(firm, np.float32(LOOSE) * constraints.edge_rest, self.longest)

    def mended(
        self,
        x: np.ndarray,
        pose: Pose,
        cover: Cover,
        lists: tuple[Lists, Lists | None],
        crossed: bool,
        led: np.ndarray,
    ) -> tuple[np.ndarray, Lists]:
        """Places (P,3) near `x` without long edges, that are not deeper in the body and cross nothing on the way.

        `lists`: those to work with, and `known` ones; these and `crossed` as of `go_between`; `led` (P,) bool: what an
        artist has near the rig, which may be stretched there.
        """
        spare, known = lists
        x, spare, again = self._taut(x, cover, (spare, known), crossed, led)
        done = x.copy()
        for turn in range(self.rounds):
            former = done.copy()
            limit_edges(done, self.free, self.constraints.edges, self.shortest, self.longest, LIMIT_ROUNDS)
            moved = np.flatnonzero(np.abs(done - x).max(1) > UNSEEN)
            if len(moved) == 0:
                break
            if self.contacts.obstacle is not None and not self.contacts.fresh and turn < self.rounds - 1:
                height, away = self._heights(done, moved, pose)
                lack = np.minimum(self._heights(x, moved, pose)[0], self.clear[moved]) - height
                push = np.where((lack > 0) & (self.free[moved] > 0), lack, 0)
                done[moved] += push[:, None] * away
            if turn > 0 and np.array_equal(done, former):  # nothing was left to mend
                break
            if len(self.constraints.faces):
                spare = go_between(x, done, cover, spare, crossed, known, again)
                again = True
        return done, spare

    def _taut(
        self, x: np.ndarray, cover: Cover, lists: tuple[Lists, Lists | None], crossed: bool, led: np.ndarray
    ) -> tuple[np.ndarray, Lists, bool]:
        """Places (P,3) near `x` at which edges away from the body are no longer than cloth is; what is near it stays.

        Also the lists, and whether they were used.

        One pass a substep leaves edges softer than cloth is. Limits as tight within substeps would press cloth through
        what pinches it.
        """
        near = self.contacts.clear.min(1, initial=TRUSTED)
        loose = np.where((near > LEEWAY) & ~led, self.free, 0).astype(np.float32)
        for _ in range(TRIES):
            done = x.copy()
            limit_edges(done, loose, self.constraints.edges, self.shortest, self.usual, LOOSE_ROUNDS)
            far = lengths(done - x) > near
            if not far.any():
                break
            loose[far] = 0
        done[far] = x[far]
        if np.abs(done - x).max(initial=0) < UNSEEN:
            return x, lists[0], False
        if len(self.constraints.faces):
            return done, go_between(x, done, cover, lists[0], crossed, lists[1]), True
        return done, lists[0], False

    def _heights(self, x: np.ndarray, rows: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        near = self.contacts.near[rows, self.contacts.clear[rows].argmin(1)]
        return heights_over(x[rows], near, pose.body, pose.normals, self.contacts.faces, *self.contacts.around)
