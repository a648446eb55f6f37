"""The residual fields under one contract: zero at the start, gated, trainable to a known motion, repeatable."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from ani3d_formats.errors import Ani3DError
from ani3dhuman.fields.build import FIELDS, MotionField, build_field
from ani3dhuman.fields.dct import DctConfig, DctField, cosines
from ani3dhuman.fields.hexplane import FieldConfig
from ani3dhuman.mesh.topology import edges_of

FRAMES = 25
STEPS = 200
SMALL = {
    "hexplane": FieldConfig(resolutions=(6, 12), time_resolution=12, hidden=32),
    "dct": DctConfig(modes=10, rate=4e-2),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Fields this small are slower on many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=sorted(FIELDS))
def kind(request) -> str:
    return request.param


def skirt(rings: int = 12, around: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (P,3) and edges (E,2) of an open cone that hangs from z = 1 to 0.5 metres."""
    down, angle = np.meshgrid(np.linspace(0, 1, rings), np.arange(around) * 2 * np.pi / around, indexing="ij")
    radius = 0.15 + 0.15 * down
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), 1 - 0.5 * down], -1).reshape(-1, 3)
    index = np.arange(rings * around).reshape(rings, around)
    right = np.roll(index, -1, 1)
    corners = [index[:-1], index[1:], right[:-1], right[:-1], index[1:], right[1:]]
    faces = np.stack([part.ravel() for part in corners], 1).reshape(-1, 3)
    return torch.from_numpy(points).float(), torch.from_numpy(edges_of(faces))


