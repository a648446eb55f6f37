"""Pooling of preserve masks to latent resolution."""

from __future__ import annotations

import pytest
import torch

from ani3dhuman.errors import Ani3DError
from ani3dhuman.restoration.conditioning import latent_mask


def test_any_preserved_pixel_preserves_its_latent() -> None:
    mask = torch.zeros(9, 16, 24)
    mask[0, 3, 4] = 1  # frame 0 alone -> latent 0
    mask[4, 15, 23] = 1  # frames 1..4 -> latent 1
    mask[5, 0, 16] = 1  # frames 5..8 -> latent 2
    pooled = latent_mask(mask)
    assert pooled.shape == (3, 2, 3)
    assert pooled.nonzero().tolist() == [[0, 0, 0], [1, 1, 2], [2, 0, 2]]


@pytest.mark.parametrize("frames, latents", [(1, 1), (5, 2), (6, 3), (81, 21)])
def test_length_matches_the_causal_vae(frames: int, latents: int) -> None:
    assert len(latent_mask(torch.ones(frames, 8, 8))) == latents


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(Ani3DError) as caught:
        latent_mask(torch.ones(5, 12, 16))
    assert caught.value.code == "restoration.mask_size"
