"""Sampling in windows: coverage, seams, progress, cancelling; with priors simple enough to know the answer."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ani3dhuman.errors import Ani3DError, Cancelled
from ani3dhuman.progress import Progress
from ani3dhuman.restoration import EncodedClip, RestoreConfig, RestoredClip, restore
from ani3dhuman.restoration.noise import colour
from ani3dhuman.restoration.restore import window_slices, window_weights
from ani3dhuman.restoration.scheduler import SelfGuidedFlowMatchScheduler


class ToyPrior:
    """Believes that every latent of the window that starts at frame f should be `belief(f)`; white noise."""

    window = 16

    def __init__(self, belief: Any = lambda start: 1.0) -> None:
        self.belief = belief
        self.calls = 0

    def encode(self, clip: Any) -> EncodedClip:
        index = torch.arange(clip.frames, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 4, 4)
        latents = torch.zeros(clip.frames, 2, 4, 4)
        return EncodedClip(latents, torch.zeros(clip.frames, 1, 4, 4), index)

    def colour_noise(self, white: torch.Tensor) -> torch.Tensor:
        return white

    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return (latents - self.belief(float(conditions[0, 0, 0, 0]))) / sigma

    def decode(self, clip: Any, encoded: EncodedClip, latents: torch.Tensor, progress: Progress | None) -> RestoredClip:
        for _ in range(clip.frames):
            if progress:
                progress.advance()
        return RestoredClip(latents.numpy(), None, None, None, {})


def clip_of(frames: int) -> Any:
    return SimpleNamespace(frames=frames)


@pytest.mark.parametrize("frames, overlap", [(5, 8), (16, 8), (17, 8), (48, 8), (81, 4), (40, 0)])
def test_windows_cover_the_clip_and_weigh_one(frames: int, overlap: int) -> None:
    windows = window_slices(frames, 16, overlap)
    assert windows[0].start == 0 and windows[-1].stop == frames
    for a, b in pairwise(windows):
        assert b.start > a.start and a.stop - b.start >= overlap
    total = torch.zeros(frames)
    for window, weight in zip(windows, window_weights(frames, windows), strict=True):
        assert (weight > 0).all()
        total[window] += weight.flatten()
    torch.testing.assert_close(total, torch.ones(frames))


def test_overlap_must_leave_room_to_advance() -> None:
    with pytest.raises(Ani3DError) as caught:
        window_slices(48, 16, 16)
    assert caught.value.code == "restoration.overlap"


def test_one_window_is_plain_sampling() -> None:
    class Gaussian(ToyPrior):
        def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
            surprise = (latents - (1 - sigma) * 0.5) / (0.04 * (1 - sigma) ** 2 + sigma**2)
            return sigma * surprise - (0.5 + (1 - sigma) * 0.04 * surprise)

    config = RestoreConfig(strength=0.7, schedule_steps=10, seed=4)
    restored = restore(Gaussian(), clip_of(12), config).frames

    scheduler = SelfGuidedFlowMatchScheduler(seed=4)
    scheduler.set_timesteps(config.steps)
    init = torch.zeros(12, 2, 4, 4)
    scheduler.set_self_guidance(init, torch.zeros(12, 1, 4, 4))
    z = scheduler.initial_latents(init)
    for i, t in enumerate(scheduler.timesteps):
        z = scheduler.step(Gaussian().velocity(z, float(scheduler.sigmas[i]), init), t, z).prev_sample
    np.testing.assert_allclose(restored, z.numpy(), atol=1e-5)


def test_windows_that_disagree_leave_no_seam() -> None:
    """Neighbours that believe -1 and +1: the change is spread over the overlap, no jump at a border."""
    beliefs: dict[float, float] = {}

    def alternating(start: float) -> float:
        return beliefs.setdefault(start, 1.0 if len(beliefs) % 2 else -1.0)

    frames = restore(ToyPrior(alternating), clip_of(48), RestoreConfig(overlap=8)).frames
    assert np.ptp(frames) > 1.5  # the two beliefs are both there
    change = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    windows = window_slices(48, 16, 8)
    borders = sorted({w.start - 1 for w in windows if w.start} | {w.stop - 1 for w in windows if w.stop < 48})
    inside = np.setdiff1d(np.arange(47), borders)
    assert change[borders].max() <= change[inside].max() + 1e-6
    assert change.max() < 2 / 7  # a hard cut would change by 2


def test_progress_ends_at_its_total() -> None:
    seen: list[tuple[int, int]] = []
    progress = Progress("restore", 1, listener=lambda r: seen.append((r.step, r.total)))
    prior = ToyPrior()
    restore(prior, clip_of(40), RestoreConfig(), progress)
    assert prior.calls == 7 * len(window_slices(40, 16, 8))
    assert seen[-1] == (prior.calls + 40, prior.calls + 40)
    assert [s for s, _ in seen] == list(range(1, len(seen) + 1))


def test_cancel_stops_within_one_step() -> None:
    prior = ToyPrior()
    progress = Progress("restore", 1, should_cancel=lambda: prior.calls >= 3)
    with pytest.raises(Cancelled):
        restore(prior, clip_of(48), RestoreConfig(), progress)
    assert prior.calls == 3


def test_strength_takes_its_share_of_the_schedule() -> None:
    assert RestoreConfig(strength=0.7, schedule_steps=10).steps == 7
    assert RestoreConfig(strength=0.05, schedule_steps=10).steps == 1
    assert RestoreConfig(strength=1.0, schedule_steps=10).steps == 10


def test_coloured_noise_has_unit_variance_and_reaches_far() -> None:
    noise = colour(torch.randn(200, 1, 1, 16, 1, 64, 48, generator=torch.Generator().manual_seed(0))[:, 0])
    assert float(noise.var()) == pytest.approx(1.0, abs=0.1)
    beside = (noise[..., :-1] * noise[..., 1:]).mean() / noise.var()
    later = (noise[:, :, :-1] * noise[:, :, 1:]).mean() / noise.var()
    assert float(beside) > 0.6 and float(later) > 0.6
