"""Self-guided stochastic sampling as a diffusers scheduler."""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteSchedulerOutput

from .correction import Correction
from .self_guided import TRAIN_TIMESTEPS, SamplerConfig, SelfGuidedSampler


class SelfGuidedFlowMatchScheduler(SelfGuidedSampler, SchedulerMixin, ConfigMixin):
    """Steps through a pipeline's denoising loop by self-guided stochastic sampling.

    Runs in unmodified diffusers pipelines: give them `initial_latents(...)` as `latents=`. Arguments and errors are
    those of `SamplerConfig`.
    """

    order = 1

    @register_to_config
    def __init__(
        self,
        shift: float = 5.0,
        strength: float = 0.7,
        guidance_scale: float = 0.05,
        stochastic_sampling: bool = True,
        seed: int = 0,
        correction: Correction = "pull",
        correction_every: int = 1,
        swap_cutoff: float = 0.125,
    ) -> None:
        super().__init__(
            SamplerConfig(
                shift=shift,
                strength=strength,
                guidance_scale=guidance_scale,
                stochastic_sampling=stochastic_sampling,
                seed=seed,
                correction=correction,
                correction_every=correction_every,
                swap_cutoff=swap_cutoff,
            )
        )
        self.register_to_config(num_train_timesteps=TRAIN_TIMESTEPS)  # diffusers' pipelines look for it
        self.init_noise_sigma = 1.0

    def step(
        self,
        model_output: torch.Tensor,
        timestep: float | torch.Tensor,
        sample: torch.Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> FlowMatchEulerDiscreteSchedulerOutput | tuple[torch.Tensor]:
        """`next_sample` as `prev_sample`, or alone in a tuple."""
        previous = self.next_sample(model_output, timestep, sample, generator)
        if not return_dict:
            return (previous,)
        return FlowMatchEulerDiscreteSchedulerOutput(previous)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return TRAIN_TIMESTEPS
