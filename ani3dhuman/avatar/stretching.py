"""Gaussians that stretch and shear with their triangles, so that cloth neither opens between them nor blurs.

In a triangle's plane the surface is mapped by the deformation gradient F, from its shape at rest to the one now; the
covariance C of a Gaussian there becomes F C F^T. Across the plane nothing changes: the normal axis of a Gaussian that
lies in it keeps its size, and what leans, as captured ones do, turns. Compiled for the CPU; the same in plain torch for
any device.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..jit import kernel
from ..mesh.quaternions import matrix_to_quat, quat_multiply
from ..mesh.topology import rows
from .carrying import quat_of_axes

SMALL = 1e-9  # metres; a triangle with a shorter side or height at rest, or a shape of zeros, stretches nothing
TINY = 1e-20
FLAT = 1e-3  # deformations below are none
LEAST, MOST = 0.5, 2.0  # factors on a standard deviation along the surface
LYING = 1e-4  # parts of a turn about other axes than the normal, below which a Gaussian lies in the plane
SWEEPS = 6  # over the three pairs of axes; four suffice nearly always


def shapes_of(vertices: Tensor, faces: Tensor) -> Tensor:
    """Triangles in their own planes: (F,3) length of the first edge, place of the third corner along and across it."""
    a, b, c = (rows(vertices, faces[:, k]) for k in range(3))
    first, second = b - a, c - a
    length = first.norm(dim=-1)
    along = (first * second).sum(-1) / length.clamp(min=1e-12)
    across = torch.linalg.cross(first, second).norm(dim=-1) / length.clamp(min=1e-12)
    return torch.stack([length, along, across], -1)


def lasting(rest: Tensor) -> Tensor:
    """(F,) whether triangles of such shapes (F,3) at rest stretch what is on them."""
    return (rest[:, 0] > SMALL) & (rest[:, 2] > SMALL)


def strains_of(rest: Tensor, vertices: Tensor, faces: Tensor) -> Tensor:
    """Deformation gradients (F,3) from shapes (F,3) at rest to a mesh (V,3): xx, xy, yy; yx is 0. None is 1, 0, 1."""
    if vertices.device.type == "cpu" and vertices.dtype == torch.float32:
        given = (rest, vertices.detach(), faces)
        return torch.from_numpy(_strains(*(np.ascontiguousarray(tensor.numpy()) for tensor in given)))
    now = shapes_of(vertices.detach(), faces)
    lasts = lasting(rest)
    length, across = (torch.where(lasts, rest[:, k], 1) for k in (0, 2))
    xx, yy = now[:, 0] / length, now[:, 2] / across
    xy = (now[:, 1] - rest[:, 1] * xx) / across
    plain = rest.new_tensor([1.0, 0.0, 1.0])
    return torch.where(lasts[:, None], torch.stack([xx, xy, yy], -1), plain)


@kernel
def _strains(rest, vertices, faces):  # type: ignore[no-untyped-def]
    found = np.zeros((len(faces), 3), np.float32)
    for f in range(len(faces)):
        a, b, c = faces[f]
        if not (rest[f, 0] > SMALL and rest[f, 2] > SMALL):
            found[f, 0] = found[f, 2] = 1.0
            continue
        px, py, pz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        qx, qy, qz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        length = math.sqrt(px * px + py * py + pz * pz)
        nx, ny, nz = py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx
        across = math.sqrt(nx * nx + ny * ny + nz * nz) / max(length, 1e-12)
        xx = length / rest[f, 0]
        along = (px * qx + py * qy + pz * qz) / max(length, 1e-12)
        found[f, 0], found[f, 1], found[f, 2] = xx, (along - rest[f, 1] * xx) / rest[f, 2], across / rest[f, 2]
    return found


def stretched(
    strains: Tensor, triangle_ids: Tensor, local_quats: Tensor, quats: Tensor, scales: Tensor
) -> tuple[Tensor, Tensor]:
    """Gaussians on triangles that deform.

    Args:
        strains: (F,3) as of `strains_of`.
        triangle_ids: (N,).
        local_quats: (N,4) wxyz turns in the frames of the triangles.
        quats: (N,4) wxyz in the world, without the stretch.
        scales: (N,3) at rest.

    Returns:
        Quats (N,4), differentiable by `quats`, and scales (N,3).
    """
    given = (strains.detach(), triangle_ids, local_quats, scales.detach())
    if quats.device.type == "cpu" and quats.dtype == torch.float32 and scales.dtype == torch.float32:
        found = _stretch(*(np.ascontiguousarray(tensor.numpy()) for tensor in given))
        turns, sizes = (torch.from_numpy(array) for array in found)
    else:
        turns, sizes = _stretch_tensors(given[0][triangle_ids], *given[2:])
    return quat_multiply(quats, turns), sizes


@kernel
def in_its_frame(xx, xy, yy, c, s):  # type: ignore[no-untyped-def]
    """F of xx, xy, yy as a Gaussian sees it whose turn has cosine c and sine s: R^T F R, row-major."""
    a, b, d = xx * c + xy * s, xy * c - xx * s, yy
    return c * a + s * s * d, c * b + s * c * d, c * s * d - s * a, c * c * d - s * b


@kernel
def principal(a, b, c, d, first, second):  # type: ignore[no-untyped-def]
    """Of a Gaussian with sizes `first` and `second` under (a b; c d): cosine and sine of its turn, and its new sizes.

    The first axis stays the longer or the shorter one, as it was, and turns by a quarter at most.
    """
    p, q, r = (
        (a * first) ** 2 + (b * second) ** 2,
        a * c * first**2 + b * d * second**2,
        (c * first) ** 2 + (d * second) ** 2,
    )
    apart = math.sqrt((p - r) ** 2 + 4 * q * q)
    half = apart if first >= second else -apart
    cosine, sine = 1.0, 0.0
    if apart > 1e-9 * (p + r):
        cosine = math.sqrt(max(0.5 + 0.5 * (p - r) / half, 0.0))
        sine = math.copysign(math.sqrt(max(0.5 - 0.5 * (p - r) / half, 0.0)), q / half)
    large = math.sqrt(max(0.5 * (p + r + half), 0.0))
    return cosine, sine, large, abs(a * d - b * c) * first * second / max(large, TINY)


@kernel
def _stretch(strains, triangles, local, scales):  # type: ignore[no-untyped-def]
    """Turns (N,4) wxyz that axes take more, and scales (N,3)."""
    turns, sizes = np.zeros((len(triangles), 4), np.float32), scales.copy()
    axes = np.empty((3, 3))
    for n in range(len(triangles)):
        xx, xy, yy = strains[triangles[n]]
        turns[n, 0] = 1.0
        if abs(xx - 1) + abs(xy) + abs(yy - 1) < FLAT:
            continue
        w, x, y, z = local[n]
        first, second = scales[n, 0], scales[n, 1]
        if x * x + y * y > LYING * LYING:
            _lean(xx, xy, yy, local[n], scales[n], axes)
            for k in range(3):
                size = math.sqrt(axes[k, 0] ** 2 + axes[k, 1] ** 2 + axes[k, 2] ** 2)
                sizes[n, k] = min(max(size, LEAST * scales[n, k]), MOST * scales[n, k])
                for i in range(3):
                    axes[k, i] /= max(size, TINY)
            quat_of_axes(axes[0], axes[1], axes[2], turns[n])
            continue
        a, b, c, d = in_its_frame(xx, xy, yy, w * w - z * z, 2 * w * z)
        cosine, sine, one, two = principal(a, b, c, d, first, second)
        turns[n, 0] = math.sqrt(0.5 + 0.5 * cosine)
        turns[n, 3] = 0.5 * sine / turns[n, 0]
        sizes[n, 0] = min(max(one, LEAST * first), MOST * first)
        sizes[n, 1] = min(max(two, LEAST * second), MOST * second)
    return turns, sizes


@kernel
def _lean(xx, xy, yy, local, scales, axes):  # type: ignore[no-untyped-def]
    """Principal axes (3,3), row by row and as long as they are, of a deformed Gaussian in its own axes at rest.

    Columns of R^T F R diag(scales) are made orthogonal pair by pair, turned by 45 degrees at most (Jacobi).
    """
    w, x, y, z = local
    R = axes.copy()
    R[0, 0], R[0, 1], R[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    R[1, 0], R[1, 1], R[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    R[2, 0], R[2, 1], R[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)
    for k in range(3):
        u, v = xx * R[0, k] + xy * R[1, k], yy * R[1, k]
        for i in range(3):
            axes[k, i] = (R[0, i] * u + R[1, i] * v + R[2, i] * R[2, k]) * max(scales[k], 1e-12)
    for _ in range(SWEEPS):
        for p in range(2):
            for q in range(p + 1, 3):
                one, two, both = 0.0, 0.0, 0.0
                for i in range(3):
                    one += axes[p, i] ** 2
                    two += axes[q, i] ** 2
                    both += axes[p, i] * axes[q, i]
                if both * both <= 1e-20 * one * two:
                    continue
                zeta = (two - one) / (2 * both)
                t = math.copysign(1 / (abs(zeta) + math.sqrt(1 + zeta * zeta)), zeta)
                cosine = 1 / math.sqrt(1 + t * t)
                for i in range(3):
                    u, v = axes[p, i], axes[q, i]
                    axes[p, i], axes[q, i] = cosine * (u - t * v), cosine * (t * u + v)


def _stretch_tensors(strains: Tensor, local: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """`_stretch` in torch, of strains (N,3) of the Gaussians' own triangles."""
    turns, found = _lying_tensors(strains, local, scales)
    leaning = (local[:, 1] ** 2 + local[:, 2] ** 2 > LYING**2).nonzero()[:, 0]
    if len(leaning):
        turned, sizes = _leaning_tensors(strains[leaning], local[leaning], scales[leaning])
        turns, found = turns.index_copy(0, leaning, turned), found.index_copy(0, leaning, sizes)
    found = torch.minimum(torch.maximum(found, LEAST * scales), MOST * scales)
    xx, xy, yy = strains.unbind(-1)
    plain = ((xx - 1).abs() + xy.abs() + (yy - 1).abs() < FLAT)[:, None]
    return torch.where(plain, turns.new_tensor([1.0, 0, 0, 0]), turns), torch.where(plain, scales, found)


