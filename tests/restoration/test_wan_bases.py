"""A distilled text-to-video model in the place of the blocks that VACE's control blocks stand beside."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file
from tiny_wan import SIZES, TEXT_DIM, tiny_vae
from tiny_wan_adapter import network, write_adapter

from ani3d_formats.errors import Ani3DError
from ani3dhuman.models.registry import adapters_of
from ani3dhuman.restoration.wan.adapters import WanAdapter, left_out, with_adapter
from ani3dhuman.restoration.wan.bases import is_base
from ani3dhuman.restoration.wan.networks import WanModels

GATE = "blocks.0.attn1.to_gate_compress.weight"


def base() -> WanTransformer3DModel:
    torch.manual_seed(7)
    return WanTransformer3DModel(**SIZES).eval()


def models() -> WanModels:
    return WanModels(tiny_vae(), network(), None, None, torch.device("cpu"), "key")


def written(path: Path, **more: torch.Tensor) -> WanAdapter:
    save_file({**base().state_dict(), **more}, path)
    return WanAdapter((path,))


@torch.no_grad()
def test_without_hints_vace_is_the_base_and_its_control_blocks_are_its_own(tmp_path: Path) -> None:
    adapter = written(tmp_path / "base.safetensors", **{GATE: torch.ones(2, 2)})
    changed = with_adapter(models(), adapter)
    torch.manual_seed(0)
    latents, control = torch.randn(1, 16, 2, 4, 4), torch.randn(1, 96, 2, 4, 4)
    text, time = torch.randn(1, 5, TEXT_DIM), torch.tensor([757])
    given = {"hidden_states": latents, "timestep": time, "encoder_hidden_states": text, "return_dict": False}
    plain = base()(**given)[0]
    vace = changed.transformer
    silent = vace(**given, control_hidden_states=control, control_hidden_states_scale=torch.zeros(1))[0]
    assert torch.equal(silent, plain)
    hinted = vace(**given, control_hidden_states=control)[0]
    assert (hinted - plain).abs().max() > 1e-3
    expected = {**network().state_dict(), **base().state_dict()}
    for name, weight in vace.state_dict().items():
        assert torch.equal(weight, expected[name]), name
    assert changed.key != models().key
    assert left_out(tmp_path / "base.safetensors") == [GATE]


def test_a_base_of_another_kind_changes_nothing(tmp_path: Path) -> None:
    whole = base().state_dict()
    first = "blocks.0.attn1.to_q.weight"
    wrong = {
        "short": {name: value for name, value in whole.items() if name != first},
        "wide": {**whole, first: torch.zeros(64, 64)},
        "other": {**whole, "blocks.0.attn3.weight": torch.zeros(2)},
        "nan": {**whole, first: torch.full_like(whole[first], float("nan"))},
    }
    for name, weights in wrong.items():
        path = tmp_path / f"{name}.safetensors"
        save_file(weights, path)
        loaded = models()
        with pytest.raises(Ani3DError, match=name) as caught:
            with_adapter(loaded, WanAdapter((path,)))
        assert caught.value.code == f"restoration.adapter_{'files' if name == 'nan' else 'base'}"
        assert all(
            torch.equal(value, network().state_dict()[key]) for key, value in loaded.transformer.state_dict().items()
        )


def test_adapters_and_bases_are_told_apart(tmp_path: Path) -> None:
    write_adapter(tmp_path / "lora.safetensors", 0)
    written(tmp_path / "base.safetensors")
    assert is_base(tmp_path / "base.safetensors") and not is_base(tmp_path / "lora.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    with pytest.raises(Ani3DError, match="torn"):
        with_adapter(models(), WanAdapter((tmp_path / "torn.safetensors",)))
    assert [model.name for model in adapters_of("wan2.1-vace-1.3b")] == ["fastwan-1.3b"]
