"""Memory: counts of the real networks, the laws against traces of them, and plans that fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan, WanVACETransformer3DModel
from tiny_networks import inputs

from ani3d_formats.errors import Ani3DError
from ani3dhuman.models.find import find
from ani3dhuman.models.registry import known_models, priors
from ani3dhuman.models.shapes import ClipShape, VaeShape
from ani3dhuman.restoration.wan.memory import (
    LADDER,
    TIERS,
    Measure,
    decode_bytes,
    denoise_bytes,
    encode_bytes,
    next_lower,
    plan_at,
    plan_for,
)
from tools.live_bytes import peak_bytes

SHOT = ClipShape(480, 832, 81, references=1)


def real_transformer(shape, dtype=torch.bfloat16):
    with torch.device("meta"):
        network = WanVACETransformer3DModel(
            num_layers=shape.layers,
            num_attention_heads=shape.heads,
            attention_head_dim=shape.head_dim,
            ffn_dim=shape.ffn,
            vace_layers=list(range(shape.vace)),
        )
    return network.to(dtype)


@pytest.mark.parametrize("name", ["wan2.1-vace-1.3b", "wan2.1-vace-14b"])
def test_parameters_in_the_registry_are_the_networks(name):
    model = find(name)
    found = sum(parameter.numel() for parameter in real_transformer(model.transformer).parameters())
    assert model.count("transformer") == model.transformer.parameters == found
    with torch.device("meta"):
        vae = AutoencoderKLWan()
    assert model.count("vae") == sum(parameter.numel() for parameter in vae.parameters())


@pytest.mark.parametrize("name", ["wan2.1-vace-1.3b", "wan2.1-vace-14b"])
@pytest.mark.parametrize("frames", [17, 81])
def test_denoising_law_holds_for_the_real_networks(name, frames):
    shape, clip = find(name).transformer, ClipShape(480, 832, frames)
    network = real_transformer(shape)
    given = inputs(clip, torch.bfloat16, "meta", text_dim=4096)
    found = peak_bytes(lambda: network(**given))
    assert denoise_bytes(shape, clip) == pytest.approx(found, rel=0.06)


@pytest.mark.parametrize("clip", [ClipShape(416, 240, 17), ClipShape(480, 832, 13)])
def test_vae_laws_hold_for_the_real_network(clip):
    with torch.device("meta"):
        vae = AutoencoderKLWan()
    latents = torch.empty(1, 16, clip.latent_frames, clip.height // 8, clip.width // 8, device="meta")
    video = torch.empty(1, 3, clip.frames, clip.height, clip.width, device="meta")
    decoding = peak_bytes(lambda: vae.decode(latents))
    assert decode_bytes(VaeShape(), clip, tiled=False) == pytest.approx(decoding, rel=0.03)
    encoding = peak_bytes(lambda: vae.encode(video)) + 5 * video.nbytes
    assert encode_bytes(VaeShape(), clip, tiled=False) == pytest.approx(encoding, rel=0.06)
    vae.enable_tiling()
    tiled = peak_bytes(lambda: vae.decode(latents))
    assert tiled <= decode_bytes(VaeShape(), clip, tiled=True) < 1.25 * tiled


def test_attention_memory_is_linear_in_tokens():
    shape = find("wan2.1-vace-1.3b").transformer
    one, two = (denoise_bytes(shape, ClipShape(480, width, 81)) for width in (416, 832))
    assert two == pytest.approx(2 * one)


@pytest.mark.parametrize("tier", TIERS)
def test_every_plan_fits_and_its_faster_neighbour_does_not(tier):
    for model in priors():
        try:
            plan = plan_for(model.name, SHOT, tier)
        except Ani3DError as error:
            assert error.code == "models.memory" and tier == 8 and "14b" in model.name
            continue
        assert plan.fits and plan.peak_gb <= tier and plan.tier == f"{tier} GB"
        if plan.rung:
            assert not plan_at(model, SHOT, tier, plan.rung - 1).fits


def test_text_encoder_goes_to_the_cpu_where_it_does_not_fit():
    assert Measure.TEXT_FIRST in plan_for("wan2.1-vace-1.3b", SHOT, 16).measures
    plan = plan_for("wan2.1-vace-1.3b", SHOT, 12)
    assert Measure.TEXT_ON_CPU in plan.measures and plan.host_gb > 11 and plan.predicted_peak_gb["text"] == 0


def test_lower_plans_need_less_until_nothing_is_lower():
    plan = plan_at(find("wan2.1-vace-14b"), SHOT, 24, 0)
    for rung in range(1, len(LADDER)):
        lower = next_lower(plan)
        assert lower.rung == rung and set(LADDER[rung]) <= set(lower.measures)
        plan = lower
    assert plan.peak_gb < 12
    with pytest.raises(Ani3DError) as caught:
        next_lower(plan)
    assert caught.value.code == "models.memory"


def test_what_does_not_fit_says_how_much_would():
    with pytest.raises(Ani3DError, match=r"A window of (\d+) frames would fit") as caught:
        plan_for("wan2.1-vace-14b", SHOT, 8)
    frames = int(caught.value.hint.split()[3])
    assert plan_for("wan2.1-vace-14b", replace(SHOT, frames=frames), 8).fits
    with pytest.raises(Ani3DError):
        plan_for("wan2.1-vace-14b", replace(SHOT, frames=frames + 4), 8)


def test_no_offloading_on_the_cpu():
    plan = plan_for("wan2.1-vace-1.3b", SHOT, 17, "cpu")
    assert plan.tier == "CPU" and Measure.GROUP_OFFLOAD not in plan.measures
    with pytest.raises(Ani3DError):
        next_lower(plan_at(find("wan2.1-vace-1.3b"), SHOT, 64, 1, "cpu"))


def test_registry_is_consistent():
    for model in known_models().values():
        assert model.licence and model.gigabytes > 0 and model.files
        assert model.revision is None or len(model.revision) == 40
        assert all(file.sha256 is None or len(file.sha256) == 64 for file in model.files)
        assert not any(file.path.endswith((".bin", ".pt", ".ckpt")) for file in model.files)
        assert all(base in known_models() for base in (model.distilled.priors if model.distilled else ()))