def principal_tensors(
    a: Tensor, b: Tensor, c: Tensor, d: Tensor, first: Tensor, second: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`principal` of Gaussians (N,) each, in torch."""
    a, b, c, d = a * first, b * second, c * first, d * second
    p, q, r = a * a + b * b, a * c + b * d, c * c + d * d
    apart = torch.hypot(p - r, 2 * q)
    round_ = apart <= 1e-9 * (p + r)
    half = torch.where(first >= second, apart, -apart)
    share = 0.5 * (p - r) / torch.where(round_, 1, half)
    cosine = torch.where(round_, 1, (0.5 + share).clamp(min=0).sqrt())
    sine = torch.where(round_, 0, torch.copysign((0.5 - share).clamp(min=0).sqrt(), q * torch.sign(half)))
    one = (0.5 * (p + r + half)).clamp(min=0).sqrt()
    return cosine, sine, one, (a * d - b * c).abs() / one.clamp(min=TINY)


def _lying_tensors(strains: Tensor, local: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Turns (N,4) and unbounded sizes (N,3) of those that lie in the plane."""
    xx, xy, yy = strains.unbind(-1)
    w, z, first, second = local[:, 0], local[:, 3], scales[:, 0], scales[:, 1]
    a, b, c, d = in_its_frame.py_func(xx, xy, yy, w * w - z * z, 2 * w * z)
    cosine, sine, one, two = principal_tensors(a, b, c, d, first, second)
    cosine = (0.5 + 0.5 * cosine).sqrt()
    none = torch.zeros_like(cosine)
    return torch.stack([cosine, none, none, 0.5 * sine / cosine], -1), torch.stack([one, two, scales[:, 2]], -1)


def _leaning_tensors(strains: Tensor, local: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Turns (N,4) and unbounded sizes (N,3) of those that lean, as `_lean` has them."""
    xx, xy, yy = strains.double().unbind(-1)
    zero, one = torch.zeros_like(xx), torch.ones_like(xx)
    F = torch.stack([xx, xy, zero, zero, yy, zero, zero, zero, one], -1).unflatten(-1, (3, 3))
    R = rotations(local.double())
    axes = list((R.transpose(1, 2) @ F @ R * scales.double().clamp(min=1e-12)[:, None]).unbind(-1))
    for _ in range(SWEEPS):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            both = (axes[p] * axes[q]).sum(-1)
            squares = [(axes[k] ** 2).sum(-1) for k in (p, q)]
            done = both * both <= 1e-20 * squares[0] * squares[1]
            zeta = (squares[1] - squares[0]) / torch.where(done, 1, 2 * both)
            t = torch.where(done, 0, torch.copysign(1 / (zeta.abs() + (1 + zeta * zeta).sqrt()), zeta))[:, None]
            cosine = 1 / (1 + t * t).sqrt()
            axes[p], axes[q] = cosine * (axes[p] - t * axes[q]), cosine * (t * axes[p] + axes[q])
    whole = torch.stack(axes, -1)
    sizes = whole.norm(dim=1)
    turns = matrix_to_quat(whole / sizes[:, None].clamp(min=TINY)).to(local.dtype)
    return turns, sizes.to(scales.dtype)


def rotations(quats: Tensor) -> Tensor:
    """(N,3,3) of unit quaternions (N,4) wxyz."""
    w, x, y, z = quats.unbind(-1)
    parts = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(parts, 1)
