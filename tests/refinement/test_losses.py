"""Every loss term against an answer known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from ani3dhuman.fields.hexplane import plane_variation
from ani3dhuman.refinement import losses
from ani3dhuman.similarity import ssim


def pictures(seed: int, side: int = 24) -> torch.Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed))


def everywhere(side: int = 24) -> torch.Tensor:
    return torch.ones(1, 1, side, side)


def turned(points: torch.Tensor, angle: float = 1.1) -> torch.Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return (
        points
        @ torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]).T
        @ torch.tensor([[1, 0, 0], [0, 0, -1.0], [0, 1, 0]])
    )


def test_l1_counts_only_the_weighted_pixels():
    a, b, weights = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)
    b[..., 0, 0], b[..., 3, 3], weights[..., 0, 0], weights[..., 1, 1] = 0.5, 1.0, 1, 1
    assert losses.pyramid_l1(a, b, weights, 1).item() == pytest.approx(0.25)
    assert losses.pyramid_l1(a, b, 0 * weights, 1).item() == 0


def test_l1_pyramid_averages_away_what_is_finer_than_a_level():
    a, b = torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
    b[..., ::2] = 1
    a[..., 1::2] = 1  # the same stripes, one pixel beside
    assert losses.pyramid_l1(a, b, everywhere(8), 1).item() == pytest.approx(1)
    assert losses.pyramid_l1(a, b, everywhere(8), 2).item() == pytest.approx(0.5)


def test_ssim_of_equal_pictures_is_one():
    a = pictures(0)
    assert torch.allclose(ssim.ssim_map(a, a), torch.ones_like(a), atol=1e-4)


def test_ssim_matches_its_formula():
    a, b = pictures(1), pictures(2) * 0.5
    x, y = a[0, 0].double().numpy(), b[0, 0].double().numpy()

    def blur(z: np.ndarray) -> np.ndarray:
        return gaussian_filter(z, 1.5, mode="constant", radius=5)

    mx, my = blur(x), blur(y)
    covariance = 2 * (blur(x * y) - mx * my) + ssim.C2
    variance = blur(x * x) - mx**2 + blur(y * y) - my**2 + ssim.C2
    expected = (2 * mx * my + ssim.C1) / (mx**2 + my**2 + ssim.C1) * covariance / variance
    assert np.allclose(ssim.ssim_map(a, b)[0, 0].numpy(), expected, atol=1e-4)


def test_photometric_is_zero_only_for_the_same_picture():
    a = pictures(3)
    assert losses.photometric(a, a, everywhere(), 0.3, 3).item() == pytest.approx(0, abs=1e-5)
    assert losses.photometric(a, pictures(4), everywhere(), 0.3, 3).item() > 0.1


def test_edge_lengths_and_stretch():
    vertices = torch.tensor([[0.0, 0, 0], [3, 4, 0], [3, 4, 2]])
    lengths = losses.edge_lengths(vertices, torch.tensor([[0, 1], [1, 2]]))
    assert torch.allclose(lengths, torch.tensor([5.0, 2.0]))
    span = torch.tensor([4.0, 2.0]), torch.tensor([5.0, 2.5])
    assert losses.stretch(lengths, *span).item() == 0
    # 10 % beyond the longest for one, half the shortest for the other
    assert losses.stretch(torch.tensor([5.5, 1.0]), *span).item() == pytest.approx((0.1**2 + 0.5**2) / 2, rel=1e-5)


def test_acceleration_is_zero_at_even_pace():
    start, way = torch.rand(5, 3), torch.rand(5, 3)
    even = torch.stack([start, start + way, start + 2 * way])
    assert losses.acceleration(even).item() == pytest.approx(0, abs=1e-12)
    even[1, :, 0] += 0.1
    assert losses.acceleration(even).item() == pytest.approx(0.04, rel=1e-4)


def test_plane_variation():
    space, time = torch.ones(3, 2, 4, 4), torch.ones(3, 2, 5, 4)
    assert plane_variation(space, time).item() == 0
    pace = time * torch.arange(5.0)[:, None]
    assert plane_variation(space, pace).item() == 0
    assert plane_variation(space * torch.arange(4.0) * 0.5, time).item() == pytest.approx(0.25)
    assert plane_variation(space, time * torch.arange(5.0)[:, None] ** 2).item() == pytest.approx(4)


def test_proposal_is_quadratic_near_and_linear_far():
    offsets, proposed = torch.zeros(2, 3), torch.zeros(2, 3)
    proposed[0, 0], proposed[1, 0] = 0.001, 1.0
    one, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    assert losses.proposal(offsets, proposed, one, 0.01).item() == pytest.approx(0.5 * 0.1**2, rel=0.01)
    assert losses.proposal(offsets, proposed, other, 0.01).item() == pytest.approx(100, rel=0.02)
    assert losses.proposal(offsets, proposed, 0 * one, 0.01).item() == 0
