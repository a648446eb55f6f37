"""Appearance of Gaussians: what an offset does to scale, opacity and colour, and how far it can go."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ani3d_formats.errors import Ani3DError
from ani3dhuman.avatar.appearance import (
    CHANNELS,
    MAX_COLOR,
    MAX_LOGIT,
    MAX_SCALE,
    apply_appearance,
    check_appearance,
)
from ani3dhuman.avatar.binding import SurfaceBinding

COUNT = 6


@pytest.fixture
def binding() -> SurfaceBinding:
    """Three Gaussians on each of two triangles that share no vertex."""
    weights = np.random.default_rng(2).dirichlet([2, 2, 2], COUNT).astype(np.float32)
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(COUNT, 1)
    ids = torch.tensor([0, 0, 0, 1, 1, 1])
    return SurfaceBinding(torch.tensor([[0, 1, 2], [3, 4, 5]]), ids, torch.from_numpy(weights), quats)


@pytest.fixture
def plain() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scales, opacities and colours, the ends of their ranges among them."""
    random = torch.Generator().manual_seed(0)
    opacities = torch.tensor([0.1, 0.37, 0.9, 0.0, 1.0, 0.3])
    colors = torch.rand(COUNT, 3, generator=random)
    colors[0], colors[3] = 0, 1
    return 0.01 + 0.1 * torch.rand(COUNT, 3, generator=random), opacities, colors


def test_where_nothing_is_added_nothing_changes_by_a_bit(binding, plain):
    appearance = torch.zeros(6, CHANNELS)
    appearance[3:] = 0.7  # of the other triangle
    for before, after in zip(plain, apply_appearance(binding, appearance, *plain), strict=True):
        assert torch.equal(before[:3], after[:3]) and after.shape == before.shape
        assert not torch.equal(before[3:], after[3:])


def test_each_channel_changes_what_it_is_for(binding, plain):
    for channel in range(CHANNELS):
        appearance = torch.zeros(6, CHANNELS)
        appearance[:, channel] = 0.5
        scales, opacities, colors = apply_appearance(binding, appearance, *plain)
        assert torch.equal(scales, plain[0]) == (channel != 0)
        assert torch.equal(opacities, plain[1]) == (channel != 1)
        changed = (colors != plain[2]).any(0).tolist()
        assert changed == [channel == 2, channel == 3, channel == 4]


def test_offsets_are_of_log_scale_logit_and_colour_and_blend_over_the_triangle(binding, plain):
    appearance = torch.rand(6, CHANNELS, generator=torch.Generator().manual_seed(1)) - 0.3
    scales, opacities, colors = apply_appearance(binding, appearance, *plain)
    corners = appearance[binding.faces[binding.triangle_ids]]
    own = torch.tanh((corners * binding.barycentrics[..., None]).sum(1)).double()
    torch.testing.assert_close(scales.double(), plain[0] * MAX_SCALE ** own[:, :1])
    logits = torch.logit(plain[1].double()) + MAX_LOGIT * own[:, 1]
    torch.testing.assert_close(opacities.double(), torch.sigmoid(logits), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(colors.double(), (plain[2] + MAX_COLOR * own[:, 2:]).clamp(min=0))


@pytest.mark.parametrize("far", [-1e4, 1e4])
def test_no_offset_leads_beyond_the_bounds(binding, plain, far):
    scales, opacities, colors = apply_appearance(binding, torch.full((6, CHANNELS), far), *plain)
    torch.testing.assert_close(scales / plain[0], torch.full((COUNT, 3), MAX_SCALE if far > 0 else 1 / MAX_SCALE))
    assert (colors - plain[2]).abs().max() <= MAX_COLOR + 1e-6
    assert opacities.min() >= 0 and opacities.max() <= 1 and colors.min() >= 0
    assert (opacities[:3] - plain[1][:3]).abs().min() > 0.03 and opacities[3] == 0 and opacities[4] == 1


def test_gradients_are_those_of_differences(binding, plain):
    appearance = (0.4 * torch.rand(6, CHANNELS, generator=torch.Generator().manual_seed(3))).double().requires_grad_()
    inner = tuple(0.2 + 0.5 * values.double() for values in plain)  # a clipped colour has no slope
    exact = SurfaceBinding(binding.faces, binding.triangle_ids, binding.barycentrics.double(), binding.local_quats)
    assert torch.autograd.gradcheck(lambda x: apply_appearance(exact, x, *inner), (appearance,))


@pytest.mark.parametrize(
    ("appearance", "found"),
    [
        (np.zeros((2, 6, 3), np.float32), "(2, 6, 3)"),
        (np.zeros((3, 6, CHANNELS), np.float32), "(3, 6, 5)"),
        (np.full((2, 6, CHANNELS), np.nan, np.float32), "not finite"),
    ],
)
def test_appearance_of_another_mesh_is_refused(appearance, found):
    check_appearance(np.zeros((2, 6, CHANNELS), np.float32), 2, 6)
    with pytest.raises(Ani3DError) as caught:
        check_appearance(appearance, 2, 6)
    assert caught.value.code == "appearance.shape" and found in caught.value.message
    assert "(2, 6, 5)" in caught.value.hint
