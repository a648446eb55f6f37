"""What makes Wan faster or smaller: few-step adapters, quantised files, step caches, compiled blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from diffusers import WanVACETransformer3DModel
from safetensors.torch import load_file, save_file
from tiny_wan import TEXT_DIM, tiny_vae
from tiny_wan_adapter import RANK, network, write_adapter
from tiny_wan_repository import write_repository
from wan_scene import clip_at, moving_bar, tiny_prior, tiny_prompts

from ani3d_formats.errors import Ani3DError
from ani3dhuman.models.folder import model_in
from ani3dhuman.models.shapes import ClipShape
from ani3dhuman.restoration import RestoreConfig, restore
from ani3dhuman.restoration.wan.adapters import WanAdapter, left_out, read_adapter, with_adapter
from ani3dhuman.restoration.wan.loader import load_wan_prior
from ani3dhuman.restoration.wan.measure_cache import measure_cache
from ani3dhuman.restoration.wan.memory import Measure, next_lower, plan_for
from ani3dhuman.restoration.wan.networks import WanModels, compile_transformers, load_wan_models
from ani3dhuman.restoration.wan.prior import WanConditions, WanOptions
from ani3dhuman.restoration.wan.step_cache import StepCache, enabled

CONDITIONS = WanConditions(moving_bar, "a walk", "blur")


def models(second: bool = False) -> WanModels:
    return WanModels(
        tiny_vae(), network(), network(1) if second else None, 0.875 if second else None, torch.device("cpu"), "key"
    )


@pytest.mark.parametrize(
    ("spelling", "alpha", "scale"), [("wan", None, 1.0), ("wan", 2.0, 0.5), ("diffusers", None, 1.0)]
)
def test_an_adapter_adds_its_product_to_the_weights(
    tmp_path: Path, spelling: str, alpha: float | None, scale: float
) -> None:
    changes = write_adapter(tmp_path / "a.safetensors", 0, spelling, alpha)
    before = {name: weight.detach().clone() for name, weight in network().named_parameters()}
    changed = with_adapter(models(), WanAdapter((tmp_path / "a.safetensors",), scale))
    after = dict(changed.transformer.named_parameters())
    assert after.keys() == before.keys(), "nothing of peft stays behind"
    for name, weight in before.items():
        expected = weight + scale * changes.get(name, torch.zeros_like(weight))
        assert (after[name] - expected).abs().max() < 1e-6, name
    assert changed.key != models().key


def test_each_expert_gets_its_own_file(tmp_path: Path) -> None:
    high = write_adapter(tmp_path / "wan_high_noise.safetensors", 1)
    low = write_adapter(tmp_path / "wan_low_noise.safetensors", 2)
    files = (tmp_path / "wan_low_noise.safetensors", tmp_path / "wan_high_noise.safetensors")
    changed = with_adapter(models(second=True), WanAdapter(files))
    for part, changes, seed in ((changed.transformer, high, 0), (changed.transformer_2, low, 1)):
        name = "blocks.1.attn1.to_q.weight"
        expected = dict(network(seed).named_parameters())[name] + changes[name]
        assert (dict(part.named_parameters())[name] - expected).abs().max() < 1e-6


def test_an_adapter_that_does_not_fit_changes_nothing_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file(
        {
            "diffusion_model.blocks.0.self_attn.q.lora_down.weight": torch.zeros(RANK, 99),
            "diffusion_model.blocks.0.self_attn.q.lora_up.weight": torch.zeros(99, RANK),
        },
        path,
    )
    loaded = models()
    with pytest.raises(Ani3DError, match=r"other\.safetensors") as caught:
        with_adapter(loaded, WanAdapter((path,)))
    assert caught.value.code == "restoration.adapter_base"
    for name, weight in network().named_parameters():
        assert torch.equal(dict(loaded.transformer.named_parameters())[name], weight)
    save_file({"diffusion_model.head.head.lora_down.weight": torch.zeros(2, 2)}, tmp_path / "head.safetensors")
    with pytest.raises(Ani3DError, match="no block"):
        with_adapter(loaded, WanAdapter((tmp_path / "head.safetensors",)))
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    for files, code in (((tmp_path / "torn.safetensors",), "adapter_files"), ((path, path), "adapter_files")):
        with pytest.raises(Ani3DError) as caught:
            with_adapter(loaded, WanAdapter(files))
        assert caught.value.code == f"restoration.{code}"


def test_an_adapter_of_nan_is_refused_and_what_is_not_applied_is_told(tmp_path: Path) -> None:
    write_adapter(tmp_path / "a.safetensors", 0)
    tensors = load_file(tmp_path / "a.safetensors")
    name = "diffusion_model.blocks.0.self_attn.q.lora_up.weight"
    save_file({**tensors, "diffusion_model.blocks.0.norm3.diff": torch.ones(4)}, tmp_path / "more.safetensors")
    assert left_out(tmp_path / "more.safetensors") == ["diffusion_model.blocks.0.norm3.diff"]
    with_adapter(models(), WanAdapter((tmp_path / "more.safetensors",)))
    save_file({**tensors, name: torch.full_like(tensors[name], float("nan"))}, tmp_path / "nan.safetensors")
    with pytest.raises(Ani3DError, match=r"nan\.safetensors"):
        with_adapter(models(), WanAdapter((tmp_path / "nan.safetensors",)))


def test_few_steps_at_guidance_one_call_the_network_once_a_step(tmp_path: Path) -> None:
    write_repository(tmp_path / "model")
    write_adapter(tmp_path / "a.safetensors", 3)
    adapter = WanAdapter((tmp_path / "a.safetensors",))
    loading: dict[str, Any] = {"conditions": CONDITIONS, "prompts": tiny_prompts(), "dtype": torch.float32}
    prior = load_wan_prior(tmp_path / "model", adapter=adapter, options=WanOptions(guidance=1.0), **loading)
    plain = load_wan_prior(tmp_path / "model", options=WanOptions(guidance=1.0), **loading)
    calls = []
    prior.models.transformer.register_forward_hook(lambda *_: calls.append(1))
    clip, config = clip_at(5, 48, 64, 16.0), RestoreConfig(strength=1.0, schedule_steps=4)
    frames = np.asarray(restore(prior, clip, config).frames)
    assert len(calls) == 4 and np.isfinite(frames).all()
    assert np.abs(frames - restore(plain, clip, config).frames).max() > 1e-4


WAN_NAMES = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "attn1.to_out.0": "self_attn.o",
    "attn2.to_out.0": "cross_attn.o",
    "attn1.to_": "self_attn.",
    "attn2.to_": "cross_attn.",
    "attn1.": "self_attn.",
    "attn2.": "cross_attn.",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "proj_out": "after_proj",
    "proj_in": "before_proj",
}


def wan_name(name: str) -> str:
    """What Wan's makers, and files for other programs, call a weight of diffusers."""
    if name.startswith("proj_out"):
        return name.replace("proj_out", "head.head")
    if name == "scale_shift_table":
        return "head.modulation"
    for ours, theirs in WAN_NAMES.items():
        name = name.replace(ours, theirs)
    if "norm2" in name or "norm3" in name:  # they count the norms in another order
        name = name.replace("norm2", "norm@").replace("norm3", "norm2").replace("norm@", "norm3")
    return name.replace("scale_shift_table", "modulation")


