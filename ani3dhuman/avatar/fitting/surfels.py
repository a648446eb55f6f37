"""What the fit may change of an avatar's Gaussians, and how far: they stay in the surface, and of a size with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ani3d_formats.color import linear_to_srgb, srgb_to_linear

from ...mesh.quaternions import matrix_to_quat, quat_multiply
from ...mesh.topology import triangle_frames
from ..avatar import Avatar
from ..binding import SurfaceBinding
from .kernels import Bound, Descent, descend, place

MOST_SHIFT = 0.8  # of a Gaussian in the surface, over its standard deviation
MOST_OUTSIDE = 0.4  # of a barycentric coordinate a shift of 1: far outside a small triangle it would leave the surface
THINNER, WIDER = 1 / 6, 2.2  # factors on a standard deviation along the surface
MOST_COLOR = 0.3  # either way, of the surface's own colour, sRGB-encoded 0..1
FIBRE = 2.0  # factor on a fibre's standard deviations, either way
LEAST_OPACITY, MOST_OPACITY = 0.005, 0.995
SHIFTS, TURN, SIZES, LOGIT, COLORS = slice(0, 2), 2, slice(3, 5), 5, slice(6, 9)
RATES = (0.1, 0.1, 0.1, 0.06, 0.06, 0.1, 0.03, 0.03, 0.03)  # of a step of gradient descent
# Pull back to the start, as gradients; weaker than what pictures say of a Gaussian that shows in a few pixels, so that
# one that hardly ever shows does not take on whatever made those pixels more alike.
PULL = (3e-7, 3e-7, 3e-7, 3e-7, 3e-7, 1e-6, 2e-5, 2e-5, 2e-5)
ANY_TURN = 1e6  # radians


@dataclass(frozen=True)
class Posed:
    """The mesh in one pose: vertices (V,3), its triangles' rotations (F,4) wxyz and how they deform (F,3), float32."""

    vertices: np.ndarray
    turns: np.ndarray
    strains: np.ndarray

    @classmethod
    def of(cls, vertices: np.ndarray, binding: SurfaceBinding) -> Posed:
        points = torch.from_numpy(np.array(vertices, np.float32))
        turns = matrix_to_quat(triangle_frames(points, binding.faces))
        return cls(points.numpy(), turns.numpy(), binding.strains(points).numpy())


@dataclass(frozen=True)
class Placed:
    """Some Gaussians as a picture is drawn of them: (n,3) means, (n,4) quats, (n,3) scales and (n,) opacities."""

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray


