"""The sampler inside unmodified diffusers pipelines: Wan, Wan with two experts, Wan-VACE, Wan video to video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ModelMixin
from PIL import Image
from tiny_wan import TEXT_DIM, encode, tiny_wan, tiny_wan_vace, tiny_wan_video_to_video

from ani3dhuman.restoration.conditions.latent_mask import with_reference_frames
from ani3dhuman.restoration.sampler.scheduler import SelfGuidedFlowMatchScheduler

FRAMES, HEIGHT, WIDTH, STEPS = 5, 32, 48, 3
TIMESTEPS = [921.05, 813.95, 603.45]  # strength 0.7, shift 5: 0.7, 0.4667 and 0.2333 of the way, shifted
CORRECTIONS = [{}, {"correction": "swap"}, {"correction": "match", "correction_every": 2}]


def pictures(seed: int) -> list[Image.Image]:
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)) for _ in range(FRAMES)]


def prompts() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    names = ("prompt_embeds", "negative_prompt_embeds")
    return {name: torch.randn(1, 16, TEXT_DIM, generator=generator) for name in names}


@contextmanager
def calls_of(models: dict[str, ModelMixin]) -> Iterator[list[tuple[str, float, torch.Tensor, torch.Tensor]]]:
    """Records (name, timestep, input, output) of each forward call."""
    calls: list = []
    handles = []
    for name, model in models.items():

        def remember(module: Any, args: Any, kwargs: dict, output: tuple, name: str = name) -> None:
            calls.append((name, float(kwargs["timestep"][0]), kwargs["hidden_states"].clone(), output[0].clone()))

        handles.append(model.register_forward_hook(remember, with_kwargs=True))
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def replay(
    scheduler: SelfGuidedFlowMatchScheduler, calls: list, init: torch.Tensor, mask: torch.Tensor | None
) -> list[torch.Tensor]:
    """The scheduler's own samples, stepped by hand with the velocities that the pipeline's models gave."""
    by_hand = SelfGuidedFlowMatchScheduler.from_config(scheduler.config)
    by_hand.set_timesteps(STEPS)
    by_hand.set_self_guidance(init, mask)
    z = calls[0][2]
    samples = [z]
    for i, t in enumerate(by_hand.timesteps):
        positive, negative = calls[2 * i][3], calls[2 * i + 1][3]
        z = by_hand.step(negative + 5.0 * (positive - negative), t, z).prev_sample
        samples.append(z)
    return samples


@pytest.mark.parametrize("options", CORRECTIONS)
@pytest.mark.parametrize("boundary", [None, 0.8])
def test_text_to_video_with_one_expert_and_with_two(options: dict, boundary: float | None) -> None:
    scheduler = SelfGuidedFlowMatchScheduler(guidance_scale=0.5, **options)
    pipeline = tiny_wan(scheduler, boundary_ratio=boundary)
    init = encode(pipeline.vae, torch.rand(1, 3, FRAMES, HEIGHT, WIDTH) * 2 - 1)
    mask = torch.zeros(1, 1, *init.shape[2:])
    mask[..., :3] = 1
    scheduler.set_timesteps(STEPS)
    scheduler.set_self_guidance(init, mask)
    models = {"high": pipeline.transformer}
    if boundary is not None:
        models["low"] = pipeline.transformer_2
    with calls_of(models) as calls:
        latents = pipeline(
            **prompts(), height=HEIGHT, width=WIDTH, num_frames=FRAMES, num_inference_steps=STEPS,
            guidance_scale=5.0, latents=scheduler.initial_latents(init), output_type="latent",
        ).frames  # fmt: skip
    low = "high" if boundary is None else "low"
    assert [call[0] for call in calls] == ["high"] * 4 + [low] * 2
    np.testing.assert_allclose([call[1] for call in calls[::2]], scheduler.timesteps.numpy())
    np.testing.assert_allclose(scheduler.timesteps.numpy(), TIMESTEPS, atol=0.01)
    samples = replay(scheduler, calls, init, mask)
    for i in range(STEPS):
        assert torch.equal(calls[2 * i][2], samples[i])
    assert torch.equal(latents, samples[-1])
    assert not torch.allclose(samples[-1], replay(scheduler, calls, init, torch.zeros(1))[-1], atol=1e-3)


@pytest.mark.parametrize("options", CORRECTIONS)
@pytest.mark.parametrize("boundary", [None, 0.8])
def test_vace_with_a_reference_picture_in_front(options: dict, boundary: float | None) -> None:
    scheduler = SelfGuidedFlowMatchScheduler(guidance_scale=0.5, **options)
    pipeline = tiny_wan_vace(scheduler, boundary_ratio=boundary)
    reference_picture = pictures(7)[0]
    pixels = torch.from_numpy(np.array(reference_picture)).float() / 127.5 - 1
    reference = encode(pipeline.vae, pixels.permute(2, 0, 1)[None, :, None])
    clip = encode(pipeline.vae, torch.rand(1, 3, FRAMES, HEIGHT, WIDTH) * 2 - 1)
    half = torch.zeros(1, 1, *clip.shape[2:])
    half[..., :3] = 1
    init, mask = with_reference_frames(clip, half, reference)
    scheduler.set_timesteps(STEPS)
    scheduler.set_self_guidance(init, mask)
    models = {"high": pipeline.transformer}
    if boundary is not None:
        models["low"] = pipeline.transformer_2
    controls = []
    handle = pipeline.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: controls.append(kwargs["control_hidden_states"]), with_kwargs=True
    )
    with calls_of(models) as calls:
        latents = pipeline(
            **prompts(), video=pictures(1), reference_images=[reference_picture], height=HEIGHT, width=WIDTH,
            num_frames=FRAMES, num_inference_steps=STEPS, guidance_scale=5.0,
            latents=scheduler.initial_latents(init), output_type="latent",
        ).frames  # fmt: skip
    handle.remove()
    assert controls[0].shape[2] == init.shape[2]  # no frame too many, none missing
    torch.testing.assert_close(controls[0][:, :16, :1], reference, atol=1e-4, rtol=1e-4)  # the same picture, same place
    assert [call[0] for call in calls] == ["high"] * 4 + ["high" if boundary is None else "low"] * 2
    samples = replay(scheduler, calls, init, mask)
    for i in range(STEPS):
        assert torch.equal(calls[2 * i][2], samples[i])
    assert torch.equal(latents, samples[-1])


def test_video_to_video_noises_the_clip_itself_at_full_strength() -> None:
    """`strength=1` of the pipeline leaves the list to the scheduler, whose own strength counts."""
    scheduler = SelfGuidedFlowMatchScheduler(guidance_scale=0.5)
    pipeline = tiny_wan_video_to_video(scheduler)
    clip = pictures(5)
    init = encode(pipeline.vae, pipeline.video_processor.preprocess_video(clip, height=HEIGHT, width=WIDTH))
    scheduler.set_self_guidance(init)
    with calls_of({"one": pipeline.transformer}) as calls:
        latents = pipeline(
            **prompts(), video=clip, height=HEIGHT, width=WIDTH, num_inference_steps=STEPS, strength=1.0,
            guidance_scale=5.0, generator=torch.Generator().manual_seed(9), output_type="latent",
        ).frames  # fmt: skip
    noise = torch.randn(init.shape, generator=torch.Generator().manual_seed(9))
    sigma = float(scheduler.sigmas[0])
    torch.testing.assert_close(calls[0][2], (1 - sigma) * init + sigma * noise, atol=1e-4, rtol=1e-4)
    assert torch.equal(latents, replay(scheduler, calls, init, None)[-1])


def test_begin_index_says_where_a_pipeline_starts() -> None:
    scheduler = SelfGuidedFlowMatchScheduler()
    scheduler.set_timesteps(STEPS)
    assert scheduler.begin_index is None
    scheduler.set_begin_index(1)
    z = torch.zeros(1, 2, 1, 4, 4)
    scheduler.step(torch.ones_like(z), scheduler.timesteps[1], z)
    assert scheduler.step_index == 2 and scheduler.begin_index == 1
    scheduler.set_timesteps(STEPS)
    assert scheduler.begin_index is None and scheduler.step_index is None
