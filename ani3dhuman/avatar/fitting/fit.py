"""Gaussians fitted to pictures: gradient descent through the rasteriser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ani3d_formats.progress import Progress

from ...rendering import rasterize
from ...similarity.ssim import ssim_map
from ..avatar import Avatar
from .surfels import COLORS, LOGIT, Surfels, triangle_turns
from .targets import Target

MARGIN = 8  # pixels around a picture in which Gaussians count too


@dataclass(frozen=True)
class FitConfig:
    """How to fit.

    Attributes:
        steps: of gradient descent, one picture each.
        likeness: weight of structural dissimilarity; 0 leaves it out.
        coverage: weight of the alpha's absolute difference.
        final_rate: of the last step, relative to the first one.
        seed: of the pictures' order.
    """

    steps: int = 600
    likeness: float = 0.0
    coverage: float = 0.5
    final_rate: float = 0.1
    seed: int = 0


def fit(
    avatar: Avatar,
    poses: np.ndarray,
    targets: Sequence[Target],
    config: FitConfig,
    progress: Progress,
    fixed: np.ndarray | None = None,
) -> Avatar:
    """The avatar fitted to `targets` on the mesh's `poses` (M,V,3), the first of which is that at rest.

    Of its Gaussians that are `fixed` (N,) only colours change.
    """
    surfels = Surfels(avatar, poses[0])
    free = None if fixed is None else torch.from_numpy(~fixed)
    vertices = [torch.from_numpy(np.array(pose, np.float32)) for pose in poses]
    turns = [triangle_turns(pose, surfels.faces) for pose in vertices]
    places = [avatar.binding.pose(pose)[0].numpy() for pose in vertices]
    seen = [torch.from_numpy(_inside(target, places[target.pose])) for target in targets]
    backdrops = torch.from_numpy(np.random.default_rng(config.seed).random((config.steps, 3), np.float32))
    for k, number in enumerate(_in_order(len(targets), config)):
        target, ids = targets[number], seen[number]
        values = surfels.values[ids].requires_grad_()
        loss = _loss(surfels, values, ids, target, vertices[target.pose], turns[target.pose], backdrops[k], config)
        (gradient,) = torch.autograd.grad(loss, values)
        if free is not None:
            gradient[:, : COLORS.start] *= free[ids, None]
        surfels.step(ids, gradient, config.final_rate ** (k / config.steps))
        progress.advance()
    return surfels.avatar()


def _inside(target: Target, points: np.ndarray) -> np.ndarray:
    """Numbers of the points (N,3) in the picture. Hidden ones too: all of them will be drawn, and may shine through."""
    height, width = target.alpha.shape
    local = points @ target.viewmat[:3, :3].T + target.viewmat[:3, 3]
    x, y = (local[:, :2] / np.maximum(local[:, 2:], 1e-6) @ target.K[:2, :2].T + target.K[:2, 2]).T
    inside = (x > -MARGIN) & (x < width + MARGIN) & (y > -MARGIN) & (y < height + MARGIN)
    return np.flatnonzero(inside & (local[:, 2] > 1e-3))


def _in_order(count: int, config: FitConfig) -> np.ndarray:
    """Numbers of the targets, one a step, all before any comes again."""
    rng = np.random.default_rng(config.seed)
    rounds = [rng.permutation(count) for _ in range(-(-config.steps // count))]
    return np.concatenate(rounds)[: config.steps]


def _loss(
    surfels: Surfels,
    values: Tensor,
    ids: Tensor,
    target: Target,
    vertices: Tensor,
    turns: Tensor,
    backdrop: Tensor,
    config: FitConfig,
) -> Tensor:
    alpha = torch.from_numpy(target.alpha)
    wanted = torch.from_numpy(target.colors) + (1 - alpha[..., None]) * backdrop  # or all that peeps out turns black
    means, quats = surfels.placed(values, ids, vertices, turns)
    image, alphas, _ = rasterize(
        means,
        quats,
        surfels.spread(values, ids),
        torch.sigmoid(values[:, LOGIT]),
        values[:, COLORS],
        torch.from_numpy(target.viewmat)[None],
        torch.from_numpy(target.K)[None],
        width=alpha.shape[1],
        height=alpha.shape[0],
        backgrounds=backdrop[None],
    )
    loss = (image[0] - wanted).abs().mean() + config.coverage * (alphas[0, ..., 0] - alpha).abs().mean()
    if config.likeness:
        loss = loss + config.likeness * (1 - ssim_map(image.permute(0, 3, 1, 2), wanted.permute(2, 0, 1)[None]).mean())
    return loss
