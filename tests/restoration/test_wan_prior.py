"""Wan VACE as a prior: it says what diffusers' own pipeline says, and comes back from any stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_wan_repository import whole_wan_vace, write_repository
from wan_scene import clip_at, moving_bar, noise_picture, tiny_prior, tiny_prompts

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress
from ani3dhuman.clip import CoarseClip
from ani3dhuman.models.shapes import ClipShape
from ani3dhuman.restoration import EncodedClip, RestoreConfig, SelfGuidedFlowMatchScheduler, restore
from ani3dhuman.restoration.wan.apply_memory_plan import apply_plan
from ani3dhuman.restoration.wan.loader import load_wan_prior
from ani3dhuman.restoration.wan.memory import Measure, MemoryPlan
from ani3dhuman.restoration.wan.networks import load_prompt_encoder
from ani3dhuman.restoration.wan.prior import WanConditions, WanOptions, WanVacePrior

QUICK = RestoreConfig(strength=0.7, schedule_steps=3, overlap=1)  # two steps
WIDTH, HEIGHT = 48, 64
REFERENCE = WanConditions(moving_bar, "a walk", "blur", noise_picture(WIDTH, HEIGHT))


@pytest.fixture(scope="module")
def clip() -> CoarseClip:
    """9 frames at Wan's own rate and of a size it takes as it is."""
    return clip_at(9, WIDTH, HEIGHT, 16.0)


@pytest.fixture(scope="module")
def odd() -> CoarseClip:
    """20 frames, which are 17 of Wan's: two windows of 9 frames and more."""
    return clip_at(20, 37, 53, 24.0)


@pytest.fixture(scope="module")
def prior() -> WanVacePrior:
    return tiny_prior(REFERENCE)


@pytest.fixture(scope="module")
def encoded(prior: WanVacePrior, clip: CoarseClip) -> EncodedClip:
    return prior.encode(clip)


@pytest.mark.parametrize("reference", [None, noise_picture(WIDTH, HEIGHT)])
def test_control_latents_are_the_pipelines_own(clip: CoarseClip, reference: np.ndarray | None) -> None:
    pipeline = whole_wan_vace()
    mine = tiny_prior(replace(REFERENCE, reference=reference), pipeline).encode(clip).conditions
    video, mask, pictures = pipeline.preprocess_conditions(
        [Image.fromarray(frame) for frame in moving_bar(clip)],
        None,
        None if reference is None else [Image.fromarray(reference)],
        1, HEIGHT, WIDTH, clip.frames, torch.float32, "cpu",
    )  # fmt: skip
    with torch.no_grad():
        latents = pipeline.prepare_video_latents(video, mask, pictures, None, "cpu")
    theirs = torch.cat([latents, pipeline.prepare_masks(mask, pictures)], 1)[0].transpose(0, 1)
    assert mine.shape == theirs.shape == (3 + (reference is not None), 96, 8, 6)
    assert torch.equal(mine, theirs)


def test_one_window_is_what_the_unmodified_pipeline_makes(
    prior: WanVacePrior, clip: CoarseClip, encoded: EncodedClip
) -> None:
    config = replace(QUICK, guidance_scale=0.3, stochastic=False)
    mine = restore(prior, clip, config).frames
    scheduler = SelfGuidedFlowMatchScheduler(strength=0.7, shift=5.0, guidance_scale=0.3, stochastic_sampling=False)
    pipeline = whole_wan_vace(scheduler)
    scheduler.set_timesteps(config.steps)
    start = scheduler.initial_latents(encoded.latents)  # in the prior's order, as the noise is drawn in it
    scheduler.set_self_guidance(*(t.transpose(0, 1)[None] for t in (encoded.latents, encoded.preserve)))
    positive, negative = prior.embeddings
    assert negative is not None
    theirs = pipeline(
        prompt_embeds=positive, negative_prompt_embeds=negative, latents=start.transpose(0, 1)[None],
        video=[Image.fromarray(frame) for frame in moving_bar(clip)],
        reference_images=[Image.fromarray(noise_picture(WIDTH, HEIGHT))],
        height=HEIGHT, width=WIDTH, num_frames=clip.frames, num_inference_steps=config.steps,
        guidance_scale=5.0, output_type="np",
    ).frames[0]  # fmt: skip
    np.testing.assert_allclose(mine, theirs, atol=2e-5)


