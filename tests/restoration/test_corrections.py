"""Every variant of the sampler against its equations, written out in float64 over a Gaussian mixture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.fft import dctn, idctn
from scipy.special import softmax

from ani3d_formats.errors import Ani3DError
from ani3dhuman.restoration.conditions.latent_mask import with_reference_frames
from ani3dhuman.restoration.sampler.correction import low_pass, match_statistics
from ani3dhuman.restoration.sampler.scheduler import SelfGuidedFlowMatchScheduler

SHAPE = (2, 3, 4, 6, 5)  # (B,C,T,h,w)
STEPS, STRENGTH, SHIFT, SEED = 7, 0.7, 5.0, 11
Velocity = Callable[[np.ndarray, float], np.ndarray]

VARIANTS: dict[str, dict] = {
    "ode": {"stochastic_sampling": False, "guidance_scale": 0.0},
    "ode guided": {"stochastic_sampling": False, "guidance_scale": 0.4},
    "sde": {"guidance_scale": 0.0},
    "sgss": {"guidance_scale": 0.4},
    "sgss released": {},
    "sgss every 2": {"guidance_scale": 0.4, "correction_every": 2},
    "swap": {"correction": "swap"},
    "swap, fine, every 3": {"correction": "swap", "swap_cutoff": 0.3, "correction_every": 3},
    "swap ode": {"correction": "swap", "stochastic_sampling": False},
    "match": {"correction": "match", "guidance_scale": 0.3},
    "match every 3": {"correction": "match", "correction_every": 3},
    "match alone, ode": {"correction": "match", "guidance_scale": 0.0, "stochastic_sampling": False},
}


def mixture_velocity(seed: int) -> Velocity:
    """E[eps - x0 | z] where the channels of each cell are drawn, by themselves, from a mixture of four Gaussians."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(4, SHAPE[1]))  # modes, channels
    stds = rng.uniform(0.3, 0.8, size=(4, SHAPE[1]))
    shares = rng.dirichlet(np.full(4, 3.0))

    def velocity(z: np.ndarray, sigma: float) -> np.ndarray:
        cells = np.moveaxis(z, 1, -1)[..., None, :]  # (B,T,h,w,1,C)
        variance = ((1 - sigma) * stds) ** 2 + sigma**2
        off = cells - (1 - sigma) * means
        log_density = np.log(shares) - 0.5 * (off**2 / variance + np.log(variance)).sum(-1)
        posterior = softmax(log_density, axis=-1)[..., None]  # (B,T,h,w,modes,1)
        x0 = (posterior * (means + (1 - sigma) * stds**2 / variance * off)).sum(-2)
        eps = (posterior * sigma / variance * off).sum(-2)
        return np.moveaxis(eps - x0, -1, 1)

    return velocity


def low(x: np.ndarray, cutoff: float) -> np.ndarray:
    y, x_ = (np.arange(n) / (2 * n) for n in x.shape[-2:])
    gain = 2.0 ** -((y[:, None] ** 2 + x_[None, :] ** 2) / cutoff**2)
    return idctn(dctn(x, axes=(-2, -1), norm="ortho") * gain, axes=(-2, -1), norm="ortho")


def matched(x: np.ndarray, init: np.ndarray, mask: np.ndarray) -> np.ndarray:
    out = np.zeros_like(x)
    for b, c in np.ndindex(x.shape[:2]):
        w = np.broadcast_to(mask, x.shape)[b, c]
        mean, mean_init = np.average(x[b, c], weights=w), np.average(init[b, c], weights=w)
        deviation = np.sqrt(np.average((x[b, c] - mean) ** 2, weights=w))
        deviation_init = np.sqrt(np.average((init[b, c] - mean_init) ** 2, weights=w))
        out[b, c] = (x[b, c] - mean) / deviation * deviation_init + mean_init
    return out


