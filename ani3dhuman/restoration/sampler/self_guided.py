"""Self-guided stochastic sampling of flow-matching priors.

Ani3DHuman (CVPR 2026, arXiv:2602.19089), section "Self-Guided Stochastic Sampling". A coarse
rendering lies outside what a video prior has seen; a deterministic solver carries its faults to
the end. Drawing fresh noise at every step lets the sample leave that region, and a masked pull
towards the coarse latents keeps the parts that were right all along (face, skin).

One step from sigma to sigma', with velocity v = eps - x0:

    x0hat = z - sigma v                                    posterior mean (Tweedie)
    xt    = W z_init + (1 - W) x0hat,  W = s M             self-guidance where M says "preserve"
    xbar  = (1 - sigma) xt + sigma x0hat                   the pull fades in as the noise falls
    z'    = (1 - sigma') xbar + sigma' eps',  eps' fresh   at the last step sigma' = 0: z' = xbar

The paper's ablations are options of the same sampler:

    stochastic_sampling=False, guidance_scale=0     ODE (SDEdit with Euler steps)
    stochastic_sampling=False                       ODE with guidance
    guidance_scale=0                                SDE
    (the defaults)                                  SDE with self-guidance: the method itself
    correction="swap"                               keep the low spatial frequencies of the coarse latents
    correction="match", correction_every=k          every k-th step match mean and deviation, then pull
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ani3d_formats.errors import Ani3DError

from .correction import CORRECTIONS, Correction, correct

TRAIN_TIMESTEPS = 1000  # the timestep that models call sigma = 1


def shifted_sigmas(steps: int, strength: float = 0.7, shift: float = 5.0) -> np.ndarray:
    """(steps,) float64 noise levels, falling: evenly spaced from `strength`, and only then shifted.

    diffusers' own video-to-video `strength` cuts a full list instead, which gives other levels.
    """
    levels = np.linspace(strength, 0.0, steps + 1)[:-1]
    return shift * levels / (1.0 + (shift - 1.0) * levels)


@dataclass(frozen=True)
class SamplerConfig:
    """How to sample.

    Attributes:
        shift: resolution shift of the noise levels, applied after `strength`.
        strength: how much of the way to pure noise the clip is taken before restoring, in (0, 1].
        guidance_scale: s, the pull towards the initial latents, in [0, 1].
        stochastic_sampling: fresh noise each step; False re-uses the predicted noise, which is the
            deterministic ODE (SDEdit with Euler steps), the paper's ablation.
        seed: of the noise, drawn on the CPU so that it is the same on every device.
        correction: how the clean estimate is drawn to the initial latents where the mask preserves, always
            with weight M (1 - sigma): "pull" (s of the way, the paper's self-guidance), "swap" (low spatial
            frequencies from the initial latents, high ones from the estimate; s is not used) or "match"
            (mean and deviation over space and time, each sample and channel by itself, set to those of the
            initial latents, then the pull). Equations: `sampler.correction`.
        correction_every: k; the steps k, 2k, 3k .. are corrected, counted from 1, the others not.
        swap_cutoff: of "swap", in cycles a cell of the latents (0.5 is the finest wave): there half of a
            wave's amplitude comes from either side.

    Raises:
        Ani3DError: ``restoration.strength``, ``restoration.guidance_scale``, ``restoration.sigmas``,
            ``restoration.correction``, ``restoration.correction_every``, ``restoration.swap_cutoff``: an
            option outside its range.
    """

    shift: float = 5.0
    strength: float = 0.7
    guidance_scale: float = 0.05
    stochastic_sampling: bool = True
    seed: int = 0
    correction: Correction = "pull"
    correction_every: int = 1
    swap_cutoff: float = 0.125

    def __post_init__(self) -> None:
        strength, guidance_scale = self.strength, self.guidance_scale
        correction, correction_every = self.correction, self.correction_every
        if not 0.0 < strength <= 1.0:
            raise Ani3DError(
                "restoration.strength", f"Restoration strength {strength} is not in (0, 1].", "Use about 0.7."
            )
        if not 0.0 <= guidance_scale <= 1.0:
            raise Ani3DError(
                "restoration.guidance_scale",
                f"Self-guidance scale {guidance_scale} is not in [0, 1].",
                "Use about 0.05.",
            )
        if self.shift <= 0.0:
            raise Ani3DError("restoration.sigmas", f"Shift {self.shift} must be positive.", "Use shift 5.")
        if correction not in CORRECTIONS:
            raise Ani3DError(
                "restoration.correction",
                f"{correction!r} is no way to correct the clean estimate.",
                f"Use one of {', '.join(CORRECTIONS)}.",
            )
        if not isinstance(correction_every, int) or correction_every < 1:
            raise Ani3DError(
                "restoration.correction_every",
                f"Correcting every {correction_every} steps is not possible.",
                "Use a whole number of at least 1; 1 corrects at each step.",
            )
        if not 0.0 < self.swap_cutoff < math.inf:
            raise Ani3DError(
                "restoration.swap_cutoff",
                f"Cutoff {self.swap_cutoff} of the swap is not a positive frequency.",
                "Use cycles a cell of the latents, about 0.125.",
            )


class SelfGuidedSampler:
    """Steps through noise levels by self-guided stochastic sampling.

    `sampler.scheduler` makes a diffusers scheduler of it.
    """

    def __init__(self, sampling: SamplerConfig) -> None:
        self.sampling = sampling
        self.num_inference_steps: int | None = None
        self.sigmas = torch.zeros(0)
        self.timesteps = torch.zeros(0)
        self._init_latents: torch.Tensor | None = None
        self._mask: torch.Tensor | None = None
        self._noise_filter: Callable[[torch.Tensor], torch.Tensor] | None = None
        self._begin_index: int | None = None
        self._step_index: int | None = None
        self._generator = torch.Generator()

    @property
    def step_index(self) -> int | None:
        """Index of the next step, None before the first."""
        return self._step_index

    @property
    def begin_index(self) -> int | None:
        """Index of the first step if the pipeline has said so, else None: then the first timestep tells."""
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Say which of `timesteps` comes first; diffusers' pipelines call this before their loop."""
        self._begin_index = begin_index

    def set_self_guidance(self, init_latents: torch.Tensor | None, mask: torch.Tensor | None = None) -> None:
        """Say what the clip looked like before restoration, and where it must stay so.

        Args:
            init_latents: latents of the coarse clip, of the sample's shape; None switches the correction off.
                "swap" and "match" read the axes as (B,C,...,h,w).
            mask: 0..1, broadcastable to the sample's shape, 1 = preserve; None preserves everywhere (M = 1).

        Raises:
            Ani3DError: ``restoration.mask_shape``: the mask does not fit the latents;
                ``restoration.latents_rank``: they lack the axes that the correction works along.
        """
        kind = self.sampling.correction
        if init_latents is not None and kind != "pull" and init_latents.ndim < 4:
            raise Ani3DError(
                "restoration.latents_rank",
                f"Latents {tuple(init_latents.shape)} are not (B,C,...,h,w), which correction {kind!r} needs.",
                "Give the sampler the latents as the video VAE shapes them.",
            )
        if init_latents is not None and mask is not None:
            try:
                fits = torch.broadcast_shapes(mask.shape, init_latents.shape) == init_latents.shape
            except RuntimeError:
                fits = False
            if not fits:
                raise Ani3DError(
                    "restoration.mask_shape",
                    f"Preserve mask {tuple(mask.shape)} does not fit latents {tuple(init_latents.shape)}.",
                    "Pool the mask to latent resolution first (restoration.conditions.latent_mask).",
                )
        self._init_latents, self._mask = init_latents, mask

    def set_noise_filter(self, noise_filter: Callable[[torch.Tensor], torch.Tensor] | None) -> None:
        """Pass all noise through `noise_filter` (same shape, unit variance): for priors trained on coloured noise."""
        self._noise_filter = noise_filter

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Lay out `num_inference_steps` noise levels and rewind the sampler, its noise included."""
        if num_inference_steps < 1:
            raise Ani3DError(
                "restoration.steps",
                f"{num_inference_steps} sampling steps cannot be taken.",
                "Use at least 1, usually 7.",
            )
        levels = shifted_sigmas(num_inference_steps, self.sampling.strength, self.sampling.shift)
        self.num_inference_steps = num_inference_steps
        self.sigmas = torch.from_numpy(np.append(levels, 0.0)).to(device=device, dtype=torch.float32)
        self.timesteps = self.sigmas[:-1] * TRAIN_TIMESTEPS
        self._begin_index = self._step_index = None
        self._generator = torch.Generator().manual_seed(self.sampling.seed)

    def initial_latents(self, init_latents: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """The first sample, (1 - sigma_0) z_init + sigma_0 eps; call after `set_timesteps`.

        Without a generator the noise comes from a stream of its own (seed + 1), so that the noise of the
        steps is the same whether or not this is called between `set_timesteps` and the loop.
        """
        generator = generator or torch.Generator().manual_seed(self.sampling.seed + 1)
        noise = self._noise(init_latents, generator)
        sigma = self.sigmas[0].to(init_latents.device)
        return ((1.0 - sigma) * init_latents.float() + sigma * noise).to(init_latents.dtype)

    def scale_noise(self, sample: torch.Tensor, timestep: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Bring clean latents to the noise level of `timestep` (diffusers' name for the forward process)."""
        sigma = (timestep.to(sample.device, sample.dtype) / TRAIN_TIMESTEPS).flatten()
        sigma = sigma.reshape(-1, *[1] * (sample.ndim - 1))
        return (1.0 - sigma) * sample + sigma * noise

    def next_sample(
        self,
        model_output: torch.Tensor,
        timestep: float | torch.Tensor,
        sample: torch.Tensor,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """One step of the recursion at the top of this file.

        Args:
            model_output: velocity v = eps - x0, of the sample's shape.
            timestep: one of `timesteps`; read at the first step only, and not after `set_begin_index`.
            sample: z at this level.
            generator: overrides the sampler's own noise stream.

        Returns:
            z at the next level, of the model output's dtype.
        """
        index = self._step_index if self._step_index is not None else self._begin_index
        index = index if index is not None else self._index_of(timestep)
        sigma, sigma_next = self.sigmas[index], self.sigmas[index + 1]
        latents, velocity = sample.float(), model_output.float()
        posterior_mean = latents - sigma * velocity
        clean = self._corrected(posterior_mean, index)
        if self.sampling.stochastic_sampling:
            noise = self._noise(latents, generator or self._generator)
        else:
            noise = posterior_mean + velocity
        previous = (1.0 - sigma_next) * clean + sigma_next * noise
        self._step_index = index + 1
        return previous.to(model_output.dtype)

    def _noise(self, like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        noise = torch.randn(like.shape, generator=generator, device=generator.device).to(like.device)
        return noise if self._noise_filter is None else self._noise_filter(noise)

    def _corrected(self, posterior_mean: torch.Tensor, index: int) -> torch.Tensor:
        """xbar: both lines of self-guidance in one, their weights multiplied."""
        sampling = self.sampling
        kind, scale = sampling.correction, sampling.guidance_scale
        idle = kind == "pull" and scale == 0.0
        if self._init_latents is None or idle or (index + 1) % sampling.correction_every:
            return posterior_mean
        init = self._init_latents.to(posterior_mean)
        return correct(posterior_mean, init, self._mask, self.sigmas[index], kind, scale, sampling.swap_cutoff)

    def _index_of(self, timestep: float | torch.Tensor) -> int:
        matches = (self.timesteps == torch.as_tensor(timestep, device=self.timesteps.device)).nonzero()
        if len(matches) == 0:
            raise Ani3DError(
                "restoration.timestep",
                f"Timestep {float(timestep):g} is not one of this scheduler's.",
                "Call set_timesteps first and pass one of scheduler.timesteps.",
            )
        return int(matches[0])
