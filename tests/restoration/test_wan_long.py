"""A long shot of an odd size and rate through Wan VACE: every frame back, no seams where windows meet.

The video inside is small, so that it runs in the suite; `python tests/restoration/wan_long.py` takes the full size.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from overheard import Overheard
from tiny_wan_repository import whole_wan_vace
from wan_scene import clip_at, moving_bar, noise_picture, tiny_prior

from ani3d_formats.progress import Progress
from ani3dhuman.clip import CoarseClip, RestoredClip
from ani3dhuman.restoration import RestoreConfig, restore
from ani3dhuman.restoration.wan.prior import WanConditions, WanVacePrior
from ani3dhuman.windows import Windows

FRAMES, WIDTH, HEIGHT, FPS = 200, 333, 517, 23.976
CONFIG = RestoreConfig(schedule_steps=4, overlap=4, seed=1)


@pytest.fixture(scope="module")
def shot() -> tuple[WanVacePrior, CoarseClip, RestoredClip, list[int]]:
    clip = clip_at(FRAMES, WIDTH, HEIGHT, FPS)
    conditions = WanConditions(moving_bar, "a walk", "blur", noise_picture(WIDTH, HEIGHT))
    prior = tiny_prior(conditions, window_frames=33, max_pixels=32 * 48)
    steps: list[int] = []
    progress = Progress("restore", 1, listener=lambda report: steps.append(report.step))
    return prior, clip, restore(prior, clip, CONFIG, progress), steps


def borders_of(prior: WanVacePrior, restored: RestoredClip) -> np.ndarray:
    """Scene frames t whose change to t + 1 lies where a window begins or ends."""
    video_frames = restored.report["video_frames"]
    latents = 1 + (video_frames - 1) // 4
    slices = Windows(latents, prior.window, CONFIG.overlap).slices
    edges = {w.start for w in slices if w.start} | {w.stop for w in slices if w.stop < latents}
    seams = [4 * edge - 3.5 for edge in edges]  # latent k is video frames 4k - 3 to 4k
    return np.unique([int(seam * FPS / 16) + d for seam in seams for d in (-1, 0, 1)])


def test_every_frame_comes_back_at_its_size(shot: tuple) -> None:
    _, _, restored, steps = shot
    assert restored.frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert np.isfinite(restored.frames).all() and np.min(restored.frames) >= 0 and np.max(restored.frames) <= 1
    assert restored.report["video_frames"] == 137  # 134 moments of 1/16 s, and three repeated
    assert restored.report["windows"] == 7
    assert steps[-1] == CONFIG.steps * 7 + FRAMES


def test_windows_leave_no_seam(shot: tuple) -> None:
    """Mean change from frame to frame at the borders of windows, against all other frames."""
    prior, _, restored, _ = shot
    change = np.abs(np.diff(restored.frames, axis=0)).mean((1, 2, 3))
    borders = borders_of(prior, restored)
    inside = np.setdiff1d(np.arange(len(change)), borders)
    assert len(borders) > 20
    assert change[borders].mean() <= change[inside].mean()


def test_it_is_the_prior_that_agrees_and_not_the_measure(shot: tuple) -> None:
    """The same measure finds the seams of windows that are restored one by one and put side by side."""
    prior, clip, _, _ = shot
    parts = [restore(prior, part_of(clip, start), replace(CONFIG, seed=start)).frames for start in (0, 50)]
    glued = np.concatenate(parts)
    change = np.abs(np.diff(glued, axis=0)).mean((1, 2, 3))
    assert change[49] > 1.5 * np.delete(change, 49).mean()


def test_windows_that_disagree_meet_in_the_overlap() -> None:
    """Every second window wants latents 6 lower than its neighbours; a hard cut would jump by about 5.7."""
    clip, pipeline = clip_at(120, 32, 48, FPS), whole_wan_vace()
    prior = tiny_prior(pipeline=pipeline, window_frames=33, guidance=1.0)
    windows = Windows(21, prior.window, CONFIG.overlap)
    calls: list[int] = []

    def lean(module: object, inputs: object, output: tuple) -> tuple:
        calls.append(1)
        return (output[0] + (3.0 if (len(calls) - 1) % len(windows) % 2 == 0 else -3.0),)

    pipeline.transformer.register_forward_hook(lean)
    overheard = Overheard(prior)
    restore(overheard, clip, CONFIG)
    level = overheard.latents.mean((1, 2, 3)).numpy()
    assert np.ptp(level) > 4.5  # both are heard
    change = np.abs(np.diff(level))
    borders = sorted({w.start - 1 for w in windows.slices[1:]} | {w.stop - 1 for w in windows.slices[:-1]})
    assert change[borders].max() <= np.delete(change, borders).max() < 1.5


def part_of(clip: CoarseClip, start: int, frames: int = 50) -> CoarseClip:
    span = slice(start, start + frames)
    cameras = replace(clip.cameras, viewmats=clip.cameras.viewmats[span], Ks=clip.cameras.Ks[span])
    return replace(clip, cameras=cameras, vertices=clip.vertices[span], rigid_vertices=clip.rigid_vertices[span])