def swing(points: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """Offsets (T,P,3): the skirt swings to the side, its hem later and further than its waist."""
    depth = (1 - points[:, 2]) / 0.5
    wave = torch.sin(2 * torch.pi * times[:, None] * 1.25 - depth)
    side = torch.tensor([0.8, 0.4, 0.1])
    return 0.1 * (depth**2 * wave)[..., None] * side


def made(kind: str, **changes: Any) -> MotionField:
    points, edges = skirt()
    return build_field(
        kind, **{"points": points, "edges": edges, "frames": FRAMES, "config": SMALL.get(kind), **changes}
    )


def fitted(kind: str, steps: int) -> MotionField:
    """Adam at the rates each field names, falling along a cosine, on every other frame."""
    field, (points, _) = made(kind), skirt()
    times = torch.linspace(0, 1, FRAMES)[::2]
    wanted = swing(points, times)
    groups = [{"params": params, "lr": rate} for params, rate in field.parameter_groups()]
    adam = torch.optim.Adam(groups, eps=1e-12)
    before = [group["lr"] for group in adam.param_groups]
    for step in range(steps):
        for group, rate in zip(adam.param_groups, before, strict=True):
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        adam.zero_grad()
        (field(points, times) - wanted).square().mean().backward()
        adam.step()
    return field


def disturbed(kind: str, **changes: Any) -> MotionField:
    """A field with every parameter moved off its start."""
    field = made(kind, **changes)
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for params, _ in field.parameter_groups():
            for param in params:
                param += 0.3 * torch.randn(param.shape, generator=random)
    return field


def test_exactly_zero_at_start(kind):
    points, _ = skirt()
    offsets = made(kind)(points, torch.linspace(0, 1, 7))
    assert offsets.shape == (7, len(points), 3) and offsets.dtype == torch.float32
    assert (offsets == 0).all()
    assert (made(kind, config=None)(points, 0.5) == 0).all()


def test_closed_gates_give_exactly_zero_and_half_open_gates_half(kind):
    (points, _), field = skirt(), disturbed(kind)
    gates = torch.full((len(points),), 0.5)
    gates[:30] = 0
    free, gated = field(points, 0.4), field(points, 0.4, gates)
    assert free.shape == (len(points), 3) and free.abs().max(-1).values.min() > 0
    assert (gated[:30] == 0).all()
    assert torch.equal(gated[30:], free[30:] * 0.5)


def test_many_times_at_once_equal_one_by_one(kind):
    (points, _), field, times = skirt(), disturbed(kind), torch.tensor([0.0, 0.31, 1.0])
    together = field(points, times)
    for t, offsets in zip(times, together, strict=True):
        assert torch.allclose(field(points, float(t)), offsets, atol=1e-6)
    assert (together[0] - together[2]).abs().max() > 1e-3


def test_gradients_reach_every_parameter_and_are_right(kind):
    (points, _), field = skirt(), disturbed(kind)
    params = [param for group, _ in field.parameter_groups() for param in group]
    assert {id(param) for param in params} == {id(param) for param in field.parameters()}  # type: ignore[attr-defined]
    times, random = torch.tensor([0.2, 0.7]), torch.Generator().manual_seed(5)
    pull = torch.randn(2, len(points), 3, generator=random)

    def loss() -> torch.Tensor:
        return (field(points, times) * pull).sum() + field.roughness()

    loss().backward()
    for param in params:
        assert param.grad is not None and param.grad.abs().max() > 0
        way = torch.sign(param.grad) * torch.rand(param.shape, generator=random)
        step = 1e-2
        with torch.no_grad():
            values = []
            for side in (step, -2 * step, step):
                param += side * way
                values.append(float(loss()))
        slope = (values[0] - values[1]) / (2 * step)
        assert slope == pytest.approx(float((param.grad * way).sum()), rel=0.03)


def test_the_first_step_can_leave_zero(kind):
    points, _ = skirt()
    field = made(kind)
    field(points, 0.3).sum().backward()
    grads = [param.grad for group, _ in field.parameter_groups() for param in group]
    assert max(float(grad.abs().max()) for grad in grads if grad is not None) > 0


def test_a_known_swing_is_learnt_and_holds_between_the_frames_it_was_learnt_from(kind):
    points, _ = skirt()
    field, times = fitted(kind, STEPS), torch.linspace(0, 1, FRAMES)
    wanted = swing(points, times)
    with torch.no_grad():
        away = (field(points, times) - wanted).norm(dim=-1)
    assert wanted.norm(dim=-1).mean() > 0.015
    assert away.mean() < 0.1 * wanted.norm(dim=-1).mean()


def test_same_bits_on_repeat(kind):
    first, second = (fitted(kind, 5).state_dict() for _ in range(2))
    start = made(kind).state_dict()
    assert first.keys() == second.keys() == start.keys()
    assert all(first[name].numpy().tobytes() == second[name].numpy().tobytes() for name in first)
    assert any(not torch.equal(first[name], start[name]) for name in first)


def test_state_survives_a_file(kind, tmp_path):
    (points, _), field, again = skirt(), disturbed(kind), made(kind)
    safetensors.torch.save_file(field.state_dict(), tmp_path / "state.safetensors")
    again.load_state_dict(safetensors.torch.load_file(tmp_path / "state.safetensors"))
    assert torch.equal(again(points, 0.6), field(points, 0.6))


def test_a_field_of_other_channels_is_zero_and_learns_them_all(kind):
    points, _ = skirt()
    field, gates = made(kind, channels=5), torch.linspace(0, 1, len(points))
    offsets = field(points, torch.tensor([0.0, 0.4]), gates)
    assert offsets.shape == (2, len(points), 5) and (offsets == 0).all()
    adam = torch.optim.Adam([param for group, _ in field.parameter_groups() for param in group], lr=1e-2)
    field(points, 0.4, gates).sum().backward()
    adam.step()
    learnt = field(points, 0.4, gates)
    assert (learnt[0] == 0).all() and (learnt[-1] != 0).all()
    with pytest.raises(Ani3DError, match="0 channels"):
        made(kind, channels=0)


def test_roughness_of_rest_is_less_than_of_disturbance(kind):
    at_rest = made(kind).roughness().item()
    assert at_rest < disturbed(kind).roughness().item()
    assert kind == "hexplane" or at_rest == 0


def test_a_pull_at_one_vertex_moves_its_neighbourhood():
    points, edges = skirt(rings=30, around=60)
    widths = []
    for spread in (0.0, 0.05):
        field = DctField(points, edges, FRAMES, DctConfig(spreads=(spread,)))
        with torch.no_grad():
            field.coefficients[0, 0, 2, 15 * 60 + 7] = 1
            lift = field(points, 0.5)[:, 2]
        assert lift.sum() == pytest.approx(0.05, rel=1e-4)  # smoothing keeps the sum
        near = (points - points[15 * 60 + 7]).norm(dim=-1)
        assert lift.argmax() == 15 * 60 + 7 and lift.min() >= 0
        widths.append(float((lift * near).sum() / lift.sum()))
    # the mean distance of the plane's Green function K0(r / s) / (2 pi s^2) is pi s / 2
    assert widths[0] == 0 and widths[1] == pytest.approx(0.05 * math.pi / 2, rel=0.15)


@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_vertices_at_a_seam_move_as_one(spread):
    points = torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0.1, 0, 0], [0.2, 0, 0]])
    field = DctField(points, torch.tensor([[0, 1], [2, 3]]), FRAMES, DctConfig(spreads=(spread,)))
    with torch.no_grad():
        field.coefficients[0, 0, 0, :2] = 1
        x = field(points, 0.0)[:, 0]
    assert x[1] == pytest.approx(float(x[2]), rel=1e-5) and x[1] > 0.01
    assert (x[3] > 0.3 * x[0]) == (spread > 0)  # it passes a pull on


