"""Gaussians fitted to pictures: gradient descent through the rasteriser."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ani3d_formats.color import srgb_to_linear
from ani3d_formats.progress import Progress

from ...device import CPU, Compute
from ...rendering.draw import SAMPLES
from ..avatar import Avatar
from .drawing import Samples
from .kernels import mismatch
from .on_device import DeviceDescent
from .shown import Shown, all_shown
from .surfels import COLORS, Posed, Surfels
from .targets import Target

SURE = 0.5  # coverage, over all pictures, from which on they tell a Gaussian's colour


@dataclass(frozen=True)
class FitConfig:
    """How to fit.

    Attributes:
        steps: of gradient descent, one picture each.
        absolute, squared: weights of the colours' differences from those wanted, over a backdrop of a random colour.
        coverage: weight of the alpha's absolute difference.
        coarse: share of the steps, the first ones, that draw one sample a pixel: they take half the time.
        final_rate: of the last step, relative to the first one; half a wave of a cosine lies between.
        seed: of the pictures' order.
    """

    steps: int = 600
    absolute: float = 1.0
    squared: float = 40.0
    coverage: float = 0.5
    coarse: float = 0.5
    final_rate: float = 0.05
    seed: int = 0


def fit(
    avatar: Avatar,
    poses: np.ndarray,
    targets: Sequence[Target],
    config: FitConfig,
    progress: Progress,
    curved: np.ndarray | None = None,
    compute: Compute = CPU,
) -> Avatar:
    """The avatar fitted to `targets` on the mesh's `poses` (M,V,3), the first of which is that at rest.

    A picture changes the colours of Gaussians that it shows alone: hidden ones would take on those of what they shine
    through, instead of shrinking. Those that are `curved` (N,), parts of strands, keep their places.
    """
    surfels = Surfels(avatar, poses[0], curved)
    posed = [Posed.of(pose, avatar.binding) for pose in poses]
    shown = all_shown(avatar, poses, targets)
    backdrops = np.random.default_rng(config.seed).random((config.steps, 3), np.float32)
    weights = np.array([config.absolute, config.squared, config.coverage], np.float32)
    on_cpu = compute.on_cpu
    descent = Descent(surfels, posed, weights) if on_cpu else DeviceDescent(surfels, posed, weights, compute)
    for k, number in enumerate(_in_order(len(targets), config)):
        rate = config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * k / config.steps))
        coarse = k < config.coarse * config.steps
        # drawn elsewhere, they have the order of their depths: they must look right in both
        lifted = k % 2 == 0 if coarse else k % 4 < 3
        descent.step(targets[number], shown[number], backdrops[k], rate, 1 if coarse else SAMPLES, lifted)
        progress.advance()
    descent.finish()
    return surfels.avatar()


def colored_by(avatar: Avatar, poses: np.ndarray, targets: Sequence[Target]) -> Avatar:
    """The avatar in the colours that `targets` show where its Gaussians are; those that none shows keep theirs."""
    total, number = np.zeros((avatar.count, 3)), np.zeros(avatar.count)
    for target, shown in zip(targets, all_shown(avatar, poses, targets), strict=True):
        ids = shown.ids[shown.visible]
        means, _ = avatar.pose(poses[target.pose][None])
        local = means[0][ids] @ target.viewmat[:3, :3].T + target.viewmat[:3, 3]
        column, row = (local[:, :2] / local[:, 2:] @ target.K[:2, :2].T + target.K[:2, 2]).astype(int).T
        height, width = target.alpha.shape
        kept = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        ids, column, row = ids[kept], column[kept], row[kept]
        total[ids] += target.colors[row, column]
        number[ids] += target.alpha[row, column]
    found = srgb_to_linear(np.clip(total / np.maximum(number, 1e-6)[:, None], 0, 1)).astype(np.float32)
    return replace(avatar, albedo=np.where(number[:, None] > SURE, found, avatar.albedo))


def _in_order(count: int, config: FitConfig) -> np.ndarray:
    """Numbers of the targets, one a step, all before any comes again."""
    rng = np.random.default_rng(config.seed)
    rounds = [rng.permutation(count) for _ in range(-(-config.steps // count))]
    return np.concatenate(rounds)[: config.steps]


class Descent:
    """Steps on the values of `surfels`, compiled for the CPU: the same bits for any number of threads."""

    def __init__(self, surfels: Surfels, posed: Sequence[Posed], weights: np.ndarray) -> None:
        """`weights` as of `kernels.mismatch`."""
        self.surfels, self.posed, self.weights = surfels, posed, weights
        self._ends: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}  # memory of gradients by pictures' shapes

    def step(self, target: Target, seen: Shown, backdrop: np.ndarray, rate: float, samples: int, lifted: bool) -> None:
        """One step towards a picture of `samples` along each side of a pixel, over a `backdrop` (3,), `rate` times as
        long as the first; `lifted` says whether Gaussians are."""
        surfels, pose = self.surfels, self.posed[target.pose]
        placed, left = surfels.placed(seen.ids, pose, target.eye if lifted else None)
        # without light the far side of a limb looks like the near one: hidden Gaussians must not show in any colour
        colors = surfels.values[seen.ids, COLORS]
        colors[seen.hidden] = backdrop
        drawn = Samples(placed, colors, target, backdrop, samples)
        given = drawn.image, drawn.alphas, target.colors, target.alpha, backdrop, self.weights
        if drawn.image.shape not in self._ends:
            self._ends[drawn.image.shape] = np.empty_like(drawn.image), np.empty_like(drawn.alphas)
        on_image, on_alphas = self._ends[drawn.image.shape]
        mismatch(*given, on_image, on_alphas)
        surfels.step(seen.ids, pose, left, *drawn.back(on_image, on_alphas), seen.visible, rate)

    def finish(self) -> None:
        """The values are where they belong."""
