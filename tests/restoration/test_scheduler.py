"""The sampler against its equations, against diffusers' own scheduler, and inside a diffusers pipeline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from PIL import Image
from tiny_wan import TEXT_DIM, encode, tiny_wan_vace

from ani3d_formats.errors import Ani3DError
from ani3dhuman.restoration.conditions.latent_mask import latent_mask
from ani3dhuman.restoration.sampler.scheduler import SelfGuidedFlowMatchScheduler
from ani3dhuman.restoration.sampler.self_guided import shifted_sigmas

PAPER_SIGMAS = [0.921, 0.882, 0.833, 0.769, 0.682, 0.556, 0.357, 0.0]
SHAPE = (1, 4, 3, 6, 5)


def gaussian_velocity(z: np.ndarray, sigma: float, mean: float = 0.4, std: float = 0.3) -> np.ndarray:
    """E[eps - x0 | z] when every latent of the data is N(mean, std^2): the exact flow-matching velocity."""
    variance = ((1 - sigma) * std) ** 2 + sigma**2
    surprise = (z - (1 - sigma) * mean) / variance
    return sigma * surprise - (mean + (1 - sigma) * std**2 * surprise)


def noise_stream(seed: int, steps: int) -> list[np.ndarray]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(SHAPE, generator=generator).double().numpy() for _ in range(steps)]


def run(scheduler: SelfGuidedFlowMatchScheduler, z: torch.Tensor, steps: int) -> torch.Tensor:
    for i, t in enumerate(scheduler.timesteps):
        sigma = float(scheduler.sigmas[i])
        v = torch.from_numpy(gaussian_velocity(z.double().numpy(), sigma)).float()
        z = scheduler.step(v, t, z, return_dict=False)[0]
    return z


def test_sigmas_are_the_papers() -> None:
    scheduler = SelfGuidedFlowMatchScheduler(strength=0.7, shift=5.0)
    scheduler.set_timesteps(7)
    np.testing.assert_allclose(scheduler.sigmas.numpy(), PAPER_SIGMAS, atol=5e-4)
    np.testing.assert_allclose(scheduler.timesteps.numpy(), 1000 * scheduler.sigmas[:-1].numpy(), rtol=1e-6)


def test_strength_comes_before_the_shift() -> None:
    np.testing.assert_allclose(shifted_sigmas(4, strength=0.8, shift=1.0), [0.8, 0.6, 0.4, 0.2])
    np.testing.assert_allclose(shifted_sigmas(1, strength=0.5, shift=5.0), [5 * 0.5 / 3])


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("stochastic", [True, False])
def test_equals_the_written_out_recursion(masked: bool, stochastic: bool) -> None:
    steps, strength, shift, scale, seed = 7, 0.7, 5.0, 0.4, 11
    rng = np.random.default_rng(0)
    init = rng.normal(size=SHAPE)
    mask = (rng.random((1, 1, *SHAPE[2:])) > 0.5).astype(float) if masked else np.ones((1, 1, 1, 1, 1))
    scheduler = SelfGuidedFlowMatchScheduler(
        strength=strength, shift=shift, guidance_scale=scale, stochastic_sampling=stochastic, seed=seed
    )
    scheduler.set_timesteps(steps)
    start = scheduler.initial_latents(torch.from_numpy(init).float())
    scheduler.set_self_guidance(torch.from_numpy(init).float(), torch.from_numpy(mask).float() if masked else None)
    sampled = run(scheduler, start, steps).double().numpy()

    s = np.linspace(strength, 0, steps + 1)[:-1]
    sigmas = np.append(shift * s / (1 + (shift - 1) * s), 0.0)
    z = start.double().numpy()
    for i, noise in enumerate(noise_stream(seed, steps)):
        v = gaussian_velocity(z, sigmas[i])
        x0hat = z - sigmas[i] * v
        W = scale * mask
        xt = W * init + (1 - W) * x0hat
        xbar = (1 - sigmas[i]) * xt + sigmas[i] * x0hat
        eps = noise if stochastic else x0hat + v
        z = xbar if sigmas[i + 1] == 0 else (1 - sigmas[i + 1]) * xbar + sigmas[i + 1] * eps
    np.testing.assert_allclose(sampled, z, atol=2e-5)


def test_start_is_the_noised_coarse_clip() -> None:
    scheduler = SelfGuidedFlowMatchScheduler(seed=3)
    scheduler.set_timesteps(7)
    init = torch.full((1, 8, 4, 32, 32), 2.0)
    start = scheduler.initial_latents(init)
    sigma = float(scheduler.sigmas[0])
    assert float(start.mean()) == pytest.approx(2 * (1 - sigma), abs=0.02)
    assert float(start.std()) == pytest.approx(sigma, abs=0.02)


def test_without_guidance_it_is_diffusers_stochastic_euler_bit_for_bit() -> None:
    ours = SelfGuidedFlowMatchScheduler(guidance_scale=0.0)
    ours.set_timesteps(7)
    theirs = FlowMatchEulerDiscreteScheduler(shift=1.0, stochastic_sampling=True)
    theirs.set_timesteps(sigmas=ours.sigmas[:-1].tolist())
    ours.set_self_guidance(torch.randn(SHAPE), None)
    a = b = torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))
    noise_a, noise_b = torch.Generator().manual_seed(9), torch.Generator().manual_seed(9)
    for i in range(7):
        v = torch.randn(SHAPE, generator=torch.Generator().manual_seed(i))
        a = ours.step(v, ours.timesteps[i], a, generator=noise_a).prev_sample
        b = theirs.step(v, theirs.timesteps[i], b, generator=noise_b).prev_sample
        assert torch.equal(a, b)


def test_guidance_draws_only_the_masked_latents_to_the_coarse_clip() -> None:
    init = torch.full(SHAPE, 3.0)
    mask = torch.zeros((1, 1, *SHAPE[2:]))
    mask[..., :2] = 1
    distances = []
    for scale in (0.0, 0.3, 0.9):
        scheduler = SelfGuidedFlowMatchScheduler(guidance_scale=scale, seed=2)
        scheduler.set_timesteps(7)
        scheduler.set_self_guidance(init, mask)
        out = run(scheduler, scheduler.initial_latents(init), 7)
        inside, outside = (out - init).abs()[..., :2].mean(), (out - init).abs()[..., 2:].mean()
        distances.append((float(inside), float(outside)))
    assert distances[0][0] > distances[1][0] > distances[2][0]
    assert distances[0][1] == pytest.approx(distances[2][1], abs=1e-6)


def test_same_seed_same_sample_and_rewound_by_set_timesteps() -> None:
    results = []
    scheduler = SelfGuidedFlowMatchScheduler(seed=7)
    for _ in range(2):
        scheduler.set_timesteps(5)
        results.append(run(scheduler, scheduler.initial_latents(torch.zeros(SHAPE)), 5))
    other = SelfGuidedFlowMatchScheduler(seed=8)
    other.set_timesteps(5)
    assert torch.equal(results[0], results[1])
    assert not torch.allclose(results[0], run(other, other.initial_latents(torch.zeros(SHAPE)), 5))


def test_runs_in_an_unmodified_wan_vace_pipeline() -> None:
    frames, height, width = 5, 32, 48
    scheduler = SelfGuidedFlowMatchScheduler(strength=0.7, shift=5.0, guidance_scale=1.0)
    pipeline = tiny_wan_vace(scheduler)
    rng = np.random.default_rng(0)
    skeletons = [Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)) for _ in range(frames)]
    init = encode(pipeline.vae, torch.rand(1, 3, frames, height, width) * 2 - 1)
    preserve = torch.zeros(frames, height, width)
    preserve[:, :, : width // 2] = 1
    mask = latent_mask(preserve)[None, None]
    assert mask.shape[2:] == init.shape[2:]
    scheduler.set_timesteps(3)
    scheduler.set_self_guidance(init, mask)
    seen = []

    def remember(pipe: object, step: int, timestep: torch.Tensor, kwargs: dict) -> dict:
        seen.append(kwargs["latents"].clone())
        return kwargs

    video = pipeline(
        prompt_embeds=torch.randn(1, 16, TEXT_DIM), negative_prompt_embeds=torch.randn(1, 16, TEXT_DIM),
        video=skeletons, height=height, width=width,
        num_frames=frames, num_inference_steps=3, guidance_scale=5.0, latents=scheduler.initial_latents(init),
        output_type="pt", callback_on_step_end=remember,
    ).frames  # fmt: skip
    assert tuple(video.shape) == (1, frames, 3, height, width)
    assert torch.isfinite(video).all()
    assert len(seen) == 3 and scheduler.step_index == 3
    # at full scale the last pull leaves sigma_last of the distance where preserved
    sigma = float(scheduler.sigmas[2])
    gap = (seen[-1] - init).abs()
    kept = mask.bool().expand_as(gap)
    assert gap[kept].mean() < gap[~kept].mean() * (sigma + 0.1)


def test_configuration_survives_a_round_trip() -> None:
    scheduler = SelfGuidedFlowMatchScheduler(shift=3.0, strength=0.4, guidance_scale=0.2, seed=4)
    again = SelfGuidedFlowMatchScheduler.from_config(scheduler.config)
    assert dict(again.config) == dict(scheduler.config)


@pytest.mark.parametrize(
    "options, code",
    [
        ({"strength": 0.0}, "restoration.strength"),
        ({"strength": 1.2}, "restoration.strength"),
        ({"guidance_scale": -0.1}, "restoration.guidance_scale"),
        ({"shift": 0.0}, "restoration.sigmas"),
    ],
)
def test_bad_settings_are_refused(options: dict, code: str) -> None:
    with pytest.raises(Ani3DError) as caught:
        SelfGuidedFlowMatchScheduler(**options)
    assert caught.value.code == code


def test_misfits_are_refused() -> None:
    scheduler = SelfGuidedFlowMatchScheduler()
    with pytest.raises(Ani3DError, match="does not fit latents"):
        scheduler.set_self_guidance(torch.zeros(SHAPE), torch.zeros(1, 1, 3, 6, 4))
    with pytest.raises(Ani3DError) as caught:
        scheduler.set_self_guidance(torch.zeros(1, 4, 1, 6, 5), torch.zeros(1, 1, 3, 6, 5))
    assert caught.value.code == "restoration.mask_shape"
    with pytest.raises(Ani3DError, match="steps"):
        scheduler.set_timesteps(0)
    scheduler.set_timesteps(3)
    with pytest.raises(Ani3DError) as caught:
        scheduler.step(torch.zeros(SHAPE), 123.0, torch.zeros(SHAPE))
    assert caught.value.code == "restoration.timestep"
