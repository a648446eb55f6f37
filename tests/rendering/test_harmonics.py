"""Turned spherical harmonics give in turned directions what they gave before."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from ani3dhuman.errors import Ani3DError
from ani3dhuman.rendering.cpu.harmonics import evaluate_basis
from ani3dhuman.rendering.harmonics import rotate_harmonics
from ani3dhuman.rendering.reference import evaluate_harmonics

COUNT = 60


def turns(seed: int) -> torch.Tensor:
    half_turns = Rotation.from_rotvec(np.pi * np.eye(3))
    drawn = Rotation.concatenate([Rotation.random(COUNT - 3, random_state=seed), half_turns])
    return torch.from_numpy(drawn.as_matrix()).float()


def random_case(degree: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.manual_seed(degree)
    coefficients = torch.randn(COUNT, (degree + 1) ** 2, 3, generator=generator)
    return coefficients, torch.nn.functional.normalize(torch.randn(COUNT, 3, generator=generator), dim=-1)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_turned_colours_are_those_of_the_directions_before(degree):
    coefficients, directions = random_case(degree)
    R = turns(degree)
    turned = rotate_harmonics(coefficients, R)
    there = torch.einsum("nij,nj->ni", R, directions)
    before = evaluate_harmonics(degree, directions, coefficients)
    torch.testing.assert_close(evaluate_harmonics(degree, there, turned), before, atol=1e-5, rtol=0)
    if degree:
        assert (evaluate_harmonics(degree, there, coefficients) - before).abs().max() > 0.1, "the turn must matter"


def test_the_rasterisers_own_basis_agrees():
    coefficients, directions = random_case(3)
    R = turns(9)
    there = torch.einsum("nij,nj->ni", R, directions).double().numpy()
    turned = rotate_harmonics(coefficients, R).numpy()
    before = evaluate_harmonics(3, directions, coefficients).numpy()
    basis = np.empty(16)
    for n in range(COUNT):
        evaluate_basis(3, *there[n], basis)
        np.testing.assert_allclose(basis @ turned[n], before[n], atol=1e-5)


def test_turns_follow_one_another_and_can_be_undone():
    coefficients, _ = random_case(3)
    first, second = turns(1), turns(2)
    step_by_step = rotate_harmonics(rotate_harmonics(coefficients, first), second)
    torch.testing.assert_close(step_by_step, rotate_harmonics(coefficients, second @ first), atol=1e-5, rtol=0)
    back = rotate_harmonics(rotate_harmonics(coefficients, first), first.transpose(1, 2))
    torch.testing.assert_close(back, coefficients, atol=1e-5, rtol=0)


def test_degrees_do_not_mix_and_keep_their_energy():
    coefficients, _ = random_case(3)
    turned = rotate_harmonics(coefficients, turns(4))
    for degree in range(4):
        band = slice(degree**2, (degree + 1) ** 2)
        torch.testing.assert_close(turned[:, band].norm(dim=1), coefficients[:, band].norm(dim=1), atol=1e-5, rtol=0)
        alone = torch.zeros_like(coefficients)
        alone[:, band] = coefficients[:, band]
        outside = rotate_harmonics(alone, turns(4))
        outside[:, band] = 0
        assert outside.abs().max() < 1e-5


def test_gradients_reach_coefficients_and_rotations():
    generator = torch.manual_seed(0)
    coefficients = torch.randn(2, 16, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    R = turns(5)[:2].double().requires_grad_()
    assert torch.autograd.gradcheck(rotate_harmonics, (coefficients, R))


@pytest.mark.parametrize("shape", [(5, 3, 3), (5, 16, 4), (5, 16)])
def test_wrong_shapes_are_named(shape):
    with pytest.raises(Ani3DError, match="Pass"):
        rotate_harmonics(torch.zeros(shape), torch.eye(3).expand(5, 3, 3))
