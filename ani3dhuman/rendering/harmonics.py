"""Turning view-dependent colour with the surface: rotation of spherical-harmonics coefficients.

A turned function is again a sum of harmonics of the same degrees, so it is enough to read it off at a few directions:
evaluate the old coefficients where those directions were before the turn, and solve for the new ones. This follows
whatever order and signs `evaluate_harmonics` has, and is differentiable in coefficients and rotations. Avatars made
from meshes are lit anew in each frame and have no such colour; this is for those that bring it.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ani3dhuman.errors import Ani3DError
from ani3dhuman.rendering.reference import evaluate_harmonics

DIRECTIONS = 32  # on the sphere; 16 would do, twice as many even out rounding


def rotate_harmonics(coefficients: Tensor, rotations: Tensor) -> Tensor:
    """Coefficients of the same colours seen on something that has turned.

    Args:
        coefficients: (N,K,3), K of 1, 4, 9 or 16 (degree 0 to 3), in the order of 3DGS files.
        rotations: (N,3,3), the turn of each Gaussian from where its coefficients hold.

    Returns:
        (N,K,3), such that evaluated at R d they give what the given ones do at d.

    Raises:
        Ani3DError: ``harmonics.shape``.
    """
    count, bases = coefficients.shape[0], coefficients.shape[1] if coefficients.ndim == 3 else 0
    if bases not in (1, 4, 9, 16) or coefficients.shape[2] != 3 or rotations.shape != (count, 3, 3):
        raise Ani3DError(
            "harmonics.shape",
            f"Coefficients have shape {tuple(coefficients.shape)} and rotations {tuple(rotations.shape)}.",
            "Pass (N,K,3) with K of 1, 4, 9 or 16, and (N,3,3).",
        )
    if bases == 1:
        return coefficients  # the same from everywhere
    degree = math.isqrt(bases) - 1
    result = torch.zeros_like(coefficients)
    for direction, share in zip(_directions().to(coefficients), _solution(bases).T.to(coefficients), strict=True):
        before = torch.einsum("nji,j->ni", rotations, direction)
        result = result + share[:, None] * evaluate_harmonics(degree, before, coefficients)[:, None]
    return result


def _directions() -> Tensor:
    """(DIRECTIONS,3) float64 unit vectors, evenly spread along a spiral."""
    n = torch.arange(DIRECTIONS, dtype=torch.float64)
    z = 1 - (2 * n + 1) / DIRECTIONS
    angle = n * math.pi * (3 - math.sqrt(5))
    flat = (1 - z * z).sqrt()
    return torch.stack([flat * angle.cos(), flat * angle.sin(), z], 1)


@cache
def _solution(bases: int) -> Tensor:
    """(K,DIRECTIONS) float64: from a function's values at the directions to its coefficients, by least squares."""
    each = torch.eye(bases, dtype=torch.float64).expand(DIRECTIONS, bases, bases)
    return torch.linalg.pinv(evaluate_harmonics(math.isqrt(bases) - 1, _directions(), each))
