"""Which fabric each particle is of, and which garment: all garments of a character are one system of particles."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .contact.candidates import MET
from .contact.touch import Layers
from .fabrics import ClothSettings

STYLED = 0.07  # metres from what is held, over which `ClothSettings.style` fades to 1/e
OF_EDGE = 0.3  # of the mean edge about a vertex, the most that is kept from other cloth
LEAST_GRIP, GRIP = (
    0.2,
    1.5,
)  # Coulomb's coefficient, and its growth with `ClothSettings.friction`


@dataclass(frozen=True)
class Worn:
    """P particles of some fabrics.

    Attributes:
        fabrics: those; number: (P,) which of them a particle is of.
        garment: (P,) the number of its garment, `MET` for what has been simulated before.
        extra: (P,) metres that it keeps further from the body than its fabric says.
        hair: whether all of garment 0 is hair: its round pieces are solid, and cards that lie in each other stay so.
    """

    fabrics: tuple[ClothSettings, ...]
    number: np.ndarray
    garment: np.ndarray
    extra: np.ndarray
    hair: bool = False

    @classmethod
    def of(cls, fabric: ClothSettings, count: int, hair: bool = False) -> Worn:
        """`count` particles of one garment of one fabric."""
        return cls((fabric,), np.zeros(count, int), np.zeros(count, int), np.zeros(count), hair)

    def beside(self, count: int) -> Worn:
        """With so many particles more, of the same fabric, that have been simulated before."""
        added = np.zeros(count, int)
        return replace(
            self,
            number=np.concatenate([self.number, added]),
            garment=np.concatenate([self.garment, added + MET]),
            extra=np.concatenate([self.extra, np.zeros(count)]),
        )

    def part(self, rows: np.ndarray) -> Worn:
        """Of particles `rows` alone."""
        return replace(self, number=self.number[rows], garment=self.garment[rows], extra=self.extra[rows])

    def each(self, name: str) -> np.ndarray:
        """(P,) a number of `ClothSettings` for each particle."""
        return np.array([getattr(fabric, name) for fabric in self.fabrics], np.float64)[self.number]

    def shape(self, reach: np.ndarray) -> np.ndarray:
        """(P,) how strongly particles return to their style, `reach` (P,) metres along the cloth from what is held."""
        least, most = self.each("shape"), self.each("style")
        return least + np.maximum(most - least, 0) * np.exp(-((reach / STYLED) ** 2))

    @property
    def settings(self) -> ClothSettings:
        """What holds for all: the most substeps, the longest way in, the first one's gravity."""
        most, longest = (max(getattr(f, name) for f in self.fabrics) for name in ("substeps", "preroll"))
        return replace(self.fabrics[0], substeps=most, preroll=longest)

    def layers(self, faces: np.ndarray, rest: np.ndarray) -> Layers:
        """How its triangles (F,3) meet each other; places (P,3) at rest.

        Fine cloth keeps less, or all that lies two edges on would be within reach. Hair does not: its cards pass
        themselves.
        """
        sides = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
        lengths = np.repeat(np.linalg.norm(rest[sides[:, 0]] - rest[sides[:, 1]], axis=1), 2)
        count = np.maximum(np.bincount(sides.ravel(), minlength=len(rest)), 1)
        usual = np.bincount(sides.ravel(), lengths, len(rest)) / count
        most = np.where((usual > 0) & (not self.hair), OF_EDGE * usual, np.inf)
        half = np.minimum(self.each("apart") * self.each("thickness"), most) / 2
        grip = LEAST_GRIP + GRIP * self.each("friction")
        return Layers(faces, half, self.garment, grip.astype(np.float32))
