"""How much a step cache changes what the network says, measured on a clip."""

from __future__ import annotations

from typing import Any

import torch

from ...windows import Windows
from ..clip import CoarseClip
from ..prior import EncodedClip
from ..restore import RestoreConfig, sample_latents
from .prior import WanVacePrior
from .step_cache import StepCache, enabled


@torch.no_grad()
def measure_cache(
    prior: WanVacePrior, clip: CoarseClip, config: RestoreConfig, cache: StepCache, encoded: EncodedClip | None = None
) -> list[float]:
    """How wrong the cached velocities are along the way that uncached sampling takes.

    Args:
        prior: with its cache off.
        clip: what is restored; encoded: the same, where it has been encoded already.
        config: of the sampling.
        cache: to be judged.

    Returns:
        For each step the root of the summed squared error of all windows, relative to the velocities' own size; 0 where
        every layer was computed.
    """
    encoded = encoded or prior.encode(clip)
    windows = Windows(len(encoded.latents) - encoded.anchors, prior.window, config.overlap, encoded.anchors)
    told = _Told(prior)
    sample_latents(told, encoded, windows, config)
    errors: list[float] = []
    with enabled(prior.models, cache):
        for first in range(0, len(told.calls), len(windows)):
            wrong = size = 0.0
            for arguments, right in told.calls[first : first + len(windows)]:
                wrong += float(((prior.velocity(*arguments) - right) ** 2).sum())
                size += float((right**2).sum())
            errors.append((wrong / max(size, 1e-12)) ** 0.5)
    return errors


class _Told:
    """A prior whose velocities are written down, with what they were asked for."""

    def __init__(self, prior: WanVacePrior) -> None:
        self._prior = prior
        self.calls: list[tuple[tuple[torch.Tensor, float, torch.Tensor], torch.Tensor]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)

    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        answer = self._prior.velocity(latents, sigma, conditions)
        self.calls.append(((latents, sigma, conditions), answer))
        return answer
