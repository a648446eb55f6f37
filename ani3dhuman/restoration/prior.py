"""What restoration asks of a video prior, whether it is 14 billion parameters of Wan or the compact one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ..progress import Progress
from .clip import CoarseClip, RestoredClip


@dataclass(frozen=True)
class EncodedClip:
    """A coarse clip in a prior's own terms; T' latent frames.

    Attributes:
        latents: (T',C,h,w), z_init of the sampler.
        preserve: (T',1,h,w) 0..1, where the sample must stay like the coarse clip.
        conditions: (T',K,h,w), what the network sees beside the noisy latents.
        context: whatever the prior's `decode` needs again.
    """

    latents: torch.Tensor
    preserve: torch.Tensor
    conditions: torch.Tensor
    context: Any = None


class VideoPrior(Protocol):
    """A flow-matching model of clips. Latents are z_sigma = (1 - sigma) x0 + sigma eps, velocities eps - x0."""

    @property
    def window(self) -> int:
        """Latent frames the network takes at once; longer clips are restored in overlapping windows."""

    def encode(self, clip: CoarseClip) -> EncodedClip:
        """The clip as latents, mask and conditions."""

    def colour_noise(self, white: torch.Tensor) -> torch.Tensor:
        """White noise (T',C,h,w) turned into the unit-variance noise that the prior was trained with."""

    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        """Velocity (W,C,h,w) of one window of noisy latents (W,C,h,w), classifier-free guidance included."""

    def decode(
        self, clip: CoarseClip, encoded: EncodedClip, latents: torch.Tensor, progress: Progress | None
    ) -> RestoredClip:
        """The restored clip; `progress` is advanced once for each of the clip's frames."""
