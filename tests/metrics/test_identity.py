"""CLIP identity, on a tiny random network of the same class."""

from pathlib import Path

import numpy as np
import pytest
import torch
from patterns import noisy, texture
from transformers import CLIPConfig, CLIPModel

from ani3d_formats.errors import Ani3DError
from ani3dhuman.metrics.identity import clip_embeddings, clip_identity

CLIP = np.stack([texture(40, 24, 3 * t) for t in range(4)])


@pytest.fixture
def tiny_clip(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={**layers, "vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1},
        vision_config={**layers, "image_size": 32, "patch_size": 8},
        projection_dim=12,
    )
    CLIPModel(config).save_pretrained(tmp_path / "clip")
    return tmp_path / "clip"


def test_clip_identity_of_the_same_pictures_is_one(tiny_clip):
    assert clip_identity(CLIP, CLIP, tiny_clip) == pytest.approx(1, abs=1e-6)
    other = clip_identity(noisy(CLIP, 0.4), CLIP, tiny_clip)
    assert other < 0.999
    embeddings = clip_embeddings(CLIP, tiny_clip)
    assert embeddings.shape == (4, 12)
    to_first = float((embeddings @ embeddings[0]).mean())
    assert clip_identity(CLIP, CLIP[:1], tiny_clip) == pytest.approx(to_first, abs=1e-6)


def test_clip_sees_head_and_feet(tiny_clip):
    changed = CLIP.copy()
    changed[:, :4] = 0
    assert np.abs(clip_embeddings(changed, tiny_clip) - clip_embeddings(CLIP, tiny_clip)).max() > 1e-3


def test_a_missing_clip_model_says_how_to_get_one(tmp_path):
    with pytest.raises(Ani3DError) as caught:
        clip_identity(CLIP, CLIP, tmp_path / "nothing")
    assert caught.value.code == "metrics.weights"
    assert "hf download" in caught.value.hint
