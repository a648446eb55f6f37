"""LTX-Video as a prior: it says what diffusers' own pipeline says, and a bad folder is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLLTXVideo, LTXVideoTransformer3DModel
from test_wan_models import drop, rename
from tiny_ltx_repository import LAYOUT_095, TOKENS, tiny_ltx, whole_ltx, write_ltx
from transformers import T5Config, T5EncoderModel
from wan_scene import clip_at

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress
from ani3dhuman.clip import CoarseClip
from ani3dhuman.models.find import find
from ani3dhuman.models.machine import Machine
from ani3dhuman.models.registry import Model
from ani3dhuman.restoration import EncodedClip, RestoreConfig, SelfGuidedFlowMatchScheduler, restore
from ani3dhuman.restoration.conditions.scene import SceneConditions
from ani3dhuman.restoration.loading import FoundPrior, PriorOptions, PriorRequest, plans
from ani3dhuman.restoration.ltx.loader import load_ltx_prior
from ani3dhuman.restoration.ltx.prior import LtxConditions, LtxPrior
from ani3dhuman.restoration.video.vae import as_batch, as_frames, as_video

QUICK = RestoreConfig(strength=0.7, schedule_steps=3, overlap=1)  # two steps
WIDTH, HEIGHT = 96, 64
CPU = Machine("", "", "", (), "", 64.0, 100.0, {})


@pytest.fixture(scope="module")
def clip() -> CoarseClip:
    """17 frames of a size that LTX-Video takes as it is."""
    return clip_at(17, WIDTH, HEIGHT, 24.0)


@pytest.fixture(scope="module")
def odd() -> CoarseClip:
    """30 frames of an odd size: 33 of LTX-Video's, which are two windows of 25 frames and more."""
    return clip_at(30, 37, 53, 30.0)


@pytest.fixture(scope="module")
def encoded(clip: CoarseClip) -> EncodedClip:
    return tiny_ltx().encode(clip)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "LTX-Video-tiny"
    write_ltx(folder)
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked for something")

    monkeypatch.setattr("socket.socket.connect", refuse)


def test_latents_are_the_pipelines_own(clip: CoarseClip, encoded: EncodedClip) -> None:
    pipeline = whole_ltx()
    vae = pipeline.vae
    layer = clip.coarse_pictures()
    with torch.no_grad():
        raw = vae.encode(as_video(np.asarray(layer.rgb, np.float32) / 255)).latent_dist.mode()
    theirs = pipeline._normalize_latents(raw, vae.latents_mean, vae.latents_std, vae.config.scaling_factor)
    assert encoded.latents.shape == (3, 8, 2, 3)  # 1 + 8 + 8 frames, 32 x 32 pixels
    torch.testing.assert_close(as_batch(encoded.latents), theirs)


@pytest.mark.parametrize("timestep_conditioning", [True, False])
def test_decoding_is_the_pipelines_own(clip: CoarseClip, encoded: EncodedClip, timestep_conditioning: bool) -> None:
    pipeline = whole_ltx(timestep_conditioning=timestep_conditioning)
    mine = tiny_ltx(pipeline, decode_noise=0.3, decode_timestep=0.2).decode(clip, encoded, encoded.latents).frames
    vae = pipeline.vae
    raw = pipeline._denormalize_latents(as_batch(encoded.latents), vae.latents_mean, vae.latents_std, 1.0)
    time = None
    if timestep_conditioning:
        raw = 0.7 * raw + 0.3 * torch.randn(raw.shape, generator=torch.Generator().manual_seed(0))
        time = torch.tensor([0.2])
    with torch.no_grad():
        video = vae.decode(raw, time, return_dict=False)[0]
    theirs = pipeline.video_processor.postprocess_video(video, output_type="np")[0]
    np.testing.assert_allclose(mine, theirs, atol=2e-6)


