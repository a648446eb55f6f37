"""What the fit may change of an avatar's Gaussians, and how far: they stay in the surface, and of a size with it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ani3d_formats.color import linear_to_srgb, srgb_to_linear

from ...mesh.quaternions import matrix_to_quat, quat_multiply
from ...mesh.topology import rows, triangle_frames
from ..avatar import Avatar

MOST_SHIFT = 0.8  # of a Gaussian in the surface, over its standard deviation
MOST_OUTSIDE = 0.4  # of a barycentric coordinate a shift of 1: far outside a small triangle it would leave the surface
THINNER, WIDER = 1 / 6, 2.2  # factors on a standard deviation along the surface
MOST_COLOR = 0.3  # either way, of the surface's own colour, sRGB-encoded 0..1
LEAST_OPACITY, MOST_OPACITY = 0.005, 0.995
SHIFTS, TURN, SIZES, LOGIT, COLORS = slice(0, 2), 2, slice(3, 5), 5, slice(6, 9)
RATES = (0.05, 0.05, 0.05, 0.03, 0.03, 0.05, 0.015, 0.015, 0.015)  # of a step of gradient descent
# Pull back to the start, as gradients; weaker than what pictures say of a Gaussian that shows in a few pixels, so that
# one that hardly ever shows does not take on whatever made those pixels more alike.
PULL = (1e-6, 1e-6, 1e-6, 1e-6, 1e-6, 3e-6, 2e-5, 2e-5, 2e-5)
DECAY, DECAY_OF_SQUARES, TINY = 0.9, 0.99, 1e-15  # of Adam


class Surfels:
    """The parameters of N Gaussians on the triangles of a mesh: one table, whose rows are stepped on as they are seen.

    Attributes:
        values: (N,9) shift along the triangle's tangent and bitangent at rest (2), in units of the standard deviation
            there, less in small triangles; turn about the normal, radians; logarithms of factors on the standard
            deviations along the surface (2); logit of the opacity; sRGB-encoded albedo (3).
    """

    def __init__(self, avatar: Avatar, vertices: np.ndarray) -> None:
        """`vertices` (V,3) of the mesh at rest."""
        self.start = avatar
        self.faces = avatar.binding.faces
        self.triangles = avatar.binding.triangle_ids
        self.scales = torch.from_numpy(np.array(avatar.scales))
        rest = torch.from_numpy(np.array(vertices, np.float32))
        slopes = _barycentric_slopes(rest, self.faces)[self.triangles]
        steepest = slopes.abs().amax((1, 2)).clamp(min=1e-9)
        unit = torch.minimum(self.scales[:, :2].mean(1), MOST_OUTSIDE / steepest)
        self.slopes = slopes * unit[:, None, None]
        self.values = torch.zeros(avatar.count, len(RATES))
        opacities = torch.from_numpy(np.array(avatar.opacities)).clamp(LEAST_OPACITY, MOST_OPACITY)
        self.values[:, LOGIT] = torch.logit(opacities)
        self.values[:, COLORS] = torch.from_numpy(linear_to_srgb(avatar.albedo).astype(np.float32))
        self.least = torch.tensor([-MOST_SHIFT] * 2 + [-math.inf] + [math.log(THINNER)] * 2 + [0.0] * 4)
        self.most = torch.tensor([MOST_SHIFT] * 2 + [math.inf] + [math.log(WIDER)] * 2 + [0.0] + [1.0] * 3)
        for bounds, opacity in ((self.least, LEAST_OPACITY), (self.most, MOST_OPACITY)):
            bounds[LOGIT] = math.log(opacity / (1 - opacity))
        self.rates, self.pull, self.first = torch.tensor(RATES), torch.tensor(PULL), self.values.clone()
        self.means, self.squares = torch.zeros_like(self.values), torch.zeros_like(self.values)
        self.times = torch.zeros(avatar.count, 1)

    def step(self, ids: Tensor, gradient: Tensor, rate: float) -> None:
        """One step of Adam on the rows `ids` (n,), whose gradient is (n,9); the other rows keep their momentum."""
        times, gradient = self.times[ids] + 1, gradient + self.pull * (self.values[ids] - self.first[ids])
        means = DECAY * self.means[ids] + (1 - DECAY) * gradient
        squares = DECAY_OF_SQUARES * self.squares[ids] + (1 - DECAY_OF_SQUARES) * gradient.square()
        along = means / (1 - DECAY**times)
        size = (squares / (1 - DECAY_OF_SQUARES**times)).sqrt_() + TINY
        values = self.values[ids] - rate * self.rates * along / size
        values[:, COLORS] = torch.minimum(values[:, COLORS], self.first[ids, COLORS] + MOST_COLOR)
        values[:, COLORS] = torch.maximum(values[:, COLORS], self.first[ids, COLORS] - MOST_COLOR)
        self.values[ids] = torch.clamp(values, self.least, self.most)
        self.times[ids], self.means[ids], self.squares[ids] = times, means, squares

    def barycentrics(self, values: Tensor, ids: Tensor) -> Tensor:
        moved = torch.einsum("na,nab->nb", values[:, SHIFTS], self.slopes[ids])
        return self.start.binding.barycentrics[ids] + moved

    def local_quats(self, values: Tensor, ids: Tensor) -> Tensor:
        half, none = values[:, TURN] / 2, torch.zeros(len(values))
        about = torch.stack([torch.cos(half), none, none, torch.sin(half)], 1)
        return quat_multiply(self.start.binding.local_quats[ids], about)

    def spread(self, values: Tensor, ids: Tensor) -> Tensor:
        """(n,3) standard deviations, metres."""
        own = self.scales[ids]
        return torch.cat([own[:, :2] * values[:, SIZES].exp(), own[:, 2:]], 1)

    def placed(self, values: Tensor, ids: Tensor, vertices: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
        """Means and quats of the rows `ids` on vertices (V,3), whose triangles have the rotations `turns` (F,4)."""
        triangles = self.triangles[ids]
        corners = rows(vertices, self.faces[triangles])
        means = (corners * self.barycentrics(values, ids)[:, :, None]).sum(1)
        return means, quat_multiply(turns[triangles], self.local_quats(values, ids))

    def avatar(self) -> Avatar:
        """The avatar that the values make."""
        values, ids = self.values, torch.arange(len(self.values))
        quats = torch.nn.functional.normalize(self.local_quats(values, ids), dim=-1)
        binding = replace(self.start.binding, barycentrics=self.barycentrics(values, ids), local_quats=quats)
        return replace(
            self.start,
            binding=binding,
            scales=self.spread(values, ids).numpy(),
            opacities=torch.sigmoid(values[:, LOGIT]).numpy(),
            albedo=srgb_to_linear(values[:, COLORS].numpy()).astype(np.float32),
        )


def triangle_turns(vertices: Tensor, faces: Tensor) -> Tensor:
    """(F,4) wxyz rotations of the triangles on vertices (V,3)."""
    return matrix_to_quat(triangle_frames(vertices, faces))


def _barycentric_slopes(vertices: Tensor, faces: Tensor) -> Tensor:
    """(F,2,3) by how much barycentric coordinates change a metre along each triangle's tangent and bitangent."""
    frames = triangle_frames(vertices, faces)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    length = ((b - a) * frames[:, :, 0]).sum(1)
    along, across = ((c - a) * frames[:, :, 0]).sum(1), ((c - a) * frames[:, :, 1]).sum(1)
    fine = (length > 1e-7) & (across > 1e-7)
    length, across = torch.where(fine, length, 1), torch.where(fine, across, 1)
    second = torch.stack([1 / length, -along / (length * across)], 1)
    third = torch.stack([torch.zeros_like(across), 1 / across], 1)
    slopes = torch.stack([-second - third, second, third], 2)
    return torch.where(fine[:, None, None], slopes, 0)
