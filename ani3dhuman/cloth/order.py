"""Particles renumbered for the solver: what a core works on lies together in memory, and no other core's between it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .constraints import Constraints
from .contact.candidates import Cover


@dataclass(frozen=True)
class Order:
    """P particles in an order of their own.

    Attributes:
        former: (P,) the number that each had; place: (P,) where that of each former number is.
    """

    former: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, former: np.ndarray) -> Order:
        """The order in which those with these former numbers (P,) follow each other."""
        return cls(former, np.argsort(former))

    def constraints(self, c: Constraints) -> Constraints:
        """The same of renumbered particles, each edge, hinge, joint and face where it was."""
        former, place = self.former, self.place
        return replace(
            c,
            edges=place[c.edges],
            hinges=place[c.hinges],
            joints=place[c.joints],
            anchor=self._renumbered(c.anchor)[former],
            reach=c.reach[former],
            pinned=c.pinned[former],
            faces=place[c.faces],
            material=c.material._replace(sizes=c.material.sizes[former]),
        )

    def cover(self, cover: Cover, inv_mass: np.ndarray) -> Cover:
        """The same of renumbered vertices, each triangle where it was; `inv_mass` (P,) is theirs."""
        former, counts = self.former, np.diff(cover.fans)[self.former]
        fans = np.concatenate([[0], np.cumsum(counts)])
        around = np.arange(fans[-1]) + np.repeat(cover.fans[:-1][former] - fans[:-1], counts)
        return cover._replace(
            faces=self.place[cover.faces].astype(np.int32),
            beside=self._renumbered(cover.beside).astype(np.int32),
            rest=cover.rest[former],
            half=cover.half[former],
            garment=cover.garment[former],
            inv_mass=inv_mass,
            seam=cover.seam[former],
            fans=fans,
            around=cover.around[around],
            given=self.place,
        )

    def _renumbered(self, numbers: np.ndarray) -> np.ndarray:
        """Former numbers of any shape, -1 for none, as they are now."""
        return np.where(numbers < 0, -1, self.place[numbers])
