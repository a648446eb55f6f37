"""What several samples of a prior that knows the mesh agree on.

A single sample is noisy, so only a fraction of its offset is applied. The noise differs from sample to sample and
averages out: the more samples have seen a vertex, the larger the fraction of their mean that is applied. That is
shrinkage towards the base, as in James, Stein, "Estimation with quadratic loss" (1961).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np


class Sample(Protocol):
    """A mesh (T,V,3) that a prior made, or None, and how well it saw each vertex (T,V); None is 1."""

    @property
    def vertices(self) -> np.ndarray | None: ...

    @property
    def visibility(self) -> np.ndarray | None: ...


UNSEEN_WEIGHT = 0.1  # weight of a sample's offsets at vertices that its camera did not see
NOISE_TO_SIGNAL = 0.8  # variance of one sample's noise over that of the signal; chosen on validation clips


@dataclass(frozen=True)
class Consensus:
    """Sums over samples.

    Attributes:
        base: (T,V,3) world metres, the layer that samples are offsets from.
        weighted_offsets: (T,V,3) metres, the sum of offsets weighted by visibility.
        visibility: (T,V) the sum of the samples' visibilities.
        samples: how many there are.
    """

    base: np.ndarray
    weighted_offsets: np.ndarray
    visibility: np.ndarray
    samples: int = 0

    @classmethod
    def none(cls, base: np.ndarray) -> Consensus:
        """Before any sample."""
        base = np.asarray(base, np.float32)
        return cls(base, np.zeros_like(base), np.zeros(base.shape[:2], np.float32))

    def joined(self, views: Iterable[Sample]) -> Consensus:
        """With the meshes that `views` were restored to, of those that have one."""
        known = self
        for view in views:
            if view.vertices is None:
                continue
            visibility = (
                np.ones(known.visibility.shape, np.float32)
                if view.visibility is None
                else view.visibility.astype(np.float32)
            )
            weighted = (visibility + UNSEEN_WEIGHT)[..., None] * (view.vertices - known.base)
            known = replace(
                known,
                weighted_offsets=known.weighted_offsets + weighted,
                visibility=known.visibility + visibility,
                samples=known.samples + 1,
            )
        return known

    @property
    def vertices(self) -> np.ndarray:
        """(T,V,3) float32 world metres; a single sample's own, the base where there is none."""
        if not self.samples:
            return self.base
        times = np.maximum(self.visibility, 1)
        confidence = (1 + NOISE_TO_SIGNAL) * times / (times + NOISE_TO_SIGNAL)
        share = confidence / (self.visibility + self.samples * UNSEEN_WEIGHT)
        return self.base + share[..., None].astype(np.float32) * self.weighted_offsets
