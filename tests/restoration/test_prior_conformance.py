"""What `restore` relies on, held against every prior: a new one joins by one line in `PRIORS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from overheard import Overheard
from small_clip import small_clip
from tiny_ltx_repository import tiny_ltx
from wan_scene import clip_at, moving_bar, noise_picture, tiny_prior

from ani3d_formats.progress import Progress
from ani3dhuman.clip import CoarseClip
from ani3dhuman.restoration import (
    EncodedClip,
    RestoreConfig,
    SelfGuidedFlowMatchScheduler,
    VideoPrior,
    load_compact_prior,
    restore,
)
from ani3dhuman.restoration.wan.prior import WanConditions
from ani3dhuman.windows import Windows

WITH_REFERENCE = WanConditions(moving_bar, "a walk", "blur", noise_picture(37, 53))
PRIORS: dict[str, tuple[Callable[[], VideoPrior], Callable[[], CoarseClip]]] = {
    "compact": (load_compact_prior, lambda: small_clip(frames=18, gaussians=800)),
    "wan": (lambda: tiny_prior(window_frames=9), lambda: clip_at(20, 37, 53, 24.0)),
    "wan with a reference": (lambda: tiny_prior(WITH_REFERENCE, window_frames=9), lambda: clip_at(20, 37, 53, 24.0)),
    "wan with two experts": (
        lambda: tiny_prior(window_frames=9, boundary_ratio=0.8),
        lambda: clip_at(20, 37, 53, 24.0),
    ),
    "ltx": (lambda: tiny_ltx(window_frames=17), lambda: clip_at(20, 37, 53, 24.0)),
}
CONFIG = RestoreConfig(schedule_steps=3, overlap=1, seed=5)


@dataclass
class Case:
    make: Callable[[], VideoPrior]
    prior: VideoPrior
    clip: CoarseClip
    encoded: EncodedClip

    @property
    def windows(self) -> Windows:
        frames = len(self.encoded.latents) - self.encoded.anchors
        return Windows(frames, self.prior.window, CONFIG.overlap, self.encoded.anchors)


@pytest.fixture(scope="module", params=PRIORS)
def case(request: pytest.FixtureRequest) -> Case:
    make, clip_of = PRIORS[request.param]
    prior, clip = make(), clip_of()
    return Case(make, prior, clip, prior.encode(clip))


def test_encoding_has_its_shapes(case: Case) -> None:
    encoded = case.encoded
    frames, channels, rows, columns = encoded.latents.shape
    assert channels > 0 and encoded.preserve.shape == (frames, 1, rows, columns)
    assert encoded.conditions.shape[0] == frames and encoded.conditions.shape[2:] == (rows, columns)
    for tensor in (encoded.latents, encoded.preserve, encoded.conditions):
        assert tensor.dtype == torch.float32 and tensor.device.type == "cpu" and torch.isfinite(tensor).all()
    assert encoded.preserve.min() >= 0 and encoded.preserve.max() <= 1
    assert 0 <= encoded.anchors < frames and case.prior.window >= 1 and len(case.windows) > 1


def test_encoding_repeats_and_its_key_follows_the_clip(case: Case) -> None:
    again = case.make().encode(case.clip)
    assert torch.equal(again.latents, case.encoded.latents) and torch.equal(again.conditions, case.encoded.conditions)
    assert again.key == case.encoded.key != ""
    moved = replace(case.clip, vertices=case.clip.vertices + np.float32(0.05))
    assert case.prior.encode(moved).key != case.encoded.key


def test_noise_keeps_shape_and_variance(case: Case) -> None:
    white = torch.randn(64, *case.encoded.latents.shape[1:], generator=torch.Generator().manual_seed(0))
    noise = case.prior.colour_noise(white)
    assert noise.shape == white.shape and float(noise.var()) == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize("sigma", [0.95, 0.7, 0.2])
def test_velocity_depends_on_its_arguments_alone(case: Case, sigma: float) -> None:
    def velocity(index: int) -> torch.Tensor:
        noisy = case.windows.cut(case.encoded.latents, index) + 0.5
        return case.prior.velocity(noisy, sigma, case.windows.cut(case.encoded.conditions, index))

    first, other, again = velocity(0), velocity(1), velocity(0)
    assert torch.equal(first, again) and first.dtype == torch.float32 and first.device.type == "cpu"
    assert first.shape == case.windows.cut(case.encoded.latents, 0).shape and torch.isfinite(first).all()
    assert not torch.equal(first, other)


def test_velocity_leaves_its_arguments_alone(case: Case) -> None:
    noisy, conditions = (case.windows.cut(t, 0).clone() for t in (case.encoded.latents, case.encoded.conditions))
    kept = noisy.clone(), conditions.clone()
    case.prior.velocity(noisy, 0.7, conditions)
    assert torch.equal(noisy, kept[0]) and torch.equal(conditions, kept[1])


def test_preserved_latents_hardly_leave_the_coarse_clip(case: Case) -> None:
    """At s = 1 the last step leaves sigma of the way to what the prior wants."""

    def distance(scale: float) -> float:
        prior = Overheard(case.prior)
        restore(prior, case.clip, replace(CONFIG, guidance_scale=scale))
        kept = (case.encoded.preserve > 0.99).expand_as(prior.latents)
        assert kept.any()
        return float((prior.latents - case.encoded.latents)[kept].abs().mean())

    scheduler = SelfGuidedFlowMatchScheduler(strength=CONFIG.strength, shift=CONFIG.shift)
    scheduler.set_timesteps(CONFIG.steps)
    assert distance(1.0) <= (float(scheduler.sigmas[-2]) + 0.1) * distance(0.0) + 1e-6


def test_decoding_gives_the_clips_frames_and_counts_them(case: Case) -> None:
    steps = []
    progress = Progress("restore", 10**6, listener=lambda report: steps.append(report.step))
    restored = case.prior.decode(case.clip, case.encoded, case.encoded.latents, progress)
    size = (case.clip.frames, case.clip.cameras.height, case.clip.cameras.width)
    assert restored.frames.shape == (*size, 3) and restored.frames.dtype == np.float32
    assert np.min(restored.frames) >= 0 and np.max(restored.frames) <= 1
    assert restored.alphas is None or restored.alphas.shape == size
    assert restored.vertices is None or restored.vertices.shape == case.clip.vertices.shape
    assert steps[-1] == case.clip.frames


def test_a_seed_repeats_with_and_without_a_checkpoint(case: Case, tmp_path: Path) -> None:
    one = restore(case.prior, case.clip, CONFIG)
    path = tmp_path / "run.safetensors"
    for _ in range(2):  # written, then taken up when all steps are done
        again = restore(case.make(), case.clip, CONFIG, None, path)
        assert np.array_equal(one.frames, again.frames) and again.report == one.report


@pytest.mark.parametrize("frames", [1, 2])
def test_short_clips(case: Case, frames: int) -> None:
    long = case.clip
    cameras = replace(long.cameras, viewmats=long.cameras.viewmats[:frames], Ks=long.cameras.Ks[:frames])
    clip = replace(long, cameras=cameras, vertices=long.vertices[:frames], rigid_vertices=long.rigid_vertices[:frames])
    assert len(restore(case.prior, clip, CONFIG).frames) == frames
