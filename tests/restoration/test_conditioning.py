"""Pooling of preserve masks to latent resolution."""

from __future__ import annotations

import pytest
import torch

from ani3d_formats.errors import Ani3DError
from ani3dhuman.restoration.conditions.latent_mask import latent_mask, with_reference_frames


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


def test_reference_frames_come_first_with_a_mask_of_their_own() -> None:
    latents, reference = torch.randn(2, 16, 3, 4, 6), torch.randn(2, 16, 1, 4, 6)
    mask = (torch.rand(3, 4, 6) > 0.5).float()
    padded, padded_mask = with_reference_frames(latents, mask, reference, preserve=0.25)
    assert torch.equal(padded[:, :, :1], reference) and torch.equal(padded[:, :, 1:], latents)
    assert padded_mask.shape == (2, 1, 4, 4, 6)
    assert (padded_mask[:, :, 0] == 0.25).all()
    assert torch.equal(padded_mask[:, :, 1:], mask.expand(2, 1, 3, 4, 6))
    assert (with_reference_frames(latents, None, reference)[1] == 1).all()
    per_channel = torch.rand(1, 16, 1, 4, 6)
    assert torch.equal(with_reference_frames(latents, per_channel, reference)[1][1, :, 3], per_channel[0, :, 0])


@pytest.mark.parametrize(
    "mask, reference, code",
    [
        (None, (2, 16, 1, 4, 5), "restoration.reference_shape"),
        (None, (1, 16, 1, 4, 6), "restoration.reference_shape"),
        (None, (2, 16, 4, 6), "restoration.reference_shape"),
        ((4, 4, 6), (2, 16, 1, 4, 6), "restoration.mask_shape"),
        ((1, 8, 3, 4, 6), (2, 16, 1, 4, 6), "restoration.mask_shape"),
        ((1, 1, 1, 3, 4, 6), (2, 16, 1, 4, 6), "restoration.mask_shape"),
    ],
)
def test_reference_frames_that_do_not_fit_are_refused(mask: tuple | None, reference: tuple, code: str) -> None:
    with pytest.raises(Ani3DError) as caught:
        with_reference_frames(
            torch.zeros(2, 16, 3, 4, 6), None if mask is None else torch.ones(mask), torch.zeros(reference)
        )
    assert caught.value.code == code
