"""Measures are really in force after `apply_plan`, and none is skipped silently."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tiny_networks import inputs, transformer, vae

from ani3d_formats.errors import Ani3DError
from ani3dhuman.models.shapes import ClipShape
from ani3dhuman.restoration.wan import apply_memory_plan as apply
from ani3dhuman.restoration.wan.apply_memory_plan import apply_plan
from ani3dhuman.restoration.wan.memory import Measure, MemoryPlan

CLIP = ClipShape(96, 64, 9)


def plan(*measures: Measure, device: str = "cpu") -> MemoryPlan:
    return MemoryPlan("tiny", CLIP, device, 24, 0, measures, {"denoise": 1.0}, 0)


def pipeline() -> SimpleNamespace:
    return SimpleNamespace(vae=vae(), transformer=transformer(), transformer_2=None, text_encoder=None)


def test_tiled_decoding_is_the_same_picture():
    plain, tiled = pipeline(), pipeline()
    assert apply_plan(tiled, plan(Measure.VAE_SLICING, Measure.VAE_TILING)) == ["VAE slicing", "VAE tiling"]
    assert tiled.vae.use_tiling and tiled.vae.use_slicing
    latents = torch.randn(1, 16, 2, 40, 48, generator=torch.Generator().manual_seed(2))  # 320 x 384: several tiles
    with torch.no_grad():
        one, other = plain.vae.decode(latents).sample, tiled.vae.decode(latents).sample
    assert one.shape == other.shape
    difference = (one - other).abs()
    assert difference.mean() < 0.1 * one.std()  # attention and convolutions see a tile, not the frame
    assert difference[..., :160, :160].mean() < 0.03 * one.std()  # away from seams


@torch.no_grad()
def test_float8_weights_are_a_quarter_of_float32_and_give_nearly_the_same():
    pipe = pipeline()
    pipe.transformer_2 = transformer()
    before = pipe.transformer(**inputs(CLIP))[0]
    apply_plan(pipe, plan(Measure.FP8_WEIGHTS))
    for network in (pipe.transformer, pipe.transformer_2):
        assert network.blocks[0].attn1.to_q.weight.dtype is torch.float8_e4m3fn
        assert network.vace_blocks[1].ffn.net[0].proj.weight.dtype is torch.float8_e4m3fn
        after = network(**inputs(CLIP))[0]
        assert after.dtype is torch.float32
        error = (after - before).norm() / before.norm()
        assert 0 < error < 0.1


def test_text_encoder_that_is_still_there_is_refused():
    pipe = pipeline()
    pipe.text_encoder = object()
    with pytest.raises(Ani3DError) as caught:
        apply_plan(pipe, plan(Measure.TEXT_FIRST))
    assert caught.value.code == "models.text_encoder"


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without CUDA")
@pytest.mark.parametrize("given", [plan(Measure.GROUP_OFFLOAD), plan(Measure.VAE_TILING, device="cuda")])
def test_what_needs_cuda_is_refused_without_it(given):
    pipe = pipeline()
    with pytest.raises(Ani3DError) as caught:
        apply_plan(pipe, given)
    assert caught.value.code == "models.needs_cuda"
    assert not pipe.vae.use_tiling  # refused before anything was touched


def test_offloading_without_accelerate_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(apply.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Ani3DError, match="pip install accelerate"):
        apply_plan(pipeline(), plan(Measure.GROUP_OFFLOAD, device="cuda"))


@torch.no_grad()
def test_offloading_takes_the_blocks_of_both_lists(monkeypatch):
    """On CUDA the blocks stream; here the same switch runs from CPU to CPU, which shows that it finds them."""
    pipe = pipeline()
    before = pipe.transformer(**inputs(CLIP))[0]
    asked = {}
    real = pipe.transformer.enable_group_offload

    def on_this_machine(**options: object) -> None:
        asked.update(options)
        real(**{**options, "onload_device": torch.device("cpu"), "use_stream": False})

    monkeypatch.setattr(pipe.transformer, "enable_group_offload", on_this_machine)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(pipe.vae, "to", lambda device: asked.update(vae=device))
    apply_plan(pipe, plan(Measure.GROUP_OFFLOAD, device="cuda"))
    assert asked["use_stream"] and asked["offload_type"] == "block_level" and asked["vae"] == "cuda"
    for block in (*pipe.transformer.blocks, *pipe.transformer.vace_blocks):
        assert block._diffusers_hook.get_hook("group_offloading") is not None
    torch.testing.assert_close(pipe.transformer(**inputs(CLIP))[0], before)