class Surfels:
    """The parameters of N Gaussians on the triangles of a mesh: one table, whose rows are stepped on as they are seen.

    Attributes:
        values: (N,9) float32, shift along the triangle's tangent and bitangent at rest (2), in units of the standard
            deviation there, less in small triangles; turn about the normal, radians; logarithms of factors on the
            standard deviations along the surface (2); logit of the opacity; sRGB-encoded albedo (3).
    """

    def __init__(self, avatar: Avatar, vertices: np.ndarray, curved: np.ndarray | None = None) -> None:
        """`vertices` (V,3) of the mesh at rest; those that are `curved` (N,), of strands, stay in place."""
        self.start, count, bound = avatar, avatar.count, avatar.binding
        slopes = _barycentric_slopes(torch.from_numpy(np.array(vertices, np.float32)), bound.faces)[bound.triangle_ids]
        steepest = slopes.abs().amax((1, 2)).clamp(min=1e-9)
        unit = torch.minimum(torch.from_numpy(np.array(avatar.scales[:, :2].mean(1))), MOST_OUTSIDE / steepest)
        self.values = np.zeros((count, len(RATES)), np.float32)
        opacities = avatar.opacities.clip(LEAST_OPACITY, MOST_OPACITY)
        self.values[:, LOGIT] = np.log(opacities / (1 - opacities))
        self.values[:, COLORS] = linear_to_srgb(avatar.albedo)
        self.bound = Bound(
            np.ascontiguousarray(bound.faces[bound.triangle_ids].numpy()),
            np.ascontiguousarray(bound.triangle_ids.numpy()),
            np.ascontiguousarray(bound.barycentrics.numpy()),
            2 * np.arctan2(bound.local_quats[:, 3].numpy(), bound.local_quats[:, 0].numpy()),
            np.ascontiguousarray((slopes * unit[:, None, None]).numpy()),
            np.ascontiguousarray(avatar.scales, np.float32),
            np.zeros(count, bool) if curved is None else curved,
            np.zeros(count, np.float32) if avatar.lifts is None else np.ascontiguousarray(avatar.lifts, np.float32),
        )
        least, most = self._bounds()
        none = np.zeros_like(self.values)
        rates, pull = np.array(RATES, np.float32), np.array(PULL, np.float32)
        times = np.zeros(count, np.int32)
        self.descent = Descent(self.values.copy(), none, none.copy(), times, rates, pull, least, most)

    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,9) least and greatest values."""
        count, ends = len(self.values), (LEAST_OPACITY, MOST_OPACITY)
        fewest, greatest = (math.log(opacity / (1 - opacity)) for opacity in ends)
        least = [-MOST_SHIFT] * 2 + [-ANY_TURN] + [math.log(THINNER)] * 2 + [fewest] + [0.0] * 3
        most = [MOST_SHIFT] * 2 + [ANY_TURN] + [math.log(WIDER)] * 2 + [greatest] + [1.0] * 3
        low, high = (np.tile(np.array(bounds, np.float32), (count, 1)) for bounds in (least, most))
        low[self.bound.round, SIZES], high[self.bound.round, SIZES] = -math.log(FIBRE), math.log(FIBRE)
        low[:, COLORS] = np.maximum(low[:, COLORS], self.values[:, COLORS] - MOST_COLOR)
        high[:, COLORS] = np.minimum(high[:, COLORS], self.values[:, COLORS] + MOST_COLOR)
        return low, high

    def placed(self, ids: np.ndarray, posed: Posed, eye: np.ndarray | None = None) -> tuple[Placed, np.ndarray]:
        """The Gaussians `ids` (n,) on a mesh, lifted towards an `eye` (3,), and the share (n,) of the way left."""
        shapes = ((len(ids), 3), (len(ids), 4), (len(ids), 3), (len(ids),))
        found, left = Placed(*(np.empty(shape, np.float32) for shape in shapes)), np.empty(len(ids), np.float32)
        towards = np.zeros(0, np.float32) if eye is None else eye
        place(ids, self.values, self.bound, *vars(posed).values(), towards, left, *vars(found).values())
        return found, left

    def step(
        self,
        ids: np.ndarray,
        posed: Posed,
        left: np.ndarray,
        gradient: Placed,
        colors: np.ndarray,
        shown: np.ndarray,
        rate: float,
    ) -> None:
        """One step of Adam on the rows `ids` (n,), the other rows keep their momentum.

        Args:
            left, gradient: what `placed` returned for them, and the gradient of its Gaussians.
            colors: (n,3) gradient of their colours; only those that are `shown` (n,) learn it.
            rate: factor on the step.
        """
        state = (self.values, self.bound, *vars(posed).values())
        descend(ids, *state, left, tuple(vars(gradient).values()), colors, shown, self.descent, np.float32(rate))

    def avatar(self) -> Avatar:
        """The avatar that the values make."""
        values, bound = self.values, self.bound
        moved = np.einsum("na,nab->nb", values[:, SHIFTS], bound.slopes)
        half, none = torch.from_numpy(values[:, TURN] / 2), torch.zeros(len(values))
        about = torch.stack([torch.cos(half), none, none, torch.sin(half)], 1)
        quats = torch.nn.functional.normalize(quat_multiply(self.start.binding.local_quats, about), dim=-1)
        barycentrics = torch.from_numpy(bound.shares + moved)
        scales = bound.scales.copy()
        scales[:, :2] *= np.exp(values[:, SIZES])
        scales[:, 2] = np.where(bound.round, scales[:, 1], scales[:, 2])
        return replace(
            self.start,
            binding=replace(self.start.binding, barycentrics=barycentrics, local_quats=quats),
            scales=scales,
            opacities=(1 / (1 + np.exp(-values[:, LOGIT]))).astype(np.float32),
            albedo=srgb_to_linear(values[:, COLORS]).astype(np.float32),
        )


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
