"""Restoration of a coarse clip: self-guided stochastic sampling over overlapping windows of any prior."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ..clip import CoarseClip, RestoredClip
from ..spread import over
from ..storage.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from ..windows import Windows
from .prior import EncodedClip, VideoPrior
from .sampler.correction import Correction
from .sampler.self_guided import SamplerConfig, SelfGuidedSampler

OUT_OF_MEMORY = "restoration.out_of_memory"  # code of that error
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")  # of CUDA, MPS and CPU allocators


@dataclass(frozen=True)
class RestoreConfig:
    """How to sample.

    Attributes:
        strength: how far towards pure noise the clip is taken, in (0, 1].
        schedule_steps: steps of the whole schedule; strength takes its share of them, at least one.
        guidance_scale: s, the pull of preserved regions towards the coarse clip.
        shift: of the noise levels.
        stochastic: fresh noise at each step; False is the deterministic ablation.
        correction, correction_every, swap_cutoff: how preserved regions are drawn to the coarse clip, and at which
            steps; see `SelfGuidedFlowMatchScheduler`.
        overlap: latent frames shared by neighbouring windows.
        seed: of the noise.
    """

    strength: float = 0.7
    schedule_steps: int = 10
    guidance_scale: float = 0.05
    shift: float = 5.0
    stochastic: bool = True
    correction: Correction = "pull"
    correction_every: int = 1
    swap_cutoff: float = 0.125
    overlap: int = 8
    seed: int = 0

    @property
    def steps(self) -> int:
        """Steps that are taken (METHOD of the paper: int(10 * 0.7) = 7)."""
        return max(1, int(self.schedule_steps * self.strength + 1e-9))


@dataclass(frozen=True)
class _Run:
    """What a checkpoint is valid for, besides the configuration."""

    key: str
    shape: tuple[int, ...]
    window: int
    anchors: int


@torch.no_grad()
def restore(
    prior: VideoPrior,
    clip: CoarseClip,
    config: RestoreConfig | None = None,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> RestoredClip:
    """Restore a coarse clip of any length.

    At every noise level each window predicts its clean latents; predictions are blended where windows
    overlap, and one step is taken for the whole clip. Windows so agree at each level and leave no seam. Noise is
    drawn for the whole clip from the seed, so windows may come in any order.

    Args:
        prior: the model.
        clip: what rigid and physics layers gave.
        config: sampling.
        progress: its total is set here; advanced once a window and level, then once a decoded frame, and raises
            `Cancelled` there.
        checkpoint: file that holds the last finished step. A later call with the same prior, clip and configuration
            goes on from it, to the same result bit for bit (on a GPU as far as its kernels repeat
            themselves); one of another run, or a damaged one, is overwritten. It stays when all is done.

    Returns:
        The restored clip; its report holds the sampling figures beside the prior's own.

    Raises:
        Ani3DError: ``restoration.not_finite``: the prior answered with NaN or infinity, the checkpoint keeps the step
            before; ``restoration.out_of_memory``; ``restoration.no_key``: this prior has no checkpoints;
            ``restoration.overlap``; and what the prior raises.
    """
    config = config or RestoreConfig()
    with memory_reported():
        encoded = prior.encode(clip, progress)
        windows = Windows(len(encoded.latents) - encoded.anchors, prior.window, config.overlap, encoded.anchors)
        if progress:
            progress.total = config.steps * len(windows) + clip.frames
        latents = sample_latents(prior, encoded, windows, config, progress, checkpoint)
        restored = prior.decode(clip, encoded, latents, progress)
    sampling = {"steps": config.steps, "windows": len(windows), "strength": config.strength, "seed": config.seed}
    return replace(restored, report={**sampling, **restored.report})


def sample_latents(
    prior: VideoPrior,
    encoded: EncodedClip,
    windows: Windows,
    config: RestoreConfig,
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> torch.Tensor:
    """Clean latents (A+T',C,h,w), the clip's way through all noise levels."""
    sampling = SamplerConfig(
        shift=config.shift,
        strength=config.strength,
        guidance_scale=config.guidance_scale,
        stochastic_sampling=config.stochastic,
        correction=config.correction,
        correction_every=config.correction_every,
        swap_cutoff=config.swap_cutoff,
        seed=config.seed,
    )
    sampler = SelfGuidedSampler(sampling)
    sampler.set_timesteps(config.steps)
    sampler.set_noise_filter(prior.colour_noise)
    sampler.set_self_guidance(encoded.latents, encoded.preserve)
    latents = sampler.initial_latents(encoded.latents)
    generator = torch.Generator().manual_seed(config.seed)
    mark = _mark(prior, encoded, config) if checkpoint else ""
    begin = 0
    if checkpoint and (found := load_checkpoint(checkpoint, mark)):
        tensors, notes = found
        latents, begin = tensors["latents"], notes["step"]
        generator.set_state(tensors["generator"])
        if progress and begin:
            progress.advance(begin * len(windows), f"going on after step {begin}")
    sampler.set_begin_index(begin)
    for step in range(begin, config.steps):
        sigma = float(sampler.sigmas[step])
        cuts = []
        parts = ((windows.cut(latents, i), sigma, windows.cut(encoded.conditions, i)) for i in range(len(windows)))
        # Without a key the network keeps something from step to step, which copies of it elsewhere would not.
        made = over(_window, prior, parts) if encoded.key else (_window(prior, part, None) for part in parts)
        for index, cut in enumerate(made):
            cuts.append(cut)
            if progress and index + 1 < len(windows):  # the last one counts when the step is safe on disk
                progress.advance()
        clean = windows.blend(cuts)
        if not torch.isfinite(clean).all():
            raise _not_finite_error(step, config, checkpoint)
        velocity = (latents - clean) / sigma
        moment = sampler.timesteps[step]
        latents = sampler.next_sample(velocity, moment, latents, generator)
        if checkpoint:
            tensors = {"latents": latents, "generator": generator.get_state()}
            save_checkpoint(checkpoint, mark, tensors, {"step": step + 1})
        if progress:
            progress.advance()
    return latents


def _window(prior: VideoPrior, part: tuple[torch.Tensor, float, torch.Tensor], _: Progress | None) -> torch.Tensor:
    """The clean latents that a window predicts at a noise level, from its noisy ones and conditions."""
    noisy, sigma, conditions = part
    return noisy - sigma * prior.velocity(noisy, sigma, conditions)


def _mark(prior: VideoPrior, encoded: EncodedClip, config: RestoreConfig) -> str:
    if not encoded.key:
        raise Ani3DError(
            "restoration.no_key",
            "This prior does not say what its results depend on, so they cannot be continued.",
            "Restore without a checkpoint, or let the prior's encode() fill in EncodedClip.key.",
        )
    run = _Run(encoded.key, tuple(encoded.latents.shape), prior.window, encoded.anchors)
    return fingerprint(run, config)


def _not_finite_error(step: int, config: RestoreConfig, checkpoint: Path | None) -> Ani3DError:
    kept = f" The checkpoint holds step {step}." if checkpoint and step else ""
    return Ani3DError(
        "restoration.not_finite",
        f"The prior answered with NaN or infinity in step {step + 1} of {config.steps}.{kept}",
        "Run the transformer in bfloat16 or float32 instead of float16, and verify the model's files.",
    )


@contextmanager
def memory_reported() -> Iterator[None]:
    """Turn "out of memory", on the GPU or not, into an error that says what to do; other errors pass through."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and not any(words in text for words in NO_MEMORY):
            raise
        raise Ani3DError(
            OUT_OF_MEMORY,
            "The memory ran out while the clip was restored.",
            "Take the next lower memory tier, a smaller picture, or shorter windows.",
        ) from error
