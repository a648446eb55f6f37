"""The error that a step cache makes in the velocities, measured on a clip."""

from __future__ import annotations

from typing import Any

import torch

from ...clip import CoarseClip
from ...windows import Windows
from ..prior import EncodedClip
from ..restore import RestoreConfig, sample_latents
from .prior import WanPrior
from .step_cache import StepCache, enabled


@torch.no_grad()
def measure_cache(
    prior: WanPrior, clip: CoarseClip, config: RestoreConfig, cache: StepCache, encoded: EncodedClip | None = None
) -> list[float]:
    """Error of the cached velocities at the latents that uncached sampling passes through.

    Args:
        prior: with its cache off.
        clip: to restore.
        config: of the sampling.
        cache: to be measured.
        encoded: the clip, where it has been encoded already.

    Returns:
        For each step the root of the summed squared error of all windows, relative to the velocities' own size; 0 where
        every layer was computed.
    """
    encoded = encoded or prior.encode(clip)
    windows = Windows(len(encoded.latents) - encoded.anchors, prior.window, config.overlap, encoded.anchors)
    recording = RecordingPrior(prior)
    sample_latents(recording, encoded, windows, config)
    errors: list[float] = []
    with enabled(prior.models, cache):
        for first in range(0, len(recording.calls), len(windows)):
            wrong = size = 0.0
            for arguments, right in recording.calls[first : first + len(windows)]:
                wrong += float(((prior.velocity(*arguments) - right) ** 2).sum())
                size += float((right**2).sum())
            errors.append((wrong / max(size, 1e-12)) ** 0.5)
    return errors


class RecordingPrior:
    """A prior that keeps every velocity with the arguments it was computed from."""

    def __init__(self, prior: WanPrior) -> None:
        self._prior = prior
        self.calls: list[tuple[tuple[torch.Tensor, float, torch.Tensor], torch.Tensor]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prior, name)

    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        answer = self._prior.velocity(latents, sigma, conditions)
        self.calls.append(((latents, sigma, conditions), answer))
        return answer