def test_the_reference_stands_in_front_and_is_preserved(encoded: EncodedClip, clip: CoarseClip) -> None:
    bare = tiny_prior().encode(clip)
    assert encoded.anchors == 1 and bare.anchors == 0
    assert torch.equal(encoded.latents[1:], bare.latents)
    assert torch.equal(encoded.conditions[1:], bare.conditions)
    assert (encoded.preserve[:1] == 1).all()
    assert torch.equal(encoded.latents[0], encoded.conditions[0, :16])  # the encoded reference, in both
    assert not encoded.conditions[0, 16:].any()
    assert encoded.key != bare.key


def test_guidance(clip: CoarseClip, encoded: EncodedClip) -> None:
    pipeline = whole_wan_vace()

    def velocity(**options: Any) -> torch.Tensor:
        return tiny_prior(REFERENCE, pipeline, **options).velocity(encoded.latents, 0.8, encoded.conditions)

    scaled, batched = velocity(), velocity(batch_guidance=True)
    torch.testing.assert_close(scaled, batched, atol=1e-5, rtol=1e-4)
    swapped = replace(REFERENCE, prompt="blur", negative_prompt="a walk")
    positive = velocity(guidance=1.0)
    negative = tiny_prior(swapped, pipeline, guidance=1.0).velocity(encoded.latents, 0.8, encoded.conditions)
    torch.testing.assert_close(scaled, negative + 5.0 * (positive - negative), atol=1e-5, rtol=1e-4)
    assert (positive - negative).abs().max() > 1e-4


def test_guidance_one_runs_the_network_once(encoded: EncodedClip) -> None:
    calls = []
    prior = tiny_prior(REFERENCE, guidance=1.0)
    prior.models.transformer.register_forward_hook(lambda *_: calls.append(1))
    prior.velocity(encoded.latents, 0.8, encoded.conditions)
    assert len(calls) == 1 and prior.embeddings[1] is None


def test_experts_share_the_noise_levels(encoded: EncodedClip) -> None:
    prior, calls = tiny_prior(REFERENCE, boundary_ratio=0.875), []
    for name in ("transformer", "transformer_2"):
        getattr(prior.models, name).register_forward_hook(lambda *_, name=name: calls.append(name))
    for sigma in (0.95, 0.875, 0.874, 0.2):
        prior.velocity(encoded.latents, sigma, encoded.conditions)
    assert calls == ["transformer"] * 4 + ["transformer_2"] * 4


def test_bfloat16_stays_close(encoded: EncodedClip) -> None:
    exact = tiny_prior(REFERENCE, guidance=1.0)
    pipeline = whole_wan_vace()
    pipeline.transformer.to(torch.bfloat16)
    half = tiny_prior(REFERENCE, pipeline, guidance=1.0)
    one, other = (p.velocity(encoded.latents, 0.8, encoded.conditions) for p in (exact, half))
    assert one.dtype == other.dtype == torch.float32
    assert (one - other).abs().max() < 0.1 * one.std()


def test_the_preserve_mask_is_that_of_the_clip_or_the_one_given(clip: CoarseClip) -> None:
    seen = tiny_prior().encode(clip).preserve
    assert 0 < seen.mean() < 1  # body and face, not ground and skirt
    mask = np.zeros((9, HEIGHT, WIDTH), np.float32)
    mask[6, 20, 30] = 1
    given = tiny_prior(WanConditions(moving_bar, "a walk", preserve=mask)).encode(clip).preserve
    assert given.sum() == 1 and given[2, 0, 2, 3] == 1
    with pytest.raises(Ani3DError) as caught:
        tiny_prior(WanConditions(moving_bar, "a walk", preserve=mask[:, :-1])).encode(clip)
    assert caught.value.code == "restoration.mask_size"


@pytest.mark.parametrize("shape", [(8, HEIGHT, WIDTH, 3), (9, HEIGHT, WIDTH - 1, 3), (9, HEIGHT, WIDTH)])
def test_a_control_video_that_does_not_fit_is_refused(clip: CoarseClip, shape: tuple) -> None:
    with pytest.raises(Ani3DError) as caught:
        tiny_prior(WanConditions(np.zeros(shape, np.uint8), "a walk")).encode(clip)
    assert caught.value.code == "restoration.control_size"


def test_options_are_checked() -> None:
    for options, code in (({"window_frames": 80}, "restoration.window"), ({"guidance": 0.5}, "restoration.guidance")):
        with pytest.raises(Ani3DError) as caught:
            WanOptions(**options)
        assert caught.value.code == code
    assert tiny_prior().window == 21


