"""Restoration of a coarse clip: self-guided stochastic sampling over overlapping windows of any prior."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..errors import Ani3DError
from ..progress import Progress
from .clip import CoarseClip, RestoredClip
from .prior import VideoPrior
from .scheduler import SelfGuidedFlowMatchScheduler


@dataclass(frozen=True)
class RestoreConfig:
    """How to sample.

    Attributes:
        strength: how far towards pure noise the clip is taken, in (0, 1].
        schedule_steps: steps of the whole schedule; strength takes its share of them, at least one.
        guidance_scale: s, the pull of preserved regions towards the coarse clip.
        shift: of the noise levels.
        stochastic: fresh noise at each step; False is the deterministic ablation.
        overlap: latent frames shared by neighbouring windows.
        seed: of the noise.
    """

    strength: float = 0.7
    schedule_steps: int = 10
    guidance_scale: float = 0.05
    shift: float = 5.0
    stochastic: bool = True
    overlap: int = 8
    seed: int = 0

    @property
    def steps(self) -> int:
        """Steps that are taken (METHOD of the paper: int(10 * 0.7) = 7)."""
        return max(1, int(self.schedule_steps * self.strength + 1e-9))


def window_slices(frames: int, window: int, overlap: int) -> list[slice]:
    """Windows of `window` frames that cover a clip, neighbours sharing at least `overlap`; a short clip is one."""
    if not 0 <= overlap < window:
        raise Ani3DError(
            "restoration.overlap",
            f"Windows of {window} frames cannot overlap by {overlap}.",
            f"Use an overlap of 0 to {window - 1}.",
        )
    if frames <= window:
        return [slice(0, frames)]
    count = -(-(frames - overlap) // (window - overlap))
    starts = [round(i * (frames - window) / (count - 1)) for i in range(count)]
    return [slice(start, start + window) for start in starts]


def window_weights(frames: int, windows: list[slice]) -> list[torch.Tensor]:
    """Blending weights (W,1,1,1) of each window: a tent that falls to its ends, all together 1 on every frame."""
    tents = []
    total = torch.zeros(frames)
    for window in windows:
        length = window.stop - window.start
        position = torch.arange(length) + 0.5
        tent = torch.minimum(position, length - position) / length
        tents.append(tent)
        total[window] += tent
    return [(tent / total[window])[:, None, None, None] for tent, window in zip(tents, windows, strict=True)]


@torch.no_grad()
def restore(
    prior: VideoPrior, clip: CoarseClip, config: RestoreConfig | None = None, progress: Progress | None = None
) -> RestoredClip:
    """Restore a coarse clip of any length.

    At every noise level each window predicts its clean latents; predictions are blended where windows
    overlap, and one step is taken for the whole clip. Windows so agree at each level and leave no seam.

    Args:
        prior: the model.
        clip: what rigid and physics layers gave.
        config: sampling.
        progress: its total is set here; advanced once a window and level, then once a decoded frame, and raises
            `Cancelled` there.

    Returns:
        The restored clip; its report holds the sampling figures beside the prior's own.
    """
    config = config or RestoreConfig()
    scheduler = SelfGuidedFlowMatchScheduler(
        shift=config.shift,
        strength=config.strength,
        guidance_scale=config.guidance_scale,
        stochastic_sampling=config.stochastic,
        seed=config.seed,
    )
    encoded = prior.encode(clip)
    windows = window_slices(len(encoded.latents), prior.window, config.overlap)
    weights = window_weights(len(encoded.latents), windows)
    scheduler.set_timesteps(config.steps)
    scheduler.set_noise_filter(prior.colour_noise)
    scheduler.set_self_guidance(encoded.latents, encoded.preserve)
    latents = scheduler.initial_latents(encoded.latents)
    if progress:
        progress.total = config.steps * len(windows) + clip.frames
    for sigma, timestep in zip(scheduler.sigmas.tolist(), scheduler.timesteps, strict=False):
        clean = torch.zeros_like(latents)
        for window, weight in zip(windows, weights, strict=True):
            noisy = latents[window]
            velocity = prior.velocity(noisy, sigma, encoded.conditions[window])
            clean[window] += weight * (noisy - sigma * velocity)
            if progress:
                progress.advance()
        latents = scheduler.step((latents - clean) / sigma, timestep, latents).prev_sample
    restored = prior.decode(clip, encoded, latents, progress)
    sampling = {"steps": config.steps, "windows": len(windows), "strength": config.strength, "seed": config.seed}
    return replace(restored, report={**sampling, **restored.report})