def test_velocity_is_the_pipelines_own(encoded: EncodedClip) -> None:
    """What the unmodified pipeline's transformer is given and answers, guidance and masked prompts included."""
    pipeline, sigma, heard = whole_ltx(), 0.6, []
    pipeline.transformer.register_forward_hook(
        lambda _, args, kwargs, out: heard.append((kwargs, out[0])), with_kwargs=True
    )
    pipeline(
        prompt="a walk", negative_prompt="blur", width=WIDTH, height=HEIGHT, num_frames=17, frame_rate=24,
        timesteps=[1000 * sigma], guidance_scale=3.0, max_sequence_length=TOKENS, output_type="latent",
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    given, (unwanted, wanted) = heard[0][0], heard[0][1]
    assert float(given["timestep"][0]) == pytest.approx(1000 * sigma)
    noisy, theirs = (
        as_frames(pipeline._unpack_latents(tokens[None], 3, HEIGHT // 32, WIDTH // 32))
        for tokens in (given["hidden_states"][0], unwanted + 3.0 * (wanted - unwanted))
    )
    heard.clear()
    mine = tiny_ltx(pipeline).velocity(noisy, sigma, encoded.conditions)
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(heard[0][0]["video_coords"], given["video_coords"][:1])
    slower = tiny_ltx(pipeline).velocity(noisy, sigma, encoded.conditions / 2)  # 12 frames a second
    assert (slower - mine).abs().max() > 1e-4


def test_one_window_is_what_the_unmodified_pipeline_makes(clip: CoarseClip, encoded: EncodedClip) -> None:
    """The whole way down from noise, the pipeline's Euler steps against the deterministic sampler."""
    config = replace(QUICK, guidance_scale=0.0, stochastic=False)
    mine = restore(tiny_ltx(), clip, config).frames
    scheduler = SelfGuidedFlowMatchScheduler(strength=0.7, shift=5.0, guidance_scale=0.0, stochastic_sampling=False)
    scheduler.set_timesteps(config.steps)
    latents = scheduler.initial_latents(encoded.latents)
    pipeline = whole_ltx()
    positive, mask, negative, no_mask = pipeline.encode_prompt("a walk", "blur", max_sequence_length=TOKENS)
    ids = pipeline._scale_video_ids(pipeline._prepare_video_ids(1, 3, 2, 3)).float()
    ids[:, 0] /= clip.fps
    with torch.no_grad():
        for now, after in zip(scheduler.sigmas[:-1], scheduler.sigmas[1:], strict=True):
            answers = [
                pipeline.transformer(
                    pipeline._pack_latents(as_batch(latents)), text, now[None, None] * 1000, shown.float(),
                    video_coords=ids, return_dict=False,
                )[0]
                for text, shown in ((positive, mask), (negative, no_mask))
            ]  # fmt: skip
            velocity = pipeline._unpack_latents(answers[1] + 3.0 * (answers[0] - answers[1]), 3, 2, 3)
            latents = latents + (after - now) * as_frames(velocity)
    theirs = tiny_ltx(pipeline).decode(clip, encoded, latents).frames
    np.testing.assert_allclose(mine, theirs, atol=2e-5)


def test_a_preserved_pixel_preserves_its_latent(clip: CoarseClip) -> None:
    preserve = np.zeros((17, HEIGHT, WIDTH), np.float32)
    preserve[9, 40, 70] = 1  # of the third latent, which holds frames 9 to 16
    kept = tiny_ltx(preserve=preserve).encode(clip).preserve
    assert kept.shape == (3, 1, 2, 3) and kept[2, 0, 1, 2] == 1 and kept.sum() == 1
    with pytest.raises(Ani3DError) as caught:
        tiny_ltx(preserve=preserve[:3]).encode(clip)
    assert caught.value.code == "restoration.mask_size"


def test_guidance_one_runs_the_network_once(encoded: EncodedClip) -> None:
    calls: list[int] = []
    prior = tiny_ltx(guidance=1.0)
    prior.models.transformer.register_forward_hook(lambda *_: calls.append(1))
    prior.velocity(encoded.latents, 0.8, encoded.conditions)
    assert len(calls) == 1


@pytest.mark.parametrize("options, code", [({"window_frames": 24}, "window"), ({"guidance": 0.5}, "guidance")])
def test_options_that_cannot_be(options: dict[str, Any], code: str) -> None:
    with pytest.raises(Ani3DError) as caught:
        tiny_ltx(**options)
    assert caught.value.code == f"restoration.{code}"


def test_any_length_and_size_comes_back_as_it_was(odd: CoarseClip) -> None:
    prior = tiny_ltx(window_frames=25)
    one = restore(prior, odd, QUICK)
    assert one.frames.shape == (30, 53, 37, 3) and np.isfinite(one.frames).all()
    assert np.min(one.frames) >= 0 and np.max(one.frames) <= 1
    assert one.report["windows"] == 2 and one.report["video_frames"] == 33 and one.report["video_size"] == [64, 64]
    assert np.array_equal(one.frames, restore(tiny_ltx(window_frames=25), odd, QUICK).frames)
    assert not np.allclose(one.frames, restore(prior, odd, replace(QUICK, seed=1)).frames, atol=1e-3)


@pytest.mark.parametrize("part", ["transformer", "encoder", "decoder"])
def test_it_can_be_cancelled_and_goes_on_to_the_same_frames(odd: CoarseClip, part: str, tmp_path: Path) -> None:
    prior, calls, path = tiny_ltx(window_frames=25), [], tmp_path / "run.safetensors"
    vae = prior.models.vae
    blocks = {"encoder": vae.encoder.down_blocks[0], "decoder": vae.decoder.up_blocks[0]}
    hook = blocks.get(part, prior.models.transformer).register_forward_hook(lambda *_: calls.append(1))
    enough = 6 if part == "transformer" else 1  # in the second step
    with pytest.raises(Cancelled):
        restore(prior, odd, QUICK, Progress("restore", 1, should_cancel=lambda: len(calls) >= enough), path)
    assert len(calls) == enough
    assert np.array_equal(
        restore(prior, odd, QUICK, None, path).frames, restore(tiny_ltx(window_frames=25), odd, QUICK).frames
    )
    assert part != "transformer" or len(calls) == 6 + 4  # the first step was kept
    hook.remove()


def test_parameters_in_the_registry_are_the_networks() -> None:
    with torch.device("meta"):
        networks = {
            "transformer": LTXVideoTransformer3DModel(),
            "vae": AutoencoderKLLTXVideo(
                **LAYOUT_095,
                block_out_channels=(128, 256, 512, 1024, 2048),
                decoder_block_out_channels=(256, 512, 1024),
                layers_per_block=(4, 6, 6, 2, 2),
                decoder_layers_per_block=(5, 5, 5, 5),
            ),
            "text_encoder": T5EncoderModel(
                T5Config(
                    vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
                    feed_forward_proj="gated-gelu", is_encoder_decoder=False,
                )
            ),
        }  # fmt: skip
    entry = find("ltx-video-0.9.5")
    assert entry.parameters == {name: sum(p.numel() for p in net.parameters()) for name, net in networks.items()}
    sizes = 2 * (entry.count("transformer") + entry.count("vae")) + 4 * entry.count("text_encoder")
    assert entry.gigabytes == pytest.approx(sizes / 1e9, abs=0.1)


def request(folder: Path, clip: CoarseClip, adapter: Model | None = None, **changes: Any) -> PriorRequest:
    preserve = np.zeros((clip.frames, clip.cameras.height, clip.cameras.width), np.float32)
    empty = np.zeros((*preserve.shape, 3), np.uint8)
    made = SceneConditions(empty, "pose", preserve, empty[0], "a walk", "blur")
    found = FoundPrior(find(str(folder)), folder, adapter)
    return PriorRequest(found, clip, lambda: made, CPU, PriorOptions(text_guidance=3.0), **changes)


def test_the_registry_and_a_folder_find_the_loader(repository: Path, clip: CoarseClip, tmp_path: Path) -> None:
    entry = find("ltx-video-0.9.5")
    assert entry.loader == find(str(repository)).loader and entry.pipeline == "LTXConditionPipeline"
    prior = next(plans(request(repository, clip, cache=tmp_path)))()
    assert isinstance(prior, LtxPrior) and prior.models.vae.dtype == torch.float32
    zeros = np.zeros((clip.frames, HEIGHT, WIDTH), np.float32)
    built = tiny_ltx(preserve=zeros)
    built.prompts.max_tokens = prior.prompts.max_tokens
    assert prior.models.key == built.models.key
    mine = restore(prior, clip, QUICK)
    np.testing.assert_allclose(mine.frames, restore(built, clip, QUICK).frames, atol=2e-5)
    assert mine.report["prompt"] == "a walk" and "control video" in mine.report["conditions"][0]
    assert len(list(tmp_path.glob("prompt-*.safetensors"))) == 2


def test_half_precision_says_nearly_the_same(repository: Path, clip: CoarseClip) -> None:
    told = LtxConditions("a walk", "blur")
    exact, half = (
        np.asarray(restore(load_ltx_prior(repository, conditions=told, dtype=dtype), clip, QUICK).frames)
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert half.dtype == np.float32 and 0 < np.abs(half - exact).mean() < 0.02


def test_it_gets_leaner_once(repository: Path) -> None:
    long = clip_at(33, 640, 64, 24.0)  # more than a tile in width and in time
    ways = plans(request(repository, long))
    next(ways)
    prior = next(ways)()
    frames = restore(prior, long, QUICK).frames
    assert frames.shape == (33, 64, 640, 3) and np.isfinite(frames).all()
    assert isinstance(prior, LtxPrior) and prior.models.vae.use_tiling
    with pytest.raises(Ani3DError) as caught:
        next(ways)
    assert caught.value.code == "models.memory"


def test_no_adapter_goes_on_it(repository: Path, clip: CoarseClip) -> None:
    with pytest.raises(Ani3DError) as caught:
        next(plans(request(repository, clip, adapter=find("lightx2v-14b"))))()
    assert caught.value.code == "models.wrong_base"


def spiece(folder: Path) -> None:
    """The tokenizer as the hub has it."""
    (folder / "tokenizer" / "tokenizer.json").rename(folder / "tokenizer" / "spiece.model")


@pytest.mark.parametrize(
    "harm, code, named",
    [
        (drop("model_index.json"), "restoration.ltx_missing", "model_index.json"),
        (rename("_class_name", "LTXPipeline"), "restoration.ltx_class", "LTXPipeline"),
        (rename("vae", "AutoencoderKLWan"), "restoration.ltx_class", "AutoencoderKLWan"),
        (drop("vae/config.json"), "restoration.ltx_partial", "vae/config.json"),
        (drop("transformer/*00002-of*.safetensors"), "restoration.ltx_partial", "00002-of"),
        (drop("text_encoder/*.safetensors"), "restoration.ltx_partial", "text_encoder/"),
        (drop("tokenizer/tokenizer.json"), "restoration.ltx_partial", "tokenizer.json"),
        (
            lambda f: next(iter((f / "transformer").glob("*00001*.safetensors"))).write_bytes(b"x" * 99),
            "restoration.ltx_partial",
            "cannot be loaded",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(
    repository: Path, tmp_path: Path, harm: Callable, code: str, named: str
) -> None:
    folder = Path(shutil.copytree(repository, tmp_path / "model"))
    harm(folder)
    with pytest.raises(Ani3DError) as caught:
        load_ltx_prior(folder, conditions=LtxConditions("a walk"), dtype=torch.float32)
    assert caught.value.code == code and named in caught.value.message and caught.value.hint


def test_packages_that_the_tokenizer_needs_are_named(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ani3dhuman.restoration.ltx.loader.importlib.util.find_spec", lambda name: None)
    folder = Path(shutil.copytree(repository, tmp_path / "model"))
    spiece(folder)
    with pytest.raises(Ani3DError, match="sentencepiece and protobuf") as caught:
        load_ltx_prior(folder, conditions=LtxConditions("a walk"), dtype=torch.float32)
    assert caught.value.code == "models.needs_package" and "pip install" in caught.value.hint


def test_a_transformer_with_patches_is_refused() -> None:
    pipeline = whole_ltx()
    pipeline.transformer.register_to_config(patch_size=2)
    with pytest.raises(Ani3DError) as caught:
        tiny_ltx(pipeline)
    assert caught.value.code == "restoration.ltx_patch"
