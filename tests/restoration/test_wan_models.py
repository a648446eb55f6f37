"""Loading Wan VACE from a folder, and its prompts: sharded, offline, and what is said when something is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_wan_repository import tiny_text_encoder, tiny_tokenizer, whole_wan_vace, write_repository
from wan_scene import models_of

from ani3d_formats.errors import Ani3DError
from ani3dhuman.restoration.video.prompts import PromptEncoder
from ani3dhuman.restoration.wan.loader import load_wan_prior
from ani3dhuman.restoration.wan.networks import WanModels, load_prompt_encoder, load_wan_models
from ani3dhuman.restoration.wan.prior import WanConditions


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "Wan-VACE-tiny-diffusers"
    write_repository(folder, boundary_ratio=0.875)
    return folder


@pytest.fixture()
def copy(repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(repository, tmp_path / "model"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked for something")

    monkeypatch.setattr("socket.socket.connect", refuse)


def test_a_sharded_repository_gives_the_pipelines_own_weights(repository: Path) -> None:
    index = json.loads((repository / "transformer" / "diffusion_pytorch_model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    models = load_wan_models(repository, dtype=torch.float32)
    pipeline = whole_wan_vace(boundary_ratio=0.875)
    assert models.key == models_of(pipeline).key
    for mine, theirs in (
        (models.vae, pipeline.vae),
        (models.transformer, pipeline.transformer),
        (models.transformer_2, pipeline.transformer_2),
    ):
        state = theirs.state_dict()
        assert mine.state_dict().keys() == state.keys() and not mine.training
        assert all(torch.equal(value, state[name]) for name, value in mine.state_dict().items())
    assert models.boundary_ratio == 0.875


def test_precisions(repository: Path) -> None:
    models = load_wan_models(repository, dtype=torch.bfloat16)
    assert models.vae.dtype == torch.float32
    assert models.transformer.dtype == models.transformer_2.dtype == torch.bfloat16
    assert models.transformer.blocks[0].scale_shift_table.dtype == torch.float32  # what must stay exact stays so


def test_prompts_are_the_pipelines_own(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diffusers.pipelines.wan.pipeline_wan_vace.prompt_clean", str.strip)  # needs ftfy otherwise
    wanted = whole_wan_vace().encode_prompt("a person moving", "", max_sequence_length=40, device="cpu")
    encoder = load_prompt_encoder(repository, dtype=torch.float32, max_tokens=40)
    for mine, theirs in zip(encoder.encode([" a person\n moving", ""]), wanted, strict=True):
        assert mine.shape == theirs.shape == (1, 40, 32)
        torch.testing.assert_close(mine, theirs, atol=2e-6, rtol=0)


def test_the_text_encoder_is_loaded_only_for_new_prompts(tmp_path: Path) -> None:
    loads = []

    def load() -> tuple:
        loads.append(1)
        return tiny_tokenizer(), tiny_text_encoder()

    encoder = PromptEncoder(load, "tiny", tmp_path)
    first = encoder.encode(["a walk", "blur"])
    assert len(loads) == 1
    encoder.encode(["blur", "a  walk"])
    again = PromptEncoder(load, "tiny", tmp_path)
    assert torch.equal(again.encode(["a walk"])[0], first[0]) and len(loads) == 1
    PromptEncoder(load, "another", tmp_path).encode(["a walk"])
    assert len(loads) == 2  # embeddings of another model are not taken
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:20])
    assert torch.equal(PromptEncoder(load, "tiny", tmp_path).encode(["a walk"])[0], first[0])


def test_a_prompt_that_is_too_long_is_counted() -> None:
    encoder = PromptEncoder(lambda: (tiny_tokenizer(), tiny_text_encoder()), "tiny", max_tokens=8)
    with pytest.raises(Ani3DError, match="has 15 tokens; the model reads 8") as caught:
        encoder.encode(["a long prompt"])
    assert caught.value.code == "restoration.prompt_length"


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: next(iter(sorted(folder.glob(name)))).unlink()


def rename(part: str, name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "model_index.json"
        index = json.loads(path.read_text())
        index[part] = name if part == "_class_name" else [index[part][0], name]
        path.write_text(json.dumps(index))

    return edit


def lose_weight(folder: Path) -> None:
    """A shard without one of its weights, and an index that agrees."""
    from safetensors.torch import load_file, save_file

    path = folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    index = json.loads(path.read_text())
    name, shard = next((n, s) for n, s in index["weight_map"].items() if "vace_blocks" in n)
    weights = load_file(folder / "transformer" / shard)
    del weights[name], index["weight_map"][name]
    save_file(weights, folder / "transformer" / shard, {"format": "pt"})
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    "harm, code, named",
    [
        (drop("model_index.json"), "restoration.wan_missing", "model_index.json"),
        (lambda f: (f / "model_index.json").write_text("{"), "restoration.wan_partial", "model_index.json"),
        (rename("_class_name", "WanPipeline"), "restoration.wan_class", "WanPipeline"),
        (rename("vae", "AutoencoderKL"), "restoration.wan_class", "AutoencoderKL"),
        (rename("transformer", "WanTransformer3DModel"), "restoration.wan_class", "WanTransformer3DModel"),
        (rename("text_encoder", "T5EncoderModel"), "restoration.wan_class", "T5EncoderModel"),
        (drop("vae/config.json"), "restoration.wan_partial", "vae/config.json"),
        (drop("vae/*.safetensors"), "restoration.wan_partial", "vae/"),
        (drop("transformer/*00002-of*.safetensors"), "restoration.wan_partial", "00002-of"),
        (drop("transformer_2/*00001-of*.safetensors"), "restoration.wan_partial", "transformer_2/"),
        (drop("text_encoder/*00001-of*.safetensors"), "restoration.wan_partial", "text_encoder/"),
        (drop("tokenizer/tokenizer.json"), "restoration.wan_partial", "tokenizer.json"),
        (lose_weight, "restoration.wan_partial", "vace_blocks"),
        (
            lambda f: next(iter((f / "transformer").glob("*00001*.safetensors"))).write_bytes(b"x" * 99),
            "restoration.wan_partial",
            "cannot be loaded",
        ),
        (
            lambda f: next(iter((f / "text_encoder").glob("*00001*.safetensors"))).write_bytes(b"x" * 99),
            "restoration.wan_partial",
            "cannot be loaded",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(copy: Path, harm: Callable, code: str, named: str) -> None:
    harm(copy)
    with pytest.raises(Ani3DError) as caught:
        load_wan_prior(copy, conditions=WanConditions(lambda clip: clip, "a walk"), dtype=torch.float32)
    assert caught.value.code == code and named in caught.value.message and caught.value.hint


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Ani3DError) as caught:
        load_wan_models(tmp_path / "nowhere")
    assert caught.value.code == "restoration.wan_missing"


def test_one_expert_without_a_boundary_and_none_with_it() -> None:
    pipeline = whole_wan_vace(boundary_ratio=0.875)
    with pytest.raises(Ani3DError) as caught:
        WanModels(pipeline.vae, pipeline.transformer, None, 0.875, torch.device("cpu"), "")
    assert caught.value.code == "restoration.wan_experts"
