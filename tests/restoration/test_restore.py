"""Sampling in windows: coverage, seams, progress, cancelling; with priors simple enough to know the answer."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress
from ani3dhuman.clip import RestoredClip
from ani3dhuman.restoration import EncodedClip, RestoreConfig, restore
from ani3dhuman.restoration.compact.noise import colour
from ani3dhuman.restoration.sampler.scheduler import SelfGuidedFlowMatchScheduler
from ani3dhuman.windows import Windows, window_slices, window_weights


class ToyPrior:
    """Believes that every latent of the window that starts at frame f should be `belief(f)`; white noise."""

    window = 16

    def __init__(self, belief: Any = lambda start: 1.0) -> None:
        self.belief = belief
        self.calls = 0

    def encode(self, clip: Any, progress: Progress | None = None) -> EncodedClip:
        index = torch.arange(clip.frames, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 4, 4)
        latents = torch.zeros(clip.frames, 2, 4, 4)
        return EncodedClip(latents, torch.zeros(clip.frames, 1, 4, 4), index, key="toy")

    def colour_noise(self, white: torch.Tensor) -> torch.Tensor:
        return white

    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return (latents - self.belief(float(conditions[0, 0, 0, 0]))) / sigma

    def decode(self, clip: Any, encoded: EncodedClip, latents: torch.Tensor, progress: Progress | None) -> RestoredClip:
        for _ in range(clip.frames):
            if progress:
                progress.advance()
        return RestoredClip(latents.numpy(), None, None, {})


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


def test_anchors_stand_before_every_window_and_are_averaged() -> None:
    windows = Windows(frames=20, window=8, overlap=2, anchors=2)
    latents = torch.arange(22.0)[:, None, None, None]
    cuts = [windows.cut(latents, index) for index in range(len(windows))]
    assert all(torch.equal(cut[:2], latents[:2]) and len(cut) == 10 for cut in cuts)
    torch.testing.assert_close(windows.blend(cuts), latents)
    shifted = [torch.cat([cut[:2] + index, cut[2:]]) for index, cut in enumerate(cuts)]
    mean = (len(cuts) - 1) / 2
    torch.testing.assert_close(windows.blend(shifted)[:2], latents[:2] + mean)


class Restless(ToyPrior):
    """Its answer depends on all of a window, and not at all on what came before."""

    def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return torch.sin(3 * latents) + latents.mean() * sigma + 0.01 * conditions


def test_windows_may_be_computed_in_any_order() -> None:
    prior, windows = Restless(), Windows(40, 16, 8)
    latents = torch.randn(40, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    conditions = prior.encode(clip_of(40)).conditions

    def answers(order: list[int]) -> torch.Tensor:
        found = {i: prior.velocity(windows.cut(latents, i), 0.5, windows.cut(conditions, i)) for i in order}
        return windows.blend([found[i] for i in range(len(windows))])

    order = list(range(len(windows)))
    assert torch.equal(answers(order), answers(order[::-1]))


def test_the_noise_of_a_frame_is_the_same_whatever_the_windows() -> None:
    """A prior that says v = 0 leaves nothing but noise, which window length and overlap must not change."""

    class Mute(ToyPrior):
        def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(latents)

    long, short = Mute(), Mute()
    short.window = 5
    kwargs = {"schedule_steps": 10, "guidance_scale": 0.0}
    one = restore(long, clip_of(40), RestoreConfig(**kwargs, overlap=8)).frames
    other = restore(short, clip_of(40), RestoreConfig(**kwargs, overlap=2)).frames
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("stop", [1, 4, 11, 20])
def test_a_stopped_run_goes_on_to_the_same_frames(tmp_path: Path, stop: int) -> None:
    whole = restore(Restless(), clip_of(40), RestoreConfig(seed=3)).frames
    path, prior = tmp_path / "run.safetensors", Restless()
    with pytest.raises(Cancelled):
        progress = Progress("restore", 1, should_cancel=lambda: prior.calls >= stop)
        restore(prior, clip_of(40), RestoreConfig(seed=3), progress, path)
    windows, again, seen = len(window_slices(40, 16, 8)), Restless(), []
    progress = Progress("restore", 1, listener=lambda report: seen.append(report.step))
    resumed = restore(again, clip_of(40), RestoreConfig(seed=3), progress, path).frames
    assert np.array_equal(whole, resumed)
    assert again.calls == 7 * windows - stop // windows * windows  # no finished step is taken twice
    assert seen[-1] == 7 * windows + 40
    assert [file.name for file in tmp_path.iterdir()] == ["run.safetensors"]


def test_a_checkpoint_of_another_run_is_not_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    restore(Restless(), clip_of(20), RestoreConfig(seed=1), None, path)
    for config in (RestoreConfig(seed=2), RestoreConfig(seed=2, guidance_scale=0.2), RestoreConfig(strength=0.5)):
        prior = Restless()
        frames = restore(prior, clip_of(20), config, None, path).frames
        assert prior.calls == config.steps * 2
        assert np.array_equal(frames, restore(Restless(), clip_of(20), config).frames)
    path.write_bytes(b"torn")
    restore(prior := Restless(), clip_of(20), config, None, path)
    assert prior.calls == config.steps * 2


def test_checkpoints_need_a_key(tmp_path: Path) -> None:
    class Keyless(ToyPrior):
        def encode(self, clip: Any, progress: Progress | None = None) -> EncodedClip:
            return replace(super().encode(clip), key="")

    assert len(restore(Keyless(), clip_of(5)).frames) == 5
    with pytest.raises(Ani3DError) as caught:
        restore(Keyless(), clip_of(5), checkpoint=tmp_path / "run.safetensors")
    assert caught.value.code == "restoration.no_key"


def test_nan_names_the_step_and_leaves_the_last_good_one(tmp_path: Path) -> None:
    class Sick(Restless):
        def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
            answer = super().velocity(latents, sigma, conditions)
            if self.calls == 6:
                answer[3, 0, 0, 0] = float("nan")
            return answer

    path = tmp_path / "run.safetensors"
    with pytest.raises(Ani3DError, match="step 3 of 7") as caught:
        restore(Sick(), clip_of(20), RestoreConfig(), None, path)
    assert caught.value.code == "restoration.not_finite" and "holds step 2" in caught.value.message
    prior = Restless()
    frames = restore(prior, clip_of(20), RestoreConfig(), None, path).frames
    assert prior.calls == 5 * 2
    assert np.array_equal(frames, restore(Restless(), clip_of(20), RestoreConfig()).frames)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_out_of_memory_says_what_to_do(error: Exception) -> None:
    class Greedy(ToyPrior):
        def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
            raise error

    with pytest.raises(Ani3DError) as caught:
        restore(Greedy(), clip_of(5))
    assert caught.value.code == "restoration.out_of_memory" and "next lower memory tier" in caught.value.hint


def test_other_errors_pass() -> None:
    class Broken(ToyPrior):
        def velocity(self, latents: torch.Tensor, sigma: float, conditions: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        restore(Broken(), clip_of(5))
