"""A Wan VACE repository as the hub lays them out, of 0.2 M random parameters, made and read offline."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SchedulerMixin, WanVACEPipeline
from tiny_wan import TEXT_DIM, tiny_wan_vace
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

LETTERS = "abcdefghijklmnopqrstuvwxyz,."
VOCABULARY = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A token a letter, and the end mark."""
    words = Tokenizer(models.Unigram(VOCABULARY, unk_id=2))
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def tiny_text_encoder(seed: int = 0) -> UMT5EncoderModel:
    torch.manual_seed(seed)
    config = UMT5Config(
        vocab_size=64, d_model=TEXT_DIM, d_kv=8, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
        is_encoder_decoder=True,
    )  # fmt: skip
    return UMT5EncoderModel(config).eval()


def whole_wan_vace(scheduler: SchedulerMixin | None = None, boundary_ratio: float | None = None) -> WanVACEPipeline:
    """`tiny_wan_vace` with its text encoder."""
    pipeline = tiny_wan_vace(scheduler or FlowMatchEulerDiscreteScheduler(shift=5.0), boundary_ratio=boundary_ratio)
    pipeline.register_modules(text_encoder=tiny_text_encoder(), tokenizer=tiny_tokenizer())
    return pipeline


def write_repository(folder: Path, boundary_ratio: float | None = None) -> WanVACEPipeline:
    """Save `whole_wan_vace` to `folder` in shards of 60 kB and give it back."""
    pipeline = whole_wan_vace(boundary_ratio=boundary_ratio)
    pipeline.save_pretrained(folder, safe_serialization=True, max_shard_size="60KB")
    index = json.loads((folder / "model_index.json").read_text())
    index["tokenizer"] = ["transformers", "T5TokenizerFast"]  # as the hub's repositories say
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    return pipeline
