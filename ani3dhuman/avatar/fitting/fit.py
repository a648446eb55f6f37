"""Gaussians fitted to pictures: gradient descent through the rasteriser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ani3d_formats.color import srgb_to_linear
from ani3d_formats.progress import Progress

from ...mesh.topology import triangle_frames
from ...rendering import rasterize
from ...similarity.ssim import ssim_map
from ..avatar import Avatar
from .surfels import COLORS, LOGIT, Surfels, triangle_turns
from .targets import Target

MARGIN = 8  # pixels around a picture in which Gaussians count too
DEEP = 0.003  # of the character's height; deeper under what a picture shows, colours learn nothing from it
SURE = 0.5  # coverage, over all pictures, from which on they tell a Gaussian's colour
HIDDEN = 3  # times as deep, and a Gaussian is hidden for sure
EDGE_ON = 0.15  # cosine to the normal below which the same holds


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

    A picture changes the colours of Gaussians that it shows alone: hidden ones would take on those of what they shine
    through, instead of shrinking. Of those that are `fixed` (N,) nothing but colours changes.
    """
    surfels = Surfels(avatar, poses[0])
    free = None if fixed is None else torch.from_numpy(~fixed)
    vertices = [torch.from_numpy(np.array(pose, np.float32)) for pose in poses]
    turns = [triangle_turns(pose, surfels.faces) for pose in vertices]
    shown = _all_shown(avatar, vertices, targets)
    backdrops = torch.from_numpy(np.random.default_rng(config.seed).random((config.steps, 3), np.float32))
    for k, number in enumerate(_in_order(len(targets), config)):
        target, seen = targets[number], shown[number]
        values = surfels.values[seen.ids].requires_grad_()
        loss = _loss(surfels, values, seen, target, vertices[target.pose], turns[target.pose], backdrops[k], config)
        (gradient,) = torch.autograd.grad(loss, values)
        if free is not None:
            gradient[:, : COLORS.start] *= free[seen.ids, None]
        gradient[:, COLORS] *= seen.visible[:, None]
        surfels.step(seen.ids, gradient, config.final_rate ** (k / config.steps))
        progress.advance()
    return surfels.avatar()


def colored_by(avatar: Avatar, poses: np.ndarray, targets: Sequence[Target]) -> Avatar:
    """The avatar in the colours that `targets` show where its Gaussians are; those that none shows keep theirs."""
    vertices = [torch.from_numpy(np.array(pose, np.float32)) for pose in poses]
    total, number = np.zeros((avatar.count, 3)), np.zeros(avatar.count)
    for target, shown in zip(targets, _all_shown(avatar, vertices, targets), strict=True):
        ids = shown.ids[shown.visible].numpy()
        means, _ = avatar.binding.pose(vertices[target.pose])
        local = means.numpy()[ids] @ target.viewmat[:3, :3].T + target.viewmat[:3, 3]
        column, row = (local[:, :2] / local[:, 2:] @ target.K[:2, :2].T + target.K[:2, 2]).astype(int).T
        height, width = target.alpha.shape
        kept = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        ids, column, row = ids[kept], column[kept], row[kept]
        total[ids] += target.colors[row, column]
        number[ids] += target.alpha[row, column]
    found = srgb_to_linear(np.clip(total / np.maximum(number, 1e-6)[:, None], 0, 1)).astype(np.float32)
    return replace(avatar, albedo=np.where(number[:, None] > SURE, found, avatar.albedo))


def _all_shown(avatar: Avatar, poses: Sequence[Tensor], targets: Sequence[Target]) -> list[_Shown]:
    deep = DEEP * float((poses[0].amax(0) - poses[0].amin(0)).max())
    triangles, placed = avatar.binding.triangle_ids, []
    for pose in poses:
        normals = triangle_frames(pose, avatar.binding.faces)[triangles, :, 2]
        placed.append((avatar.binding.pose(pose)[0].numpy(), normals.numpy()))
    return [_shown(target, *placed[target.pose], deep) for target in targets]


@dataclass(frozen=True)
class _Shown:
    """Numbers (n,) of the Gaussians that a picture is drawn of, and (n,) which of them it shows and which it hides."""

    ids: Tensor
    visible: Tensor
    hidden: Tensor


def _shown(target: Target, points: np.ndarray, normals: np.ndarray, deep: float) -> _Shown:
    """Which of the points (N,3) lie in the picture, and which of these it shows: not `deep` under it, nor edge-on."""
    height, width = target.alpha.shape
    local = points @ target.viewmat[:3, :3].T + target.viewmat[:3, 3]
    x, y = (local[:, :2] / np.maximum(local[:, 2:], 1e-6) @ target.K[:2, :2].T + target.K[:2, 2]).T
    inside = (x > -MARGIN) & (x < width + MARGIN) & (y > -MARGIN) & (y < height + MARGIN)
    ids = np.flatnonzero(inside & (local[:, 2] > 1e-3))
    column, row = x[ids].clip(0, width - 1).astype(int), y[ids].clip(0, height - 1).astype(int)
    under = local[ids, 2] - target.depth[row, column]
    facing = ((normals[ids] @ target.viewmat[:3, :3].T) * local[ids]).sum(1) / np.linalg.norm(local[ids], axis=1)
    visible = (under < deep) & (np.abs(facing) > EDGE_ON)
    return _Shown(*map(torch.from_numpy, (ids, visible, under > HIDDEN * deep)))


def _in_order(count: int, config: FitConfig) -> np.ndarray:
    """Numbers of the targets, one a step, all before any comes again."""
    rng = np.random.default_rng(config.seed)
    rounds = [rng.permutation(count) for _ in range(-(-config.steps // count))]
    return np.concatenate(rounds)[: config.steps]


def _loss(
    surfels: Surfels,
    values: Tensor,
    seen: _Shown,
    target: Target,
    vertices: Tensor,
    turns: Tensor,
    backdrop: Tensor,
    config: FitConfig,
) -> Tensor:
    alpha = torch.from_numpy(target.alpha)
    wanted = torch.from_numpy(target.colors) + (1 - alpha[..., None]) * backdrop  # or all that peeps out turns black
    means, quats = surfels.placed(values, seen.ids, vertices, turns)
    # without light the far side of a limb looks like the near one: hidden Gaussians must not show in any colour
    colors = torch.where(seen.hidden[:, None], backdrop, values[:, COLORS])
    image, alphas, _ = rasterize(
        means,
        quats,
        surfels.spread(values, seen.ids),
        torch.sigmoid(values[:, LOGIT]),
        colors,
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