def test_a_loaded_repository_restores_as_the_pipeline_it_was_saved_from(tmp_path: Path, clip: CoarseClip) -> None:
    pipeline = write_repository(tmp_path / "model")
    prompts = load_prompt_encoder(tmp_path / "model", dtype=torch.float32, max_tokens=24)
    loaded = load_wan_prior(tmp_path / "model", conditions=REFERENCE, prompts=prompts, dtype=torch.float32)
    assert np.array_equal(
        restore(loaded, clip, QUICK).frames, restore(tiny_prior(REFERENCE, pipeline), clip, QUICK).frames
    )


def test_memory_plans_apply(tmp_path: Path, encoded: EncodedClip) -> None:
    """Weights in float8, cast layer by layer: the prior still feeds the network in the precision it computes in."""
    write_repository(tmp_path / "model")
    measures = (Measure.TEXT_FIRST, Measure.VAE_TILING, Measure.FP8_WEIGHTS)
    plan = MemoryPlan("tiny", ClipShape(WIDTH, HEIGHT, 9), "cpu", 1.0, 2, measures, {}, 0.0)
    lean = load_wan_prior(
        tmp_path / "model", conditions=REFERENCE, prompts=tiny_prompts(), dtype=torch.float32,
        place=lambda models: apply_plan(models, plan),
    )  # fmt: skip
    assert lean.models.transformer.blocks[0].ffn.net[2].weight.dtype == torch.float8_e4m3fn
    assert lean.models.vae.use_tiling
    one, other = (p.velocity(encoded.latents, 0.8, encoded.conditions) for p in (tiny_prior(REFERENCE), lean))
    assert 0 < (one - other).abs().mean() < 0.3 * one.std()


def test_odd_sizes_and_rates_come_back_and_a_seed_repeats(odd: CoarseClip) -> None:
    prior = tiny_prior(replace(REFERENCE, reference=noise_picture(37, 53)), window_frames=9)
    one = restore(prior, odd, QUICK)
    assert one.frames.shape == (20, 53, 37, 3) and one.frames.dtype == np.float32
    assert np.min(one.frames) >= 0 and np.max(one.frames) <= 1
    assert one.report["windows"] == 2 and one.report["video_frames"] == 17 and one.report["video_fps"] == 16
    again = restore(tiny_prior(replace(REFERENCE, reference=noise_picture(37, 53)), window_frames=9), odd, QUICK)
    assert np.array_equal(one.frames, again.frames)
    assert not np.allclose(one.frames, restore(prior, odd, replace(QUICK, seed=1)).frames, atol=1e-3)


def test_a_cancelled_run_goes_on_to_the_same_frames(odd: CoarseClip, tmp_path: Path) -> None:
    prior = tiny_prior(window_frames=9)
    whole, calls = restore(prior, odd, QUICK).frames, []
    hook = prior.models.transformer.register_forward_hook(lambda *_: calls.append(1))
    path = tmp_path / "run.safetensors"
    with pytest.raises(Cancelled):  # in the second step
        restore(prior, odd, QUICK, Progress("restore", 1, should_cancel=lambda: len(calls) >= 6), path)
    assert len(calls) == 6  # two passes for each of the first step's two windows, and one window more
    assert np.array_equal(restore(prior, odd, QUICK, None, path).frames, whole)
    assert len(calls) == 6 + 4
    hook.remove()


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_the_vae_can_be_cancelled(clip: CoarseClip, part: str) -> None:
    prior, calls = tiny_prior(), []
    hook = getattr(prior.models.vae, part).register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(Cancelled):
        restore(prior, clip, QUICK, Progress("restore", 1, should_cancel=lambda: len(calls) >= 2))
    assert len(calls) == 2
    hook.remove()
    assert np.array_equal(restore(prior, clip, QUICK).frames, restore(tiny_prior(), clip, QUICK).frames)


def test_nan_is_an_error(clip: CoarseClip) -> None:
    pipeline = whole_wan_vace()
    with torch.no_grad():
        pipeline.transformer.proj_out.bias[0] = float("nan")
    with pytest.raises(Ani3DError, match="step 1 of 2") as caught:
        restore(tiny_prior(pipeline=pipeline), clip, QUICK)
    assert caught.value.code == "restoration.not_finite"
