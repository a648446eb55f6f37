"""What several samples of a prior that knows the mesh agree on.

A prior's word is taken for a share of the way only, since much of a sample is made up. What it made up differs from
sample to sample and averages out; the more samples have seen a vertex, the further their mean is followed. That is
shrinkage towards the base, as in James, Stein, "Estimation with quadratic loss" (1961).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from .problem import View

FAINT = 0.1  # weight of what a sample says of vertices that its camera did not see
MADE_UP = 0.8  # share of one sample that others would not confirm, to what they would; chosen on validation clips


@dataclass(frozen=True)
class Consensus:
    """Sums over samples.

    Attributes:
        base: (T,V,3) world metres, the layer that samples are offsets from.
        pulls: (T,V,3) metres, the sum of weighted offsets.
        sight: (T,V) how many samples have seen each vertex.
        samples: how many there are.
    """

    base: np.ndarray
    pulls: np.ndarray
    sight: np.ndarray
    samples: int = 0

    @classmethod
    def none(cls, base: np.ndarray) -> Consensus:
        """Before any sample."""
        base = np.asarray(base, np.float32)
        return cls(base, np.zeros_like(base), np.zeros(base.shape[:2], np.float32))

    def joined(self, views: Iterable[View]) -> Consensus:
        """With the meshes that `views` were restored to, of those that have one."""
        known = self
        for view in views:
            if view.vertices is None:
                continue
            sight = np.ones(known.sight.shape, np.float32) if view.sight is None else view.sight.astype(np.float32)
            pull = (sight + FAINT)[..., None] * (view.vertices - known.base)
            known = replace(known, pulls=known.pulls + pull, sight=known.sight + sight, samples=known.samples + 1)
        return known

    @property
    def vertices(self) -> np.ndarray:
        """(T,V,3) float32 world metres; a single sample's own, the base where there is none."""
        if not self.samples:
            return self.base
        times = np.maximum(self.sight, 1)
        trust = (1 + MADE_UP) * times / (times + MADE_UP)
        share = trust / (self.sight + self.samples * FAINT)
        return self.base + share[..., None].astype(np.float32) * self.pulls