def test_smoothing_leaves_a_common_motion_alone():
    points, edges = skirt()
    field = DctField(points, edges, FRAMES)
    with torch.no_grad():
        field.coefficients[0, 0] = torch.tensor([1.0, 2, -3])[:, None]
        offsets = field(points, 0.2)
    assert torch.allclose(offsets, torch.tensor([0.05, 0.1, -0.15]).expand_as(offsets), atol=1e-6)


def test_cosines_and_their_pace():
    waves = cosines(torch.tensor([0.0, 0.5, 1.0]), 3)
    end = math.cos(math.pi * 0.1)
    expected = [[1, end, math.cos(math.pi * 0.2)], [1, 0, -1], [1, -end, math.cos(math.pi * 0.2)]]
    assert torch.allclose(waves, torch.tensor(expected), atol=1e-6)
    # a steady pace, which plain cosines over the clip would bring to rest at both ends
    times = torch.linspace(0, 1, 50, dtype=torch.float64)
    basis = cosines(times, 10)
    line = basis @ torch.linalg.lstsq(basis, times[:, None]).solution
    assert (line[:, 0] - times).abs().max() < 0.003
    field = DctField(*skirt(), FRAMES, DctConfig(modes=4))
    with torch.no_grad():
        field.coefficients.fill_(1)
    assert field.roughness().item() == pytest.approx((0 + 1 + 4 + 9) / 4)


def test_no_more_waves_than_frames():
    points, edges = skirt()
    assert DctField(points, edges, 3).coefficients.shape == (3, 3, 3, len(points))


def test_other_points_are_refused():
    points, _ = skirt()
    for others in (points[:-1], points + 0.01):
        with pytest.raises(Ani3DError) as caught:
            made("dct")(others, 0.5)
        assert caught.value.code == "field.points"


@pytest.mark.parametrize(
    "kind, changes, code",
    [
        ("spline", {"config": None}, "field.kind"),
        ("dct", {"config": FieldConfig()}, "field.config"),
        ("dct", {"config": DctConfig(modes=0)}, "field.config"),
        ("dct", {"config": DctConfig(spreads=(0.1, -1))}, "field.config"),
        ("dct", {"config": DctConfig(spreads=())}, "field.config"),
        ("dct", {"frames": 0}, "field.config"),
        ("dct", {"points": torch.zeros(9, 2)}, "field.points"),
        ("dct", {"points": torch.full((400, 3), math.nan)}, "field.points"),
        ("dct", {"edges": torch.tensor([[-1, 2]])}, "field.edges"),
        ("dct", {"edges": torch.tensor([0, 1, 2])}, "field.edges"),
    ],
)
def test_bad_input(kind, changes, code):
    with pytest.raises(Ani3DError) as caught:
        made(kind, **changes)
    assert caught.value.code == code


def test_edges_to_vertices_that_stay_are_passed_over():
    points, edges = skirt()
    beyond = torch.cat([edges, torch.tensor([[0, len(points)], [len(points) + 4, 7]])])
    plain, extended = disturbed("dct"), disturbed("dct", edges=beyond)
    assert torch.equal(plain(points, 0.3), extended(points, 0.3))