def written_out(z: np.ndarray, init: np.ndarray, mask: np.ndarray, velocity: Velocity, options: dict) -> np.ndarray:
    """z after each step, (STEPS, *shape)."""
    o = {"guidance_scale": 0.05, "correction": "pull", "correction_every": 1, "swap_cutoff": 0.125, **options}
    s = np.linspace(STRENGTH, 0, STEPS + 1)
    sigmas = SHIFT * s / (1 + (SHIFT - 1) * s)
    np.testing.assert_allclose(sigmas[:-1], [0.921, 0.882, 0.833, 0.769, 0.682, 0.556, 0.357], atol=5e-4)
    generator = torch.Generator().manual_seed(SEED)
    scale, after_each = o["guidance_scale"], []
    for i in range(STEPS):
        noise = torch.randn(z.shape, generator=generator).double().numpy()
        v = velocity(z, sigmas[i])
        x0hat = z - sigmas[i] * v
        if o["correction"] == "pull":
            W = scale * mask
            xt = W * init + (1 - W) * x0hat
        elif o["correction"] == "swap":
            swapped = low(init, o["swap_cutoff"]) + x0hat - low(x0hat, o["swap_cutoff"])
            xt = mask * swapped + (1 - mask) * x0hat
        else:
            xt = mask * (scale * init + (1 - scale) * matched(x0hat, init, mask)) + (1 - mask) * x0hat
        xbar = (1 - sigmas[i]) * xt + sigmas[i] * x0hat
        if (i + 1) % o["correction_every"] != 0:
            xbar = x0hat
        eps = noise if o.get("stochastic_sampling", True) else x0hat + v
        z = (1 - sigmas[i + 1]) * xbar + sigmas[i + 1] * eps
        after_each.append(z)
    return np.stack(after_each)


def sampled(
    z: torch.Tensor, init: torch.Tensor, mask: torch.Tensor | None, velocity: Velocity, options: dict
) -> np.ndarray:
    scheduler = SelfGuidedFlowMatchScheduler(strength=STRENGTH, shift=SHIFT, seed=SEED, **options)
    scheduler.set_timesteps(STEPS)
    scheduler.set_self_guidance(init, mask)
    after_each = []
    for i, t in enumerate(scheduler.timesteps):
        v = velocity(z.double().numpy(), float(scheduler.sigmas[i]))
        z = scheduler.step(torch.from_numpy(v).float(), t, z).prev_sample
        after_each.append(z.double().numpy())
    return np.stack(after_each)


