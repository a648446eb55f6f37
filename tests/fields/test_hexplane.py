"""The residual field: zero until trained, gated, the same for one time and many, kept on disk."""

from __future__ import annotations

import pytest
import torch

from ani3d_formats.errors import Ani3DError
from ani3dhuman.fields.hexplane import FieldConfig, ResidualField, displace, hat_weights

SMALL = FieldConfig(resolutions=(4, 9), time_resolution=5, channels=3, hidden=8)


@pytest.fixture
def points() -> torch.Tensor:
    return torch.rand(40, 3, generator=torch.Generator().manual_seed(1))


def field(trained: bool, config: FieldConfig = SMALL) -> ResidualField:
    made = ResidualField(torch.zeros(3), torch.ones(3), config, seed=2)
    if trained:
        with torch.no_grad():
            made.decoder[2].weight.copy_(torch.randn(3, config.hidden, generator=torch.Generator().manual_seed(3)))
    return made


def test_zero_at_start_exactly(points):
    offsets = field(trained=False)(points, torch.linspace(0, 1, 7))
    assert offsets.shape == (7, 40, 3)
    assert (offsets == 0).all()


def test_the_first_step_can_leave_zero(points):
    made = field(trained=False)
    made(points, 0.3).sum().backward()
    assert made.decoder[2].weight.grad.abs().max() > 0


def test_closed_gates_give_exactly_zero_and_half_open_gates_half(points):
    made, gates = field(trained=True), torch.full((40,), 0.5)
    gates[:10] = 0
    free, gated = made(points, 0.4), made(points, 0.4, gates)
    assert (gated[:10] == 0).all() and free.abs().min(-1).values.max() > 0
    assert torch.equal(gated[10:], free[10:] * 0.5)


def test_many_times_at_once_equal_one_by_one(points):
    made, times = field(trained=True), torch.tensor([0.0, 0.31, 1.0])
    together = made(points, times)
    for t, offsets in zip(times, together, strict=True):
        assert torch.allclose(made(points, float(t)), offsets, atol=1e-6)
    assert (together[0] - together[2]).abs().max() > 1e-4


def test_equals_bilinear_sampling_of_every_plane(points):
    """The line-by-line evaluation against the plain one: grid_sample of all six planes."""
    made, time = field(trained=True), 0.37
    products = []
    for space, moving in zip(made.space_planes, made.time_planes, strict=True):
        for k, (axes, axis) in enumerate(zip(((0, 1), (0, 2), (1, 2)), (2, 1, 0), strict=True)):
            still = points[:, axes] * 2 - 1
            travel = torch.stack([points[:, axis], torch.full((40,), time)], -1) * 2 - 1
            pair = [
                torch.nn.functional.grid_sample(plane[None, k], at[None, None], align_corners=True)[0, :, 0].T
                for plane, at in ((space, still), (moving, travel))
            ]
            products.append(pair[0] * pair[1])
    expected = SMALL.reach * made.decoder(torch.cat(products, -1))
    assert torch.allclose(made(points, time), expected, atol=1e-6)


def test_hat_weights_interpolate():
    weights = hat_weights(torch.tensor([0.0, 0.125, 0.5, 1.0, 1.7, -2.0]), 5)
    expected = [
        [1, 0, 0, 0, 0],
        [0.5, 0.5, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1],
        [1, 0, 0, 0, 0],
    ]
    assert torch.allclose(weights, torch.tensor(expected, dtype=torch.float32))


def test_displace_turns_offsets_with_the_bone():
    quarter = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moved = displace(torch.tensor([[5.0, 0, 0]]), quarter[None], torch.tensor([[0.1, 0, 0.2]]))
    assert torch.allclose(moved, torch.tensor([[5.0, 0.1, 0.2]]))


def test_save_and_load(points, tmp_path):
    made = field(trained=True)
    made.save(tmp_path / "field.safetensors")
    again = ResidualField.load(tmp_path / "field.safetensors")
    assert again.config == SMALL
    assert torch.equal(made(points, 0.6), again(points, 0.6))


def test_a_field_of_other_outputs_comes_back_from_its_file(points, tmp_path):
    made = ResidualField(torch.zeros(3), torch.ones(3), SMALL, outputs=5)
    with torch.no_grad():
        made.decoder[-1].weight.normal_(generator=torch.Generator().manual_seed(1))
    made.save(tmp_path / "field.safetensors")
    again = ResidualField.load(tmp_path / "field.safetensors")
    assert again(points, 0.6).shape == (len(points), 5)
    assert torch.equal(made(points, 0.6), again(points, 0.6))


def test_load_refuses_other_files(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"not a field")
    for name in ("x.safetensors", "missing.safetensors"):
        with pytest.raises(Ani3DError) as caught:
            ResidualField.load(tmp_path / name)
        assert caught.value.code == "residual.malformed"
