"""Latents of Wan's VAE, and the control latents that VACE makes of them.

VACE (arXiv:2503.07598) sees a control video as two: what stays (inactive) and what may change (reactive). Here all
may change: the inactive half is the empty video, the reactive one the control itself, and the mask is 1. A reference
picture is one more latent frame in front, with mask 0. Normalisation and order are those of diffusers'
`WanVACEPipeline`; tests hold them against its own methods.
"""

from __future__ import annotations

from typing import Any

import torch

from ani3d_formats.progress import Progress

from ..video.vae import cancellable


class WanVae:
    """An `AutoencoderKLWan` whose latents have mean 0 and deviation 1, as Wan's transformers expect.

    Its encoder and decoder run once for every latent frame (and tile), so they can be cancelled there.

    Args:
        vae: in float32; in half precision it bands.
        device: where it runs.
    """

    def __init__(self, vae: Any, device: torch.device) -> None:
        self.vae = vae
        self.device = device
        self.spatial = 2 ** len(vae.config.temperal_downsample)
        self.channels = int(vae.config.z_dim)
        shape = (1, self.channels, 1, 1, 1)
        self._mean = torch.tensor(vae.config.latents_mean, dtype=torch.float32).view(shape).to(device)
        self._inverse = 1.0 / torch.tensor(vae.config.latents_std, dtype=torch.float32).view(shape).to(device)

    @torch.no_grad()
    def encode(self, video: torch.Tensor, progress: Progress | None = None) -> torch.Tensor:
        """Latents (1,C,1+k,h/8,w/8) on the CPU of video (1,3,4k+1,h,w) in -1..1; may raise `Cancelled`."""
        with cancellable(progress, self.vae.encoder):
            latents = self.vae.encode(video.to(self.device, self.vae.dtype)).latent_dist.mode()
        return ((latents.float() - self._mean) * self._inverse).cpu()

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, progress: Progress | None = None) -> torch.Tensor:
        """Video (1,3,4k+1,h,w) in -1..1 on the CPU of latents (1,C,1+k,h/8,w/8); may raise `Cancelled`."""
        scaled = latents.to(self.device, torch.float32) / self._inverse + self._mean
        with cancellable(progress, self.vae.decoder):
            return self.vae.decode(scaled.to(self.vae.dtype), return_dict=False)[0].float().cpu()


def control_latents(
    vae: WanVae, control: torch.Tensor, reference: torch.Tensor | None, progress: Progress | None = None
) -> torch.Tensor:
    """What VACE's control branch sees.

    Args:
        vae: the VAE.
        control: video (1,3,4k+1,h,w) in -1..1.
        reference: latents (1,C,R,h/8,w/8) of R reference pictures, or None.

    Returns:
        (1,2C+64,R+1+k,h/8,w/8): inactive, reactive, mask (a channel for each of the 8 x 8 pixels of a cell).
    """
    reactive = vae.encode(control, progress)
    inactive = vae.encode(torch.zeros_like(control), progress)
    mask = reactive.new_ones(1, vae.spatial**2, *reactive.shape[2:])
    latents = torch.cat([inactive, reactive, mask], 1)
    if reference is None:
        return latents
    unmasked = reference.new_zeros(1, vae.channels + vae.spatial**2, *reference.shape[2:])
    return torch.cat([torch.cat([reference, unmasked], 1), latents], 2)