def material(masked: bool, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Coarse latents, and a soft mask or None."""
    rng = np.random.default_rng(seed)
    init = torch.from_numpy(rng.normal(0.5, 1.5, size=SHAPE)).float()
    mask = torch.from_numpy(np.clip(rng.normal(0.5, 0.6, size=(1, 1, *SHAPE[2:])), 0, 1)).float()
    return init, mask if masked else None


def start(init: torch.Tensor) -> torch.Tensor:
    scheduler = SelfGuidedFlowMatchScheduler(strength=STRENGTH, shift=SHIFT, seed=SEED)
    scheduler.set_timesteps(STEPS)
    return scheduler.initial_latents(init)


def compare(
    init: torch.Tensor, mask: torch.Tensor | None, velocity: Velocity, options: dict
) -> tuple[np.ndarray, np.ndarray]:
    z = start(init)
    truth_mask = np.ones((1, 1, 1, 1, 1)) if mask is None else mask.double().numpy()
    got = sampled(z, init, mask, velocity, options)
    want = written_out(z.double().numpy(), init.double().numpy(), truth_mask, velocity, options)
    assert np.abs(got - want).max() < 1e-5
    return got, want


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_step_equals_the_written_out_recursion(variant: str, masked: bool) -> None:
    init, mask = material(masked)
    compare(init, mask, mixture_velocity(1), VARIANTS[variant])


def test_no_two_variants_are_the_same() -> None:
    """Else the comparison above would not tell one from another."""
    init, mask = material(True)
    z, velocity = start(init), mixture_velocity(1)
    ends = [sampled(z, init, mask, velocity, options)[-1] for options in VARIANTS.values()]
    for i, a in enumerate(ends):
        for b in ends[:i]:
            assert np.abs(a - b).max() > 0.02


@pytest.mark.parametrize("preserve", [1.0, 0.0])
@pytest.mark.parametrize("variant", VARIANTS)
def test_with_reference_frames_in_front(variant: str, preserve: float) -> None:
    init, mask = material(True)
    reference = torch.randn(SHAPE[0], SHAPE[1], 2, *SHAPE[3:], generator=torch.Generator().manual_seed(2))
    padded, padded_mask = with_reference_frames(init, mask, reference, preserve)
    assert padded.shape[2] == SHAPE[2] + 2
    compare(padded, padded_mask, mixture_velocity(1), VARIANTS[variant])


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_with_two_experts(variant: str, masked: bool) -> None:
    high_noise, low_noise = mixture_velocity(1), mixture_velocity(2)

    def velocity(z: np.ndarray, sigma: float) -> np.ndarray:
        return high_noise(z, sigma) if sigma >= 0.8 else low_noise(z, sigma)

    init, mask = material(masked)
    got, _ = compare(init, mask, velocity, VARIANTS[variant])
    alone = sampled(start(init), init, mask, high_noise, VARIANTS[variant])
    assert np.array_equal(got[2], alone[2])  # 0.921, 0.882, 0.833 are the first expert's
    assert np.abs(got[3] - alone[3]).max() > 0.01


def test_low_pass_keeps_the_mean_and_halves_waves_at_the_cutoff() -> None:
    assert torch.allclose(low_pass(torch.full((1, 2, 16, 12), 3.0), 0.1), torch.tensor(3.0))
    along = torch.cos(2 * torch.pi * torch.outer(torch.tensor([0.125, 0.25, 0.4375]), torch.arange(16) + 0.5))
    share = torch.tensor([2.0**-1, 2.0**-4, 2.0**-12.25])[:, None, None]
    columns = along[:, None, :].expand(3, 12, 16)  # waves that end at mirrored borders
    assert torch.allclose(low_pass(columns, 0.125), share * columns, atol=1e-5)
    assert torch.allclose(low_pass(columns.mT, 0.125), share * columns.mT, atol=1e-5)


def test_matching_sets_mean_and_deviation_inside_the_mask() -> None:
    clean, init = torch.randn(2, 3, 4, 6, 5), 3 * torch.randn(2, 3, 4, 6, 5) + 1
    inside = torch.zeros(1, 1, 1, 1, 5)
    inside[..., :2] = 1
    got = match_statistics(clean, init, inside)[..., :2]
    want = init[..., :2]
    for moment in (torch.mean, torch.std):
        assert torch.allclose(moment(got, (2, 3, 4)), moment(want, (2, 3, 4)), atol=1e-5)
    assert torch.allclose(match_statistics(torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 2.0)), torch.tensor(2.0))


@pytest.mark.parametrize("correction", ["swap", "match"])
def test_what_the_mask_lets_go_is_not_touched(correction: str) -> None:
    init, _ = material(False)
    z, velocity = start(init), mixture_velocity(1)
    free = sampled(z, init, None, velocity, {"guidance_scale": 0.0})
    assert np.array_equal(sampled(z, init, torch.zeros(1), velocity, {"correction": correction}), free)
    half = torch.zeros(1, 1, 1, 1, SHAPE[-1])
    half[..., :2] = 1
    got = sampled(z, init, half, velocity, {"correction": correction})
    assert np.array_equal(got[..., 2:], free[..., 2:])
    assert np.abs(got[..., :2] - free[..., :2]).max() > 0.1


@pytest.mark.parametrize(
    "options, code",
    [
        ({"correction": "push"}, "restoration.correction"),
        ({"correction_every": 0}, "restoration.correction_every"),
        ({"correction_every": 1.5}, "restoration.correction_every"),
        ({"correction_every": float("inf")}, "restoration.correction_every"),
        ({"swap_cutoff": 0.0}, "restoration.swap_cutoff"),
        ({"swap_cutoff": float("nan")}, "restoration.swap_cutoff"),
    ],
)
def test_bad_options_are_refused(options: dict, code: str) -> None:
    with pytest.raises(Ani3DError) as caught:
        SelfGuidedFlowMatchScheduler(**options)
    assert caught.value.code == code
    assert caught.value.hint


def test_latents_without_the_axes_are_refused() -> None:
    SelfGuidedFlowMatchScheduler().set_self_guidance(torch.zeros(3, 4, 5))
    for correction in ("swap", "match"):
        with pytest.raises(Ani3DError) as caught:
            SelfGuidedFlowMatchScheduler(correction=correction).set_self_guidance(torch.zeros(3, 4, 5))
        assert caught.value.code == "restoration.latents_rank"


def test_new_options_survive_a_round_trip() -> None:
    scheduler = SelfGuidedFlowMatchScheduler(correction="match", correction_every=3, swap_cutoff=0.2)
    again = SelfGuidedFlowMatchScheduler.from_config(scheduler.config)
    assert dict(again.config) == dict(scheduler.config)
    assert again.config["correction_every"] == 3
