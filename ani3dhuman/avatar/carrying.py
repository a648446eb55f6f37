"""Triangles that carry Gaussians, compiled: one pass for the poses, one for their gradient; on the CPU, in float32.

The gradient of a triangle's rotation needs no derivative of its matrix or quaternion: moved corners turn the frame by a
small angle w, which is linear in them, and the quaternion q then changes by (0, w) q / 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..jit import kernel

TINY = 1e-12  # metres, and square metres; triangles below it get no gradient


def carry(
    vertices: Tensor, faces: Tensor, triangle_ids: Tensor, barycentrics: Tensor, local_quats: Tensor
) -> tuple[Tensor, Tensor]:
    """Means (N,3) and quats (N,4) wxyz of Gaussians on a mesh, as of `binding.SurfaceBinding.pose`.

    Args:
        vertices: (V,3) float32, world metres; the only ones that take gradients.
        faces, triangle_ids, barycentrics, local_quats: as in `binding.SurfaceBinding`.
    """
    return _Carry.apply(vertices, faces, triangle_ids, barycentrics, local_quats)


class _Carry(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vertices: Tensor, *bound: Tensor) -> tuple[Tensor, Tensor]:
        ctx.bound = faces, ids, shares, local = [np.ascontiguousarray(tensor.numpy()) for tensor in bound]
        places = np.ascontiguousarray(vertices.detach().numpy())
        ctx.count, ctx.triangles = len(places), _frames(places, faces)
        means, quats = _place(places, faces, ids, shares, local, ctx.triangles[2])
        return torch.from_numpy(means), torch.from_numpy(quats)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        on_means, on_quats = [np.ascontiguousarray(gradient.numpy()) for gradient in gradients]
        (faces, ids, shares, local), (frames, shapes, turns) = ctx.bound, ctx.triangles
        found = _vertex_gradient(on_means, on_quats, faces, ids, shares, local, frames, shapes, turns, ctx.count)
        return torch.from_numpy(found), None, None, None, None


@kernel
def _frames(vertices, faces):  # type: ignore[no-untyped-def]
    """Rows tangent, bitangent, normal (F,3,3); in their plane length, along, across (F,3); quaternions wxyz (F,4)."""
    count = len(faces)
    frames, shapes, turns = np.empty((count, 3, 3)), np.empty((count, 3)), np.empty((count, 4))
    first, second = np.empty(3), np.empty(3)
    for f in range(count):
        a, b, c = faces[f]
        for i in range(3):
            first[i], second[i] = vertices[b, i] - vertices[a, i], vertices[c, i] - vertices[a, i]
        t, s, n = frames[f]
        length = math.sqrt(first[0] ** 2 + first[1] ** 2 + first[2] ** 2)
        _cross(first, second, n)
        area = math.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2)
        for i in range(3):
            t[i] = first[i] / max(length, TINY)
            n[i] /= max(area, TINY)
        _cross(n, t, s)
        shapes[f, 0] = length
        shapes[f, 1] = second[0] * t[0] + second[1] * t[1] + second[2] * t[2]
        shapes[f, 2] = area / max(length, TINY)
        quat_of_axes(t, s, n, turns[f])
    return frames, shapes, turns


@kernel
def _cross(u, v, out):  # type: ignore[no-untyped-def]
    out[0] = u[1] * v[2] - u[2] * v[1]
    out[1] = u[2] * v[0] - u[0] * v[2]
    out[2] = u[0] * v[1] - u[1] * v[0]


@kernel
def quat_of_axes(x, y, z, out):  # type: ignore[no-untyped-def]
    """The quaternion wxyz of a rotation with columns x, y, z: the candidate of `binding.matrix_to_quat`."""
    w2, x2 = 1 + x[0] + y[1] + z[2], 1 + x[0] - y[1] - z[2]
    y2, z2 = 1 - x[0] + y[1] - z[2], 1 - x[0] - y[1] + z[2]
    if max(y2, z2) > max(w2, x2):
        if z2 > y2:
            out[0], out[1], out[2], out[3] = x[1] - y[0], z[0] + x[2], y[2] + z[1], z2
        else:
            out[0], out[1], out[2], out[3] = z[0] - x[2], x[1] + y[0], y2, y[2] + z[1]
    elif x2 > w2:
        out[0], out[1], out[2], out[3] = y[2] - z[1], x2, x[1] + y[0], z[0] + x[2]
    else:
        out[0], out[1], out[2], out[3] = w2, y[2] - z[1], z[0] - x[2], x[1] - y[0]
    norm = max(math.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2 + out[3] ** 2), TINY)
    for i in range(4):
        out[i] /= norm


@kernel
def _place(vertices, faces, ids, shares, local, turns):  # type: ignore[no-untyped-def]
    count = len(ids)
    means, quats = np.empty((count, 3), np.float32), np.empty((count, 4), np.float32)
    for g in range(count):
        a, b, c = faces[ids[g]]
        for i in range(3):
            means[g, i] = shares[g, 0] * vertices[a, i] + shares[g, 1] * vertices[b, i] + shares[g, 2] * vertices[c, i]
        pw, px, py, pz = turns[ids[g]]
        qw, qx, qy, qz = local[g]
        quats[g, 0] = pw * qw - px * qx - py * qy - pz * qz
        quats[g, 1] = pw * qx + px * qw + py * qz - pz * qy
        quats[g, 2] = pw * qy - px * qz + py * qw + pz * qx
        quats[g, 3] = pw * qz + px * qy - py * qx + pz * qw
    return means, quats


@kernel
def _over(p, q):  # type: ignore[no-untyped-def]
    """Hamilton product of p and the conjugate of q, both wxyz."""
    return (
        p[0] * q[0] + p[1] * q[1] + p[2] * q[2] + p[3] * q[3],
        p[1] * q[0] - p[0] * q[1] - p[2] * q[3] + p[3] * q[2],
        p[2] * q[0] - p[0] * q[2] + p[1] * q[3] - p[3] * q[1],
        p[3] * q[0] - p[0] * q[3] - p[1] * q[2] + p[2] * q[1],
    )


@kernel
def _vertex_gradient(on_means, on_quats, faces, ids, shares, local, frames, shapes, turns, count):  # type: ignore[no-untyped-def]
    """Gradient (V,3) float32 for the vertices, from those of means (N,3) and quats (N,4)."""
    found, on_turns = np.zeros((count, 3)), np.zeros((len(faces), 4))
    for g in range(len(ids)):
        for corner in range(3):
            for i in range(3):
                found[faces[ids[g], corner], i] += shares[g, corner] * on_means[g, i]
        pull = _over(on_quats[g], local[g])
        for i in range(4):
            on_turns[ids[g], i] += pull[i]
    for f in range(len(faces)):
        length, along, across = shapes[f]
        if min(length, length * across) < TINY:
            continue
        _, x, y, z = _over(on_turns[f], turns[f])
        t, s, n = frames[f]
        about_t = 0.5 * (x * t[0] + y * t[1] + z * t[2])
        about_s = 0.5 * (x * s[0] + y * s[1] + z * s[2])
        about_n = 0.5 * (x * n[0] + y * n[1] + z * n[2])
        a, b, c = faces[f]
        for i in range(3):
            on_second = about_t * n[i] / across
            on_first = (about_n * s[i] - about_s * n[i] - along * on_second) / length
            found[b, i] += on_first
            found[c, i] += on_second
            found[a, i] -= on_first + on_second
    return found.astype(np.float32)
