"""A prior that can be listened to."""

from __future__ import annotations

from typing import Any

import torch

from ani3d_formats.progress import Progress
from ani3dhuman.clip import CoarseClip, RestoredClip
from ani3dhuman.restoration import EncodedClip, VideoPrior


class Overheard:
    """A prior whose sampled latents can be looked at before they are decoded."""

    def __init__(self, prior: VideoPrior) -> None:
        self.prior = prior

    def __getattr__(self, name: str) -> Any:
        return getattr(self.prior, name)

    def decode(
        self, clip: CoarseClip, encoded: EncodedClip, latents: torch.Tensor, progress: Progress | None = None
    ) -> RestoredClip:
        self.latents = latents
        return self.prior.decode(clip, encoded, latents, progress)
