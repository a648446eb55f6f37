"""What restoration asks of a video prior, whether it is 14 billion parameters of Wan or the compact one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ani3d_formats.progress import Progress

from ..clip import CoarseClip, RestoredClip


@dataclass(frozen=True)
class EncodedClip:
    """A coarse clip in a prior's own terms; T' latent frames, anchors first.

    Attributes:
        latents: (T',C,h,w), z_init of the sampler.
        preserve: (T',1,h,w) 0..1, where the sample must stay like the coarse clip.
        conditions: (T',K,h,w), what the network sees beside the noisy latents.
        context: whatever the prior's `decode` needs again.
        anchors: how many of the first latent frames belong in front of every window, as reference pictures do.
        key: hash of model, clip and everything else that the result depends on besides `RestoreConfig`; "" where
            the prior gives none, as one does that keeps state between steps; then there are no checkpoints, and
            windows are not spread over machines.
    """

    latents: torch.Tensor
    preserve: torch.Tensor
    conditions: torch.Tensor
    context: Any = None
    anchors: int = 0
    key: str = ""


class VideoPrior(Protocol):
    """A flow-matching model of clips. Latents are z_sigma = (1 - sigma) x0 + sigma eps, velocities eps - x0."""

    @property
    def window(self) -> int:
        """Latent frames the network takes at once, besides anchors; longer clips take overlapping windows."""

    def encode(self, clip: CoarseClip, progress: Progress | None = None) -> EncodedClip:
        """The clip as latents, mask and conditions, on the CPU.

        Where that takes long, ``progress.advance(0)`` asks now and then whether to stop.
        """

    def colour_noise(self, white: torch.Tensor) -> torch.Tensor:
        """White noise (T',C,h,w) turned into the unit-variance noise that the prior was trained with."""

    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        """Velocity (W,C,h,w) of one window of noisy latents (W,C,h,w), classifier-free guidance included.

        W counts the anchors, which come first. The result depends on the arguments alone, so that windows may be
        computed in any order.
        """

    def decode(
        self, clip: CoarseClip, encoded: EncodedClip, latents: torch.Tensor, progress: Progress | None
    ) -> RestoredClip:
        """The restored clip; `progress` is advanced once for each of the clip's frames."""