def write_gguf(
    folder: Path, source: WanVACETransformer3DModel, spelling: Callable[[str], str] = lambda name: name
) -> dict[str, np.ndarray]:
    """The transformer in a repository replaced by a quantised file; gives the weights that it stands for."""
    for path in (folder / "transformer").glob("*.safetensors*"):
        path.unlink()
    writer = gguf.GGUFWriter(folder / "transformer" / "tiny-Q8_0.gguf", "wan")
    stands_for: dict[str, np.ndarray] = {}
    for name, weight in source.state_dict().items():
        values = weight.float().numpy()
        matrix = values.ndim == 2 and values.shape[1] % 32 == 0 and name.startswith(("blocks", "vace_blocks"))
        if matrix and not name.endswith(("scale_shift_table",)):
            packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(spelling(name), packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
            exact = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType.Q8_0)
            stands_for[name] = exact.astype(np.float16).astype(np.float32)  # diffusers multiplies out in half precision
        else:
            writer.add_tensor(spelling(name), values)
            stands_for[name] = values
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stands_for


@pytest.mark.parametrize("spelling", [lambda name: name, wan_name], ids=["diffusers", "wan"])
def test_a_quantised_file_computes_what_its_weights_stand_for(tmp_path: Path, spelling: Callable[[str], str]) -> None:
    pipeline = write_repository(tmp_path)
    stands_for = write_gguf(tmp_path, pipeline.transformer, spelling)
    loaded = load_wan_models(tmp_path, dtype=torch.float32)
    reference = network()
    reference.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in stands_for.items()})
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "hidden_states": torch.randn(1, 16, 2, 4, 4, generator=generator),
        "timestep": torch.tensor([700.0]),
        "encoder_hidden_states": torch.randn(1, 6, TEXT_DIM, generator=generator),
        "control_hidden_states": torch.randn(1, 96, 2, 4, 4, generator=generator),
    }
    with torch.no_grad():
        found = loaded.transformer(**inputs, return_dict=False)[0]
        expected = reference(**inputs, return_dict=False)[0]
        unquantised = pipeline.transformer(**inputs, return_dict=False)[0]
    assert (found - expected).abs().max() < 1e-5
    assert (expected - unquantised).abs().max() > 1e-5, "quantising has changed something"
    model = model_in(tmp_path)
    assert model.quantised_gb > 0 and model.count("transformer") == sum(p.numel() for p in reference.parameters())
    plan = plan_for(str(tmp_path), ClipShape(64, 64, 5), 1.0)
    assert Measure.FP8_WEIGHTS not in plan.measures
    with pytest.raises(Ani3DError):  # offloading is its last rung
        next_lower(next_lower(next_lower(plan)))
    stored = sum(p.numel() * p.element_size() for p in loaded.transformer.blocks.parameters())
    whole = sum(p.numel() * p.element_size() for p in reference.blocks.parameters())
    assert stored < 0.5 * whole


