"""CLIP identity and Frechet distances, on tiny stand-in networks of the same form and on closed formulas."""

from pathlib import Path

import numpy as np
import pytest
import torch
from patterns import noisy, texture
from transformers import CLIPConfig, CLIPModel

from ani3dhuman.errors import Ani3DError
from ani3dhuman.metrics.distribution import (
    SetDistance,
    frechet_distance,
    frechet_inception_distance,
    frechet_video_distance,
)
from ani3dhuman.metrics.identity import clip_embeddings, clip_identity

CLIP = np.stack([texture(40, 24, 3 * t) for t in range(4)])


class TinyInception(torch.nn.Module):
    """Stands in for the TorchScript Inception: pictures 0..255 to three features."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return x.mean([2, 3]) if return_features else x.new_zeros(len(x), 1)


class TinyI3D(torch.nn.Module):
    """Stands in for the TorchScript I3D: mean colour and how much it changes."""

    def forward(
        self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> torch.Tensor:
        assert rescale and resize and return_features
        return torch.cat([x.mean([2, 3, 4]), x.mean([3, 4]).std(2)], 1)


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


def test_frechet_distance_of_diagonal_gaussians():
    """|m|^2 + sum (s - r)^2 for features whose sample covariances are exactly diagonal."""
    rng = np.random.default_rng(0)
    white = rng.standard_normal((200, 4))
    white = np.linalg.qr(white - white.mean(0))[0] * np.sqrt(199)
    s, r, shift = np.array([1, 2, 3, 0.5]), np.array([2, 2, 1, 0.1]), np.array([0.3, 0, -1, 2])
    expected = (shift**2).sum() + ((s - r) ** 2).sum()
    assert frechet_distance(white * s + shift, white * r) == pytest.approx(expected)
    assert frechet_distance(white * s + 7, (white * s + 7)[::-1]) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_with_fewer_samples_than_features():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((5, 12)), 2 * rng.standard_normal((7, 12)) + 1
    A, B = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(A)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(A + B - 2 * np.real(sqrtm(root @ B @ root)))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-4)


def test_sets_are_measured_with_the_networks_of_the_field(tmp_path):
    torch.jit.script(TinyInception()).save(str(tmp_path / "inception.pt"))
    torch.jit.script(TinyI3D()).save(str(tmp_path / "i3d.pt"))
    truths = [np.full((33, 8, 8, 3), v, np.float32) for v in (0.2, 0.4, 0.6)]
    brighter = [t + 51 / 255 for t in truths]
    same = frechet_inception_distance(truths, truths[::-1], tmp_path / "inception.pt")
    assert same.value == pytest.approx(0, abs=1e-6) and same.samples == 99
    apart = frechet_inception_distance(brighter, truths, tmp_path / "inception.pt")
    assert apart.value == pytest.approx(3 * 51**2, rel=1e-4)
    videos = frechet_video_distance(brighter, truths, tmp_path / "i3d.pt")
    assert videos.value == pytest.approx(3 * 51**2, rel=1e-4) and videos.samples == 6
    flickering = [t.copy() for t in truths]
    for clip in flickering:
        clip[::2] += 20 / 255
        clip[1::2] -= 20 / 255
    assert frechet_video_distance(flickering, truths, tmp_path / "i3d.pt").value > 3 * 20**2 * 0.9


def test_what_was_not_measured_has_no_number(tmp_path):
    for figure in (frechet_inception_distance, frechet_video_distance):
        for weights in (None, tmp_path / "none.pt"):
            missing = figure([CLIP], [CLIP], weights)
            assert missing.value is None
            assert str(missing).startswith("not measured: ") and ".pt" in missing.reason
    torch.jit.script(TinyI3D()).save(str(tmp_path / "i3d.pt"))
    short = frechet_video_distance([CLIP], [CLIP], tmp_path / "i3d.pt")
    assert short.value is None and "0 samples" in short.reason
    assert str(SetDistance(12.5, 7)) == "12.50 (7 samples)"
