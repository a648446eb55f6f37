"""Gaussians that are narrower across a fold of their mesh, so that they do not stick out of it.

A Gaussian reaches over the edges of its triangle. Where the mesh is bent there more than at rest, what is beyond the
edge leaves the surface by the sine of the angle; across that edge the Gaussian is made as narrow as keeps it within a
small distance. Compiled for the CPU; the same in plain torch for any device.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..jit import kernel
from ..mesh.quaternions import quat_multiply
from ..mesh.topology import rows
from .stretching import LYING, principal, principal_tensors, rotations

REACH = 2.0  # standard deviations that are seen of a Gaussian
OUT = 1.5e-3  # of the root of the mesh's area: how far one may stick out, 2.7 mm of a person
SHARE = 0.25  # of its standard deviation that a large one may stick out
LEAST = 0.25  # factor on a standard deviation
SLIGHT = 0.1  # radians that edges may be bent further than at rest: from there on, so that nothing jumps


def bends_of(vertices: Tensor, faces: Tensor, others: Tensor) -> Tensor:
    """(F,3) radians by which the mesh (V,3) is bent at each triangle's edges, positive where it is convex.

    `others` (F,3) are the triangles beyond them, as of `neighbours_of`; 0 where there is none. The first edge leads
    from the first corner to the second.
    """
    if vertices.device.type == "cpu" and vertices.dtype == torch.float32:
        given = vertices.detach(), faces, others
        return torch.from_numpy(_bends(*(np.ascontiguousarray(tensor.numpy()) for tensor in given)))
    corners = rows(vertices.detach(), faces)
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = torch.nn.functional.normalize(normals, dim=-1, eps=1e-20)
    edges = torch.nn.functional.normalize(corners.roll(-1, 1) - corners, dim=-1, eps=1e-20)
    beyond = normals[others.clamp(min=0)]
    own = normals[:, None].expand_as(beyond)
    angles = torch.atan2((torch.linalg.cross(own, beyond) * edges).sum(-1), (own * beyond).sum(-1))
    return torch.where(others < 0, 0, angles)


@kernel
def _edge(vertices, corners, k):  # type: ignore[no-untyped-def]
    """The corner that edge `k` of a triangle begins at, and the way along it."""
    i, j = corners[k], corners[(k + 1) % 3]
    return i, vertices[j, 0] - vertices[i, 0], vertices[j, 1] - vertices[i, 1], vertices[j, 2] - vertices[i, 2]


@kernel
def _bends(vertices, faces, others):  # type: ignore[no-untyped-def]
    normals, found = np.zeros((len(faces), 3), np.float32), np.zeros((len(faces), 3), np.float32)
    for f in range(len(faces)):
        a, b, c = faces[f]
        px, py, pz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        qx, qy, qz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = py * qz - pz * qy, pz * qx - px * qz, px * qy - py * qx
        length = max(math.sqrt(nx * nx + ny * ny + nz * nz), 1e-20)
        normals[f, 0], normals[f, 1], normals[f, 2] = nx / length, ny / length, nz / length
    for f in range(len(faces)):
        for k in range(3):
            g = others[f, k]
            if g < 0:
                continue
            _, ex, ey, ez = _edge(vertices, faces[f], k)
            length = max(math.sqrt(ex * ex + ey * ey + ez * ez), 1e-20)
            nx, ny, nz = normals[f]
            mx, my, mz = normals[g]
            across = (ny * mz - nz * my) * ex + (nz * mx - nx * mz) * ey + (nx * my - ny * mx) * ez
            found[f, k] = math.atan2(across / length, nx * mx + ny * my + nz * mz)
    return found


def beyond_rest(bends: Tensor, rest: Tensor) -> Tensor:
    """(F,3) radians, unsigned, by which edges are bent further than at rest: 0 for a pleat that opens."""
    return (bends - torch.minimum(torch.maximum(rest, bends.clamp(max=0)), bends.clamp(min=0))).abs()


def outmost(rest_shapes: Tensor) -> float:
    """Metres that a Gaussian may stick out of a mesh whose triangles have such shapes (F,3) at rest."""
    return OUT * math.sqrt(float((rest_shapes[:, 0] * rest_shapes[:, 2]).sum()) / 2)


def room_beyond(bends: Tensor) -> Tensor:
    """(F,3) how far Gaussians may reach over edges that are bent by (F,3) radians, over how far they may stick out."""
    return 1 / (bends - SLIGHT).clamp(min=0, max=math.pi / 2).sin()  # infinite where that is slight


def narrowed(
    vertices: Tensor,
    faces: Tensor,
    room: Tensor,
    out: float,
    triangle_ids: Tensor,
    local_quats: Tensor,
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
) -> tuple[Tensor, Tensor]:
    """Gaussians on a mesh that is bent; those that lean out of their triangle stay.

    Args:
        vertices: (V,3) metres; faces: (F,3).
        room: (F,3) as of `room_beyond`.
        out: metres that they may stick out, as of `outmost`; large ones as much as `SHARE` of their own size.
        triangle_ids: (N,); local_quats: (N,4) wxyz turns in the frames of the triangles.
        means: (N,3) metres; quats: (N,4) wxyz; scales: (N,3) metres, as posed.

    Returns:
        Quats (N,4) and scales (N,3).
    """
    if vertices.device.type == "cpu":
        given = (vertices, faces, room, triangle_ids, local_quats, means, quats, scales)
        arrays = (np.ascontiguousarray(tensor.detach().numpy()) for tensor in given)
        turns, sizes = (torch.from_numpy(array) for array in _narrow(*arrays, out))
    else:
        turns, sizes = _narrow_tensors(
            rows(vertices, faces[triangle_ids]), room[triangle_ids], out, local_quats, means, quats, scales
        )
    return quat_multiply(quats, turns.to(quats.dtype)), sizes.to(scales.dtype)


@kernel
def _narrow(vertices, faces, room, triangles, local, means, quats, scales, out):  # type: ignore[no-untyped-def]
    """Turns (N,4) wxyz that axes take more, and scales (N,3)."""
    turns, sizes = np.zeros((len(triangles), 4), np.float32), scales.copy()
    for n in range(len(triangles)):
        turns[n, 0] = 1.0
        f = triangles[n]
        first, second = scales[n, 0], scales[n, 1]
        own, widest = max(out, SHARE * max(first, second)), REACH * max(first, second)
        if (
            widest <= own * min(room[f, 0], room[f, 1], room[f, 2])
            or local[n, 1] ** 2 + local[n, 2] ** 2 > LYING * LYING
        ):
            continue
        w, x, y, z = quats[n, 0], quats[n, 1], quats[n, 2], quats[n, 3]
        ux, uy, uz = 1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)
        vx, vy, vz = 2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)
        a, b, c, d = 1.0, 0.0, 0.0, 1.0
        for k in range(3):
            if widest <= own * room[f, k]:
                continue
            i, ex, ey, ez = _edge(vertices, faces[f], k)
            # Out of the triangle, in the Gaussian's own axes: the edge turned by a quarter about the normal u x v
            p, q = ex * vx + ey * vy + ez * vz, -(ex * ux + ey * uy + ez * uz)
            length = math.sqrt(p * p + q * q)
            if length < 1e-12:
                continue
            p, q = p / length, q / length
            rx, ry, rz = means[n, 0] - vertices[i, 0], means[n, 1] - vertices[i, 1], means[n, 2] - vertices[i, 2]
            inside = -((rx * ux + ry * uy + rz * uz) * p + (rx * vx + ry * vy + rz * vz) * q)
            reach = REACH * math.sqrt(((a * p + c * q) * first) ** 2 + ((b * p + d * q) * second) ** 2)
            most = max(inside, 0.0) + own * room[f, k]
            if reach <= most:
                continue
            less = 1 - max(most / reach, LEAST)
            one, two = less * (a * p + c * q), less * (b * p + d * q)
            a, b, c, d = a - one * p, b - two * p, c - one * q, d - two * q
        if a == 1.0 and b == 0.0 and c == 0.0 and d == 1.0:
            continue
        cosine, sine, large, small = principal(a, b, c, d, first, second)
        turns[n, 0] = math.sqrt(0.5 + 0.5 * cosine)
        turns[n, 3] = 0.5 * sine / turns[n, 0]
        sizes[n, 0] = max(large, LEAST * first)
        sizes[n, 1] = max(small, LEAST * second)
    return turns, sizes


def _narrow_tensors(
    corners: Tensor, room: Tensor, out: float, local: Tensor, means: Tensor, quats: Tensor, scales: Tensor
) -> tuple[Tensor, Tensor]:
    """`_narrow` in torch, of corners (N,3,3) and room (N,3) of the Gaussians' own triangles."""
    axes = rotations(quats.detach())[:, :, :2]
    first, second = scales[:, 0], scales[:, 1]
    own = (SHARE * torch.maximum(first, second)).clamp(min=out)
    a, b, c, d = (torch.full_like(first, value) for value in (1.0, 0.0, 0.0, 1.0))
    for k in range(3):
        edge = corners[:, (k + 1) % 3] - corners[:, k]
        along = (edge[:, None] @ axes)[:, 0]
        normal = torch.nn.functional.normalize(torch.stack([along[:, 1], -along[:, 0]], 1), dim=1, eps=1e-12)
        p, q = normal.unbind(1)
        inside = -(((means - corners[:, k])[:, None] @ axes)[:, 0] * normal).sum(1)
        one, two = a * p + c * q, b * p + d * q
        reach = REACH * torch.hypot(one * first, two * second)
        most = inside.clamp(min=0) + own * room[:, k]
        less = torch.where(reach > most, 1 - (most / reach.clamp(min=1e-20)).clamp(min=LEAST), 0)
        a, b, c, d = a - less * one * p, b - less * two * p, c - less * one * q, d - less * two * q
    cosine, sine, large, small = principal_tensors(a, b, c, d, first, second)
    turned = (0.5 + 0.5 * cosine).sqrt()
    none = torch.zeros_like(turned)
    turns = torch.stack([turned, none, none, 0.5 * sine / turned], 1)
    sizes = torch.stack([torch.maximum(large, LEAST * first), torch.maximum(small, LEAST * second), scales[:, 2]], 1)
    same = (a == 1) & (d == 1) & (b == 0) & (c == 0)
    same = (same | (local[:, 1] ** 2 + local[:, 2] ** 2 > LYING**2))[:, None]
    return torch.where(same, turns.new_tensor([1.0, 0, 0, 0]), turns), torch.where(same, scales, sizes)