def test_a_quantised_model_restores_and_takes_no_adapter(tmp_path: Path) -> None:
    pipeline = write_repository(tmp_path / "model")
    write_gguf(tmp_path / "model", pipeline.transformer)
    write_adapter(tmp_path / "a.safetensors", 0)
    loading: dict[str, Any] = {"conditions": CONDITIONS, "prompts": tiny_prompts(), "dtype": torch.float32}
    prior = load_wan_prior(tmp_path / "model", **loading)
    frames = restore(prior, clip_at(5, 48, 64, 16.0), RestoreConfig(schedule_steps=2)).frames
    assert np.isfinite(frames).all()
    with pytest.raises(Ani3DError, match="quantised"):
        load_wan_prior(tmp_path / "model", adapter=WanAdapter((tmp_path / "a.safetensors",)), **loading)
    second = tmp_path / "model" / "transformer" / "other.gguf"
    second.write_bytes(b"")
    with pytest.raises(Ani3DError, match=r"other\.gguf"):
        load_wan_prior(tmp_path / "model", **loading)


def test_the_cache_error_is_measured_and_nothing_is_left_on() -> None:
    prior = tiny_prior(window_frames=9)
    clip = clip_at(14, 48, 64, 16.0)
    config = RestoreConfig(strength=1.0, schedule_steps=6, overlap=1)
    encoded = prior.encode(clip)
    exact = measure_cache(prior, clip, config, StepCache(interval=1, warm_up=6), encoded)
    assert exact == [0.0] * 6
    errors = measure_cache(prior, clip, config, StepCache(interval=2, warm_up=2), encoded)
    assert errors[0] == errors[1] == 0.0, "the first steps are computed whole"
    assert max(errors) > 1e-3
    assert not prior.models.transformer.is_cache_enabled


