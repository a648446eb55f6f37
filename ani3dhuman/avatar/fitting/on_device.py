"""The fit's descent on another device than the CPU: what `kernels` do there, in plain torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...device import Compute, to_numpy
from ..lifts import nearer
from ..stretching import FLAT, LEAST, MOST, in_its_frame, principal_tensors
from .drawing import draw_target
from .kernels import DECAY, DECAY_OF_SQUARES, TINY
from .shown import Shown
from .surfels import COLORS, LOGIT, SHIFTS, SIZES, TURN, Posed, Surfels
from .targets import Target


class _Pose(NamedTuple):
    """As `surfels.Posed`."""

    vertices: Tensor
    turns: Tensor
    strains: Tensor


class _Axes(NamedTuple):
    """Gaussians on the deformed mesh, all (n,), as of `kernels._axes`."""

    cosine: Tensor
    sine: Tensor
    more: tuple[Tensor, Tensor]
    sizes: tuple[Tensor, Tensor]
    rest: tuple[Tensor, Tensor]
    seen: tuple[Tensor, Tensor, Tensor, Tensor]


class DeviceDescent:
    """Steps on the values of `surfels`, which are theirs again when `finish` is called."""

    def __init__(self, surfels: Surfels, posed: Sequence[Posed], weights: np.ndarray, compute: Compute) -> None:
        """`weights` as of `kernels.mismatch`."""
        self.surfels, self.weights, self.compute = surfels, weights.tolist(), compute
        bound, descent = surfels.bound, surfels.descent
        self.values = compute.tensor(surfels.values)
        self.corners, self.triangles = compute.integers(bound.corners), compute.integers(bound.triangles)
        self.round = self._marks(bound.round)
        floats = bound.shares, bound.turns, bound.slopes, bound.scales, bound.lifts
        self.shares, self.turns, self.slopes, self.scales, self.lifts = (compute.tensor(each) for each in floats)
        tables = descent.first, descent.means, descent.squares, descent.least, descent.most
        self.first, self.means, self.squares, self.least, self.most = (compute.tensor(each) for each in tables)
        self.times, self.rates, self.pull = (
            compute.tensor(each) for each in (descent.times, descent.rates, descent.pull)
        )
        self.posed = [_Pose(*(compute.tensor(each) for each in vars(pose).values())) for pose in posed]

    def step(self, target: Target, seen: Shown, backdrop: np.ndarray, rate: float, samples: int, lifted: bool) -> None:
        """As of `fit.Descent.step`."""
        rows, behind = self.compute.integers(seen.ids), self.compute.tensor(backdrop)
        pose = self.posed[target.pose]
        with torch.no_grad():
            axes = self._axes(rows, pose.strains)
            colors = torch.where(self._marks(seen.hidden)[:, None], behind, self.values[rows, COLORS])
            means, quats, scales, opacities = self._placed(rows, pose, axes)
            left = torch.ones_like(opacities)
            if lifted:
                before = scales[:, 2]
                viewmat = self.compute.tensor(target.viewmat)
                means, scales = nearer(means, scales, self.lifts[rows], viewmat)
                left = scales[:, 2] / before
            drawn = [means, quats, scales, opacities, colors]
        for part in drawn:
            part.requires_grad_()
        image, alphas = draw_target(drawn, target, behind, self.compute, samples)
        ends = self._mismatch(image.detach(), alphas.detach(), target, behind)
        gradients = torch.autograd.grad((image, alphas), drawn, ends)
        with torch.no_grad():
            on_means, on_quats, on_scales, *rest = gradients
            gradients = on_means * left[:, None], on_quats, on_scales * left[:, None], *rest
            slopes = self._slopes(rows, pose, axes, gradients, self._marks(seen.visible))
            self._descend(rows, slopes, rate)

    def finish(self) -> None:
        """Give the surfels their values."""
        self.surfels.values[:] = to_numpy(self.values)

    def _marks(self, marks: np.ndarray) -> Tensor:
        return self.compute.integers(marks) > 0

    def _axes(self, rows: Tensor, strains: Tensor) -> _Axes:
        xx, xy, yy = strains[self.triangles[rows]].unbind(1)
        first, second = (self.scales[rows, :2] * self.values[rows, SIZES].exp()).unbind(1)
        half = 0.5 * (self.turns[rows] + self.values[rows, TURN])
        w, z = half.cos(), half.sin()
        plain = self.round[rows] | ((xx - 1).abs() + xy.abs() + (yy - 1).abs() < FLAT)
        a, b, c, d = in_its_frame.py_func(xx, xy, yy, w * w - z * z, 2 * w * z)
        a, d = torch.where(plain, 1, a), torch.where(plain, 1, d)
        b, c = torch.where(plain, 0, b), torch.where(plain, 0, c)
        cosine, sine, one, two = principal_tensors(a, b, c, d, first, second)
        one = torch.where(plain, first, torch.minimum(torch.maximum(one, LEAST * first), MOST * first))
        two = torch.where(plain, second, torch.minimum(torch.maximum(two, LEAST * second), MOST * second))
        cosine, sine = torch.where(plain, 1, cosine), torch.where(plain, 0, sine)
        more = (0.5 + 0.5 * cosine).sqrt()
        less = 0.5 * sine / more
        turned = w * more - z * less, w * less + z * more
        return _Axes(*turned, (cosine, sine), (one, two), (first, second), (a, b, c, d))

    def _placed(self, rows: Tensor, pose: _Pose, axes: _Axes) -> list[Tensor]:
        """As `kernels.place`."""
        shifts, slopes = self.values[rows, SHIFTS], self.slopes[rows]
        shares = self.shares[rows] + (shifts[:, :, None] * slopes).sum(1)
        means = (shares[:, :, None] * pose.vertices[self.corners[rows]]).sum(1)
        w, x, y, z = pose.turns[self.triangles[rows]].unbind(1)
        c, s = axes.cosine, axes.sine
        quats = torch.stack([w * c - z * s, x * c + y * s, y * c - x * s, z * c + w * s], 1)
        thick = torch.where(self.round[rows], axes.sizes[1], self.scales[rows, 2])
        scales = torch.stack([*axes.sizes, thick], 1)
        return [means, quats, scales, self.values[rows, LOGIT].sigmoid()]

    def _mismatch(self, image: Tensor, alphas: Tensor, target: Target, behind: Tensor) -> tuple[Tensor, Tensor]:
        """As `kernels.mismatch`."""
        colors, alpha = self.compute.tensor(target.colors)[None], self.compute.tensor(target.alpha)[None, ..., None]
        absolute, squared, coverage = self.weights
        off, one = image - colors - (1 - alpha) * behind, 1 / target.alpha.size
        on_image = one / 3 * (absolute * off.sign() + 2 * squared * off)
        return on_image, one * coverage * (alphas - alpha).sign()

    def _slopes(self, rows: Tensor, pose: _Pose, axes: _Axes, gradients: Sequence[Tensor], shown: Tensor) -> Tensor:
        """Gradients (n,9) of the values, from those of what is drawn; as `kernels.descend` and `kernels._on_axes`."""
        on_means, on_quats, on_scales, on_opacities, on_colors = gradients
        down = (on_means[:, None] * pose.vertices[self.corners[rows]]).sum(2)
        shifts = (down[:, None] * self.slopes[rows]).sum(2)
        w, x, y, z = pose.turns[self.triangles[rows]].unbind(1)
        u, (one, two), (first, second), (a0, b0, a1, b1) = axes.more, axes.sizes, axes.rest, axes.seen
        c, s = 0.5 * axes.cosine, -0.5 * axes.sine
        q = on_quats
        on_angle = q[:, 0] * (w * s - z * c) + q[:, 1] * (x * s + y * c)
        on_angle = on_angle + q[:, 2] * (y * s - x * c) + q[:, 3] * (z * s + w * c)
        apart = one * one - two * two
        apart = torch.copysign(torch.maximum(apart.abs(), 1e-4 * one * one), apart)
        a0, a1 = u[0] * a0 + u[1] * a1, u[0] * a1 - u[1] * a0
        b0, b1 = u[0] * b0 + u[1] * b1, u[0] * b1 - u[1] * b0
        v = a0 * first / one, b0 * second / one
        on_one, on_two = on_scales[:, 0], on_scales[:, 1]
        long = first * (on_one * a0 * v[0] - on_two * a1 * v[1])
        long = long + first * on_angle * (one * a1 * v[0] - two * a0 * v[1]) / apart
        wide = second * (on_one * b0 * v[1] + on_two * b1 * v[0])
        wide = wide + second * on_angle * (one * b1 * v[1] + two * b0 * v[0]) / apart
        p00, p01 = first * b0 * v[0] - second * a0 * v[1], -first * b0 * v[1] - second * a0 * v[0]
        p10, p11 = first * b1 * v[0] - second * a1 * v[1], -first * b1 * v[1] - second * a1 * v[0]
        turned = on_one * p00 + on_two * p11 + on_angle * (one * p10 + two * p01) / apart
        curved = self.round[rows]
        long = torch.where(curved, on_one * first, long)
        wide = torch.where(curved, (on_two + on_scales[:, 2]) * second, wide)
        opacity = self.values[rows, LOGIT].sigmoid()
        shape = torch.stack([turned, long, wide, on_opacities * opacity * (1 - opacity)], 1)
        return torch.cat([shifts, shape, torch.where(shown[:, None], on_colors, 0)], 1)

    def _descend(self, rows: Tensor, slopes: Tensor, rate: float) -> None:
        """A step of Adam, as `kernels._adam`; what is round stays where it is."""
        self.times[rows] = self.times[rows] + 1
        times = self.times[rows][:, None]
        first, second = 1 - DECAY**times, 1 - DECAY_OF_SQUARES**times
        values = self.values[rows]
        slopes = slopes + self.pull * (values - self.first[rows])
        means = DECAY * self.means[rows] + (1 - DECAY) * slopes
        squares = DECAY_OF_SQUARES * self.squares[rows] + (1 - DECAY_OF_SQUARES) * slopes * slopes
        moved = values - rate * self.rates * means / first / ((squares / second).sqrt() + TINY)
        moved = torch.minimum(torch.maximum(moved, self.least[rows]), self.most[rows])
        still = self.round[rows].clone()
        kept = slice(0, SIZES.start)
        moved[:, kept] = torch.where(still[:, None], values[:, kept], moved[:, kept])
        self.values[rows], self.means[rows], self.squares[rows] = moved, means, squares
