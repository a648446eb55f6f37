"""Wan-Fun-Control from the files its authors publish: the network's own numbers, and a prior that restores."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from published_wan_fun import CONFIG, TINY, published_network, published_shapes, write_published
from safetensors.torch import load_file, save_file
from tiny_wan_repository import tiny_text_encoder, tiny_tokenizer, write_repository
from transformers import CLIPVisionConfig, CLIPVisionModel
from wan_scene import clip_at, moving_bar, noise_picture

from ani3d_formats.errors import Ani3DError
from ani3dhuman.clip import CoarseClip
from ani3dhuman.models.find import find
from ani3dhuman.models.registry import known_models
from ani3dhuman.restoration import RestoreConfig, restore
from ani3dhuman.restoration.loading import find_prior
from ani3dhuman.restoration.video.prompts import PromptEncoder
from ani3dhuman.restoration.video.vae import as_batch, as_frames
from ani3dhuman.restoration.wan.fun_control import (
    FunControlPrior,
    PictureReader,
    load_fun_prior,
    read_transformer,
    transformer_config,
)
from ani3dhuman.restoration.wan.prior import WanConditions, WanOptions

WIDTH, HEIGHT = 48, 64
OLD = {**TINY, "add_ref_conv": False}  # as the first release
REFERENCE = WanConditions(moving_bar, "a walk", "blur", noise_picture(WIDTH, HEIGHT))
QUICK = RestoreConfig(strength=0.7, schedule_steps=3, overlap=1)


@pytest.fixture(scope="module")
def clip() -> CoarseClip:
    return clip_at(9, WIDTH, HEIGHT, 16.0)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts")
    write_repository(folder)
    return folder


def prompts() -> PromptEncoder:
    return PromptEncoder(lambda: (tiny_tokenizer(), tiny_text_encoder()), "tiny")


def prior_of(
    folder: Path, parts: Path, conditions: WanConditions = REFERENCE, **options: Any
) -> tuple[FunControlPrior, dict[str, torch.Tensor]]:
    """A prior of random published weights, and these."""
    config = options.pop("config", TINY)
    weights = write_published(folder, config)
    prior = load_fun_prior(
        folder,
        parts=parts,
        conditions=conditions,
        prompts=prompts(),
        dtype=torch.float32,
        options=WanOptions(**options),
    )
    return prior, weights


def test_names_and_shapes_of_the_published_model_are_those_that_are_read() -> None:
    with torch.device("meta"):
        network = WanTransformer3DModel(**transformer_config(CONFIG))
        published = {name: torch.empty(shape) for name, shape in published_shapes(CONFIG).items()}
    count = sum(value.numel() for value in published.values())
    own = {name: value for name, value in published.items() if not name.startswith("ref_conv.")}
    found = {name: value.shape for name, value in convert_wan_transformer_to_diffusers(own).items()}
    assert found == {name: value.shape for name, value in network.state_dict().items()}
    model = known_models()["wan2.1-fun-1.3b-control"]
    assert model.count("transformer") == count == (model.transformer and model.transformer.parameters)


@pytest.mark.parametrize("config", [TINY, OLD, {**OLD, "model_type": "t2v"}])
@pytest.mark.parametrize("reference", [False, True])
def test_a_velocity_is_that_of_the_authors_network(
    tmp_path: Path, parts: Path, config: dict[str, Any], reference: bool
) -> None:
    prior, weights = prior_of(
        tmp_path, parts, replace(REFERENCE, reference=REFERENCE.reference if reference else None), config=config
    )
    generator = torch.Generator().manual_seed(1)
    latents, control, still = (torch.randn(1, 16, frames, 8, 6, generator=generator) for frames in (3, 3, 1))
    still = still if reference else torch.zeros_like(still)
    features = None
    if config["model_type"] == "i2v":
        features = torch.randn(1, 257, TINY["image_dim"], generator=generator)
        prior.__dict__["picture_features"] = features
    conditions = torch.cat([control, still.expand_as(control)], 1)
    mine = prior.velocity(as_frames(latents), 0.6, as_frames(conditions))

    start = torch.zeros_like(control)
    if not config.get("add_ref_conv"):
        start[:, :, :1] = still
    front = still[:, :, 0] if config.get("add_ref_conv") else None
    wanted = [
        published_network(
            weights, config, torch.cat([latents, control, start], 1), 600.0, text.float(), features, front
        )
        for text in prompts().encode(["a walk", "blur"])
    ]
    guided = wanted[1] + 5.0 * (wanted[0] - wanted[1])
    assert mine.std() > 0.1 and torch.allclose(as_batch(mine), guided, atol=2e-5 * float(guided.abs().max()))


def test_a_clip_is_restored_in_windows_with_a_reference(tmp_path: Path, parts: Path) -> None:
    longer = clip_at(17, WIDTH, HEIGHT, 16.0)
    prior, _ = prior_of(tmp_path, parts, window_frames=9)
    encoded = prior.encode(longer)
    assert encoded.anchors == 0 and encoded.latents.shape == (5, 16, 8, 6) and encoded.conditions.shape[1] == 32
    assert torch.equal(encoded.conditions[0, 16:], encoded.conditions[4, 16:]) and encoded.conditions[0, 16:].any()
    restored = restore(prior, longer, QUICK)
    assert restored.frames.shape == (17, HEIGHT, WIDTH, 3) and np.isfinite(restored.frames).all()
    assert restored.report["prior"] == "wan-fun-control"
    alone, _ = prior_of(tmp_path, parts, replace(REFERENCE, reference=None), window_frames=9)
    assert alone.encode(longer).key != encoded.key
    assert not np.array_equal(restore(alone, longer, QUICK).frames, restored.frames)


def test_the_reference_is_read_by_clips_vision_tower_where_it_lies_there(
    tmp_path: Path, parts: Path, clip: CoarseClip
) -> None:
    without, _ = prior_of(tmp_path, parts)
    features = without.picture_features
    assert features is not None and features.shape == (1, 257, TINY["image_dim"]) and not features.any()
    torch.manual_seed(0)
    CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=24, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2, image_size=32,
            patch_size=2, hidden_act="gelu",
        )
    ).save_pretrained(tmp_path / "image_encoder")  # fmt: skip
    prior, _ = prior_of(tmp_path, parts)
    features = prior.picture_features
    assert features is not None and features.shape == (1, 257, 24) and features.std() > 0.1
    assert isinstance(prior.reader, PictureReader)
    assert torch.equal(features, prior.reader(noise_picture(WIDTH, HEIGHT)))
    assert prior.encode(clip).key != without.encode(clip).key
    blank, _ = prior_of(tmp_path, parts, replace(REFERENCE, reference=None))
    assert blank.picture_features is not None and not blank.picture_features.any()


def _edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _lose(folder: Path, name: str) -> None:
    path = folder / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    del weights[name]
    save_file(weights, path)


@pytest.mark.parametrize(
    ("harm", "code", "named"),
    [
        (lambda f: (f / "config.json").unlink(), "restoration.wan_missing", "config.json is missing"),
        (lambda f: (f / "config.json").write_text("{"), "restoration.wan_partial", "config.json cannot be read"),
        (lambda f: _edit(f, num_heads=0), "restoration.wan_partial", "config.json cannot be read"),
        (lambda f: _edit(f, in_dim=36), "restoration.wan_class", "20 channels of conditions"),
        (lambda f: _edit(f, add_control_adapter=True), "restoration.wan_class", "not a Wan-Fun-Control"),
        (lambda f: _edit(f, num_layers=3), "restoration.wan_partial", "blocks.2"),
        (lambda f: _edit(f, ffn_dim=65), "restoration.wan_partial", "of another shape"),
        (lambda f: _edit(f, add_ref_conv=False), "restoration.wan_partial", "reference convolution"),
        (lambda f: _lose(f, "ref_conv.bias"), "restoration.wan_partial", "reference convolution"),
        (lambda f: _lose(f, "blocks.1.ffn.2.bias"), "restoration.wan_partial", "blocks.1.ffn.net.2.bias"),
        (lambda f: (f / "diffusion_pytorch_model.safetensors").write_bytes(b"x" * 99), "restoration.wan_partial", ""),
        (lambda f: (f / "diffusion_pytorch_model.safetensors").unlink(), "restoration.wan_partial", "safetensors"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(
    tmp_path: Path, harm: Callable[[Path], object], code: str, named: str
) -> None:
    write_published(tmp_path)
    harm(tmp_path)
    with pytest.raises(Ani3DError) as caught:
        read_transformer(tmp_path, torch.float32)
    assert caught.value.code == code and named in caught.value.message


def test_adapters_which_are_all_of_vace_are_refused(tmp_path: Path) -> None:
    write_published(tmp_path)
    with pytest.raises(Ani3DError, match=r"fastwan-1\.3b does not go with") as caught:
        find_prior(str(tmp_path), "fastwan-1.3b")
    assert caught.value.code == "models.wrong_base"


def test_a_folder_of_ones_own_is_known_for_what_it_is(tmp_path: Path) -> None:
    write_published(tmp_path)
    model = find(str(tmp_path))
    assert model.pipeline == "WanFunControlPipeline" and model.beside == "wan2.1-vace-1.3b"
    assert model.transformer and model.count("transformer") == model.transformer.parameters
    assert read_transformer(tmp_path, torch.bfloat16).patch_embedding.reference.weight.dtype == torch.bfloat16