def test_windows_and_passes_do_not_share_what_is_kept() -> None:
    """The second window's first step must be computed, though the first window has passed its warm-up."""
    prior = tiny_prior()
    generator = torch.Generator().manual_seed(0)
    windows = [torch.randn(3, 96, 6, 8, generator=generator) for _ in range(2)]
    noisy = torch.randn(3, 16, 6, 8, generator=generator)
    plain = [prior.velocity(noisy, 0.7, conditions) for conditions in windows]
    with enabled(prior.models, StepCache(interval=2, warm_up=2)):
        for _ in range(2):
            prior.velocity(noisy, 0.9, windows[0])
        other = prior.velocity(noisy, 0.7, windows[1])
        extrapolated = prior.velocity(noisy, 0.7, windows[0])
    assert torch.equal(other, plain[1])
    assert not torch.equal(extrapolated, plain[0])


def test_a_cache_begins_anew_with_every_clip_and_has_no_checkpoints(tmp_path: Path) -> None:
    prior, clip = tiny_prior(), clip_at(5, 48, 64, 16.0)
    config = RestoreConfig(strength=1.0, schedule_steps=6)
    with enabled(prior.models, StepCache(interval=2, warm_up=2)):
        first = np.asarray(restore(prior, clip, config).frames)
        np.testing.assert_array_equal(restore(prior, clip, config).frames, first)
        with pytest.raises(Ani3DError) as caught:
            restore(prior, clip, config, checkpoint=tmp_path / "kept")
        assert caught.value.code == "restoration.no_key"
    assert np.abs(restore(prior, clip, config).frames - first).max() > 1e-6


def test_an_extrapolated_step_runs_no_block() -> None:
    prior = tiny_prior()
    generator = torch.Generator().manual_seed(0)
    conditions, noisy = torch.randn(3, 96, 6, 8, generator=generator), torch.randn(3, 16, 6, 8, generator=generator)
    calls: list[int] = []
    prior.models.transformer.blocks[1].ffn.register_forward_hook(lambda *_: calls.append(1))
    with enabled(prior.models, StepCache(interval=2, warm_up=2)):
        counts = []
        for _ in range(4):
            calls.clear()
            prior.velocity(noisy, 0.7, conditions)
            counts.append(len(calls))
    assert counts == [2, 2, 0, 2], "two passes a step, none in the extrapolated one"


def test_a_senseless_cache_is_refused() -> None:
    with pytest.raises(Ani3DError):
        StepCache(interval=0)


def test_compiled_blocks_compute_the_same() -> None:
    prior = tiny_prior()
    generator = torch.Generator().manual_seed(0)
    conditions, noisy = torch.randn(3, 96, 6, 8, generator=generator), torch.randn(3, 16, 6, 8, generator=generator)
    plain = prior.velocity(noisy, 0.7, conditions)
    compile_transformers(prior.models, backend="aot_eager")  # the tracing without a C++ compiler, which tests may lack
    assert torch.allclose(prior.velocity(noisy, 0.7, conditions), plain, atol=1e-5)
    assert prior.models.transformer.blocks[0]._compiled_call_impl is not None


def test_an_adapter_is_read_in_every_spelling(tmp_path: Path) -> None:
    write_adapter(tmp_path / "wan.safetensors", 5)
    write_adapter(tmp_path / "diffusers.safetensors", 5, "diffusers")
    one, other = (read_adapter(tmp_path / f"{name}.safetensors") for name in ("wan", "diffusers"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (
        replace(WanAdapter((tmp_path / "wan.safetensors",)), scale=0.5).file_for("transformer").name
        == "wan.safetensors"
    )
