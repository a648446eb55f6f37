"""As-rigid-as-possible energy of a mesh; on the CPU one compiled pass for its value and one for its gradient.

Sorkine, Alexa, "As-Rigid-As-Possible Surface Modeling" (2007), eq. 5-6. The rotation of each vertex is the largest
eigenvector of Horn's 4x4 matrix ("Closed-form solution of absolute orientation using unit quaternions", 1987), whose
eigenvalue Newton's method finds on the characteristic polynomial, as in Theobald, "Rapid calculation of RMSDs using a
quaternion-based characteristic polynomial" (2005). That takes a fifth of the time of an SVD for each vertex.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..jit import kernel

LEAST_SQUARED_LENGTH = 1e-12  # square metres
IDENTITY_BIAS = 1e-6  # of the edges' sum of squares: where edges in a line leave a rotation open, the smallest is taken
NEWTON_STEPS, POWER_STEPS = 60, 60  # iterations at most
EIGEN_TOLERANCE = 1e-9  # residual of an eigenvector, of the bound of the eigenvalue


def rigidity(before: Tensor, after: Tensor, sources: Tensor, count: int) -> Tensor:
    """As-rigid-as-possible energy: mean squared edge change that no rotation of its vertex explains.

    The rotation need not be differentiated, since it is the best one. No gradient flows to `before`.

    Args:
        before, after: (E,3) float32 edges leaving each vertex, metres; weighted by 1 / length squared of `before`.
        sources: (E,) int64 index 0..count-1 of the vertex each edge leaves from.
    """
    if after.device.type == "cpu":
        return _Rigidity.apply(after, before, sources, count)
    weights = 1 / before.square().sum(-1).clamp(min=LEAST_SQUARED_LENGTH)
    rotations = _rotations_of(before, after.detach(), weights, sources, count)
    left = after - (rotations[sources] @ before[..., None])[..., 0]
    return (weights * left.square().sum(-1)).sum() / max(len(sources), 1)


def _rotations_of(before: Tensor, after: Tensor, weights: Tensor, sources: Tensor, count: int) -> Tensor:
    """`_rotations` (count,3,3) in tensors on any device, by singular values."""
    given = (weights[:, None, None] * before[:, :, None] * after[:, None]).flatten(1)
    squares = 0.5 * weights * (before.square().sum(-1) + after.square().sum(-1))
    sums = torch.zeros(count, 9, device=before.device).index_add(0, sources, given).unflatten(1, (3, 3))
    biased = torch.zeros(count, device=before.device).index_add(0, sources, squares) * IDENTITY_BIAS
    sums = sums + biased[:, None, None] * torch.eye(3, device=before.device)
    U, _, Vh = torch.linalg.svd(sums)
    turned = torch.linalg.det(U @ Vh).sign()
    flip = torch.stack([torch.ones_like(turned), torch.ones_like(turned), turned], -1)
    return Vh.transpose(1, 2) @ (flip[..., None] * U.transpose(1, 2))


def best_rotations(before: np.ndarray, after: np.ndarray, sources: np.ndarray, count: int) -> np.ndarray:
    """Rotations (count,3,3) float64 that best turn the edges `before` of each vertex into `after`; as of `rigidity`."""
    return _rotations(before, after, _weights(before), sources, count)


class _Rigidity(torch.autograd.Function):
    """Energy of edges `after`, with its gradient kept from the same pass."""

    @staticmethod
    def forward(ctx: Any, after: Tensor, before: Tensor, sources: Tensor, count: int) -> Tensor:
        arrays = (before.detach().numpy(), after.detach().numpy())
        weights = _weights(arrays[0])
        rotations = _rotations(*arrays, weights, sources.numpy(), count)
        energy, gradient = _energy(*arrays, weights, sources.numpy(), rotations)
        ctx.gradient = torch.from_numpy(gradient)
        return after.new_tensor(energy)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.gradient * gradients[0], None, None, None


def _weights(before: np.ndarray) -> np.ndarray:
    return 1 / np.maximum(np.einsum("ek,ek->e", before, before, dtype=np.float64), LEAST_SQUARED_LENGTH)


@kernel
def _rotations(before, after, weights, sources, count):  # type: ignore[no-untyped-def]
    sums, squares = np.zeros((count, 3, 3)), np.zeros(count)
    for e in range(len(sources)):
        v, w = sources[e], weights[e]
        for i in range(3):
            squares[v] += 0.5 * w * (before[e, i] ** 2 + after[e, i] ** 2)
            for j in range(3):
                sums[v, i, j] += w * before[e, i] * after[e, j]
    rotations, K, A = np.empty((count, 3, 3)), np.empty((4, 4)), np.empty((4, 4))
    for v in range(count):
        for i in range(3):
            sums[v, i, i] += IDENTITY_BIAS * squares[v]
        _best_rotation(sums[v], (1 + 3 * IDENTITY_BIAS) * squares[v], K, A, rotations[v])
    return rotations


@kernel
def _best_rotation(S, bound, K, A, R):  # type: ignore[no-untyped-def]
    """R becomes the rotation with the largest sum of R_ij S_ji, at most `bound`; K and A (4,4) are room to work in."""
    K[0, 0] = S[0, 0] + S[1, 1] + S[2, 2]
    square, det = 0.0, 0.0
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        K[i + 1, i + 1] = 2 * S[i, i] - K[0, 0]
        K[0, i + 1] = K[i + 1, 0] = S[j, k] - S[k, j]
        K[j + 1, k + 1] = K[k + 1, j + 1] = S[j, k] + S[k, j]
        square += S[i, 0] ** 2 + S[i, 1] ** 2 + S[i, 2] ** 2
        det += S[0, i] * (S[1, j] * S[2, k] - S[1, k] * S[2, j])
    a, b, c = -2 * square, -8 * det, _adjugate(K, A)
    largest = bound
    for _ in range(NEWTON_STEPS):  # falls towards the largest root of x^4 + a x^2 + b x + c, never past it
        slope = (4 * largest * largest + 2 * a) * largest + b
        if not slope > 0.0:
            break
        step = (((largest * largest + a) * largest + b) * largest + c) / slope
        largest -= step
        if step <= 1e-14 * bound:
            break
    for i in range(4):
        K[i, i] -= largest
    _adjugate(K, A)
    column = 0  # any one is the vector; that of the largest minor is the surest
    for i in range(1, 4):
        if abs(A[i, i]) > abs(A[column, column]):
            column = i
    w, x, y, z = A[0, column], A[1, column], A[2, column], A[3, column]
    length = math.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = (w / length, x / length, y / length, z / length) if length > 0.0 else (1.0, 0.0, 0.0, 0.0)
    for _ in range(POWER_STEPS):  # where two eigenvalues are so near that the column is mostly rounding
        rw = K[0, 0] * w + K[0, 1] * x + K[0, 2] * y + K[0, 3] * z
        rx = K[1, 0] * w + K[1, 1] * x + K[1, 2] * y + K[1, 3] * z
        ry = K[2, 0] * w + K[2, 1] * x + K[2, 2] * y + K[2, 3] * z
        rz = K[3, 0] * w + K[3, 1] * x + K[3, 2] * y + K[3, 3] * z
        if max(abs(rw), abs(rx), abs(ry), abs(rz)) <= EIGEN_TOLERANCE * bound:
            break
        shift = largest + bound
        w, x, y, z = rw + shift * w, rx + shift * x, ry + shift * y, rz + shift * z
        length = math.sqrt(w * w + x * x + y * y + z * z)
        w, x, y, z = w / length, x / length, y / length, z / length
    R[0, 0], R[0, 1], R[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    R[1, 0], R[1, 1], R[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    R[2, 0], R[2, 1], R[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)


@kernel
def _adjugate(K, A):  # type: ignore[no-untyped-def]
    """A becomes the adjugate of the symmetric K, both (4,4); returns the determinant."""
    a, b, c, d = K[0, 0], K[0, 1], K[0, 2], K[0, 3]
    e, f, g, h, i, j = K[1, 1], K[1, 2], K[1, 3], K[2, 2], K[2, 3], K[3, 3]
    hj, fj, fi = h * j - i * i, f * j - g * i, f * i - g * h
    A[0, 0] = e * hj - f * fj + g * fi
    A[0, 1] = A[1, 0] = -(b * hj - f * (c * j - d * i) + g * (c * i - d * h))
    A[0, 2] = A[2, 0] = b * fj - e * (c * j - d * i) + g * (c * g - d * f)
    A[0, 3] = A[3, 0] = -(b * fi - e * (c * i - d * h) + f * (c * g - d * f))
    A[1, 1] = a * hj - c * (c * j - d * i) + d * (c * i - d * h)
    A[1, 2] = A[2, 1] = -(a * fj - b * (c * j - d * i) + d * (c * g - d * f))
    A[1, 3] = A[3, 1] = a * fi - b * (c * i - d * h) + c * (c * g - d * f)
    A[2, 2] = a * (e * j - g * g) - b * (b * j - d * g) + d * (b * g - d * e)
    A[2, 3] = A[3, 2] = -(a * (e * i - g * f) - b * (b * i - d * f) + c * (b * g - d * e))
    A[3, 3] = a * (e * h - f * f) - b * (b * h - c * f) + c * (b * f - c * e)
    return a * A[0, 0] + b * A[0, 1] + c * A[0, 2] + d * A[0, 3]


@kernel
def _energy(before, after, weights, sources, rotations):  # type: ignore[no-untyped-def]
    total, gradient = 0.0, np.empty(after.shape, np.float32)
    share = 1 / max(len(sources), 1)
    for e in range(len(sources)):
        R, w = rotations[sources[e]], weights[e] * share
        for i in range(3):
            residual = after[e, i] - (R[i, 0] * before[e, 0] + R[i, 1] * before[e, 1] + R[i, 2] * before[e, 2])
            total += w * residual * residual
            gradient[e, i] = 2 * w * residual
    return total, gradient
