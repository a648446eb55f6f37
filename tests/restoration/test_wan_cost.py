"""Operations are those that torch counts in diffusers' networks."""

from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel, WanVACETransformer3DModel
from tiny_networks import TEXT, TRANSFORMER, inputs, transformer, vae
from torch.utils.flop_counter import FlopCounterMode

from ani3d_formats.errors import Ani3DError
from ani3dhuman.models.registry import priors
from ani3dhuman.models.shapes import ClipShape, VaeShape, WanShape
from ani3dhuman.restoration.wan.cost import (
    CARDS,
    decode_flops,
    encode_flops,
    minutes,
    shot_cost,
    transformer_flops,
)
from ani3dhuman.restoration.wan.memory import IMAGE_TOKENS, TEXT_TOKENS

CLIPS = [ClipShape(64, 48, 5), ClipShape(96, 64, 17, references=1)]


def counted(run) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("control", [[0], [0, 1, 2]])
def test_transformer_operations_are_what_torch_counts(clip, control):
    network = transformer(vace_layers=control).to("meta")  # there attention is spelt out, and so counted
    found = counted(lambda: network(**inputs(clip, device="meta")))
    shape = WanShape.from_config(network.config)
    assert transformer_flops(shape, clip, TEXT) == pytest.approx(found, rel=0.001)


def test_operations_of_the_real_transformers_are_what_torch_counts():
    for model in priors():
        shape, clip = model.transformer, ClipShape(480, 832, 81)
        sizes = {
            "num_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "attention_head_dim": shape.head_dim,
            "ffn_dim": shape.ffn,
        }
        given = inputs(clip, device="meta", text_dim=4096)
        with torch.device("meta"):  # shapes only: nothing is computed
            if shape.vace:
                network = WanVACETransformer3DModel(**sizes, vace_layers=list(range(shape.vace)))
            else:
                network = WanTransformer3DModel(
                    **sizes, in_channels=shape.channels, image_dim=shape.image_dim, added_kv_proj_dim=shape.hidden
                )
                given.pop("control_hidden_states")
                given["hidden_states"] = given["hidden_states"].repeat(1, 3, 1, 1, 1)
                given["encoder_hidden_states"] = torch.empty(1, TEXT_TOKENS, shape.text_dim)
                given["encoder_hidden_states_image"] = torch.empty(1, IMAGE_TOKENS, shape.image_dim)
        found = counted(lambda net=network, given=given: net(**given))
        tokens = given["encoder_hidden_states"].shape[1]
        assert transformer_flops(shape, clip, tokens) == pytest.approx(found, rel=0.001)


@pytest.mark.parametrize("clip", [ClipShape(64, 48, 5), ClipShape(96, 64, 17)])
@pytest.mark.parametrize("changes", [{}, {"dim_mult": [1, 1, 2, 4], "num_res_blocks": 2}])
def test_vae_operations_are_what_torch_counts(clip, changes):
    network = vae(**changes).to("meta")
    shape = VaeShape.from_config(network.config)
    latents = torch.randn(1, 16, clip.latent_frames, clip.height // 8, clip.width // 8, device="meta")
    video = torch.randn(1, 3, clip.frames, clip.height, clip.width, device="meta")
    assert decode_flops(shape, clip) == pytest.approx(counted(lambda: network.decode(latents)), rel=0.001)
    assert encode_flops(shape, clip) == pytest.approx(counted(lambda: network.encode(video)), rel=0.001)


def test_few_steps_without_guidance_cost_a_fraction():
    plain = shot_cost("wan2.1-vace-14b", 480, 832, 81)
    quick = shot_cost("wan2.1-vace-14b", 480, 832, 81, "lightx2v-14b")
    assert (plain.passes, quick.passes) == (14, 4)
    assert quick.transformer == pytest.approx(plain.transformer * 4 / 14)
    assert quick.vae == plain.vae


def test_long_shots_are_cut_into_windows_that_overlap():
    assert [shot_cost("wan2.1-vace-1.3b", 480, 832, frames).windows for frames in (81, 82, 145, 146)] == [1, 2, 2, 3]


def test_minutes_fall_with_the_card_and_rise_with_the_size():
    small, large = (shot_cost("wan2.1-vace-1.3b", 480, size, 81) for size in (480, 960))
    times = [minutes(large, card) for card in sorted(CARDS, key=lambda card: card.tflops)]
    assert times == sorted(times, reverse=True)
    assert minutes(large, CARDS[0]) > 2.2 * minutes(small, CARDS[0])  # attention grows with the square


def test_wrong_prior_and_wrong_adapter_are_said():
    with pytest.raises(Ani3DError, match="not a Wan prior"):
        shot_cost("compact", 480, 832, 81)
    with pytest.raises(Ani3DError, match=r"not made for wan2\.1-vace-1\.3b\. Use one of fastwan-1\.3b"):
        shot_cost("wan2.1-vace-1.3b", 480, 832, 81, "lightx2v-14b")


def test_configuration_of_the_tiny_network_has_every_size_that_counts():
    shape = WanShape.from_config(TRANSFORMER)
    assert shape.parameters == sum(parameter.numel() for parameter in transformer().parameters())
