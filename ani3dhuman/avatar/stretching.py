"""Gaussians that stretch and shear with their triangles, so that cloth neither opens between them nor blurs.

In a triangle's plane the surface is mapped by the deformation gradient F, from its shape at rest to the one now; the
covariance C of a Gaussian there becomes F C F^T. Its normal axis keeps its size. Compiled for the CPU; the same in
plain torch for any device.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..jit import kernel
from ..mesh.topology import rows

SMALL = 1e-9  # metres; a triangle with a shorter side or height at rest, or a shape of zeros, stretches nothing
TINY = 1e-20
FLAT = 1e-3  # deformations below are none
LEAST, MOST = 0.5, 2.0  # factors on a standard deviation along the surface


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
        local_quats: (N,4) wxyz turns about the normals of the triangles.
        quats: (N,4) wxyz in the world, without the stretch.
        scales: (N,3) at rest.

    Returns:
        Quats (N,4), differentiable by `quats`, and scales (N,3).
    """
    given = (strains.detach(), triangle_ids, local_quats, scales.detach())
    if quats.device.type == "cpu" and quats.dtype == torch.float32 and scales.dtype == torch.float32:
        found = _stretch(*(np.ascontiguousarray(tensor.numpy()) for tensor in given))
        cosine, sine, sizes = (torch.from_numpy(array) for array in found)
    else:
        cosine, sine, sizes = _stretch_tensors(given[0][triangle_ids], *given[2:])
    w, x, y, z = quats.unbind(-1)
    turned = (w * cosine - z * sine, x * cosine + y * sine, y * cosine - x * sine, z * cosine + w * sine)
    return torch.stack(turned, -1), sizes


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
    """Cosine and sine (N,) of half the turn that axes take more, and scales (N,3)."""
    cosines, sines, sizes = np.ones(len(triangles), np.float32), np.zeros(len(triangles), np.float32), scales.copy()
    for n in range(len(triangles)):
        xx, xy, yy = strains[triangles[n]]
        if abs(xx - 1) + abs(xy) + abs(yy - 1) < FLAT:
            continue
        w, z = local[n, 0], local[n, 3]
        first, second = scales[n, 0], scales[n, 1]
        a, b, c, d = in_its_frame(xx, xy, yy, w * w - z * z, 2 * w * z)
        cosine, sine, one, two = principal(a, b, c, d, first, second)
        cosines[n] = math.sqrt(0.5 + 0.5 * cosine)
        sines[n] = 0.5 * sine / cosines[n]
        sizes[n, 0] = min(max(one, LEAST * first), MOST * first)
        sizes[n, 1] = min(max(two, LEAST * second), MOST * second)
    return cosines, sines, sizes


def _stretch_tensors(strains: Tensor, local: Tensor, scales: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`_stretch` in torch, of strains (N,3) of the Gaussians' own triangles."""
    xx, xy, yy = strains.unbind(-1)
    w, z, first, second = local[:, 0], local[:, 3], scales[:, 0], scales[:, 1]
    c, s = w * w - z * z, 2 * w * z
    e, f = xx * c + xy * s, xy * c - xx * s
    a, b = (c * e + s * s * yy) * first, (c * f + s * c * yy) * second
    c, d = (c * s * yy - s * e) * first, (c * c * yy - s * f) * second
    p, q, r = a * a + b * b, a * c + b * d, c * c + d * d
    apart = torch.hypot(p - r, 2 * q)
    round_ = apart <= 1e-9 * (p + r)
    half = torch.where(first >= second, apart, -apart)
    share = 0.5 * (p - r) / torch.where(round_, 1, half)
    cosine = torch.where(round_, 1, (0.5 + share).clamp(min=0).sqrt())
    sine = torch.where(round_, 0, torch.copysign((0.5 - share).clamp(min=0).sqrt(), q * torch.sign(half)))
    one = (0.5 * (p + r + half)).clamp(min=0).sqrt()
    two = (a * d - b * c).abs() / one.clamp(min=TINY)
    one = torch.minimum(torch.maximum(one, LEAST * first), MOST * first)
    two = torch.minimum(torch.maximum(two, LEAST * second), MOST * second)
    plain = (xx - 1).abs() + xy.abs() + (yy - 1).abs() < FLAT
    cosine = torch.where(plain, 1, (0.5 + 0.5 * cosine).sqrt())
    sine = torch.where(plain, 0, 0.5 * sine / cosine)
    found = torch.stack([one, two, scales[:, 2]], -1)
    return cosine, sine, torch.where(plain[:, None], scales, found)
