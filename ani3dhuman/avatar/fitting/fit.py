"""Gaussians fitted to pictures: gradient descent through the rasteriser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import maximum_filter

from ani3d_formats.color import srgb_to_linear
from ani3d_formats.progress import Progress

from ...mesh.topology import triangle_frames
from ...rendering import rasterize
from ...rendering.draw import BLUR
from ..avatar import Avatar
from .kernels import mismatch
from .surfels import COLORS, Placed, Posed, Surfels
from .targets import Target

MARGIN = 8  # pixels around a picture in which Gaussians count too
DEEP = 0.003  # of the character's height; deeper under what a picture shows, colours learn nothing from it
SURE = 0.5  # coverage, over all pictures, from which on they tell a Gaussian's colour
HIDDEN = 3  # times as deep, and a Gaussian is hidden for sure
OUTLINE = 16  # pixels from an outline within which a hidden Gaussian may show
EDGE_ON = 0.15  # cosine to the normal below which the same holds


@dataclass(frozen=True)
class FitConfig:
    """How to fit.

    Attributes:
        steps: of gradient descent, one picture each.
        absolute, squared: weights of the colours' differences from those wanted, over a backdrop of a random colour.
        coverage: weight of the alpha's absolute difference.
        final_rate: of the last step, relative to the first one.
        seed: of the pictures' order.
    """

    steps: int = 600
    absolute: float = 1.0
    squared: float = 10.0
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
    surfels = Surfels(avatar, poses[0], fixed)
    posed = [Posed.of(pose, avatar.binding) for pose in poses]
    shown = _all_shown(avatar, poses, targets)
    backdrops = np.random.default_rng(config.seed).random((config.steps, 3), np.float32)
    weights = np.array([config.absolute, config.squared, config.coverage])
    for k, number in enumerate(_in_order(len(targets), config)):
        target, seen = targets[number], shown[number]
        placed = surfels.placed(seen.ids, posed[target.pose])
        # without light the far side of a limb looks like the near one: hidden Gaussians must not show in any colour
        colors = np.where(seen.hidden[:, None], backdrops[k], surfels.values[seen.ids, COLORS])
        gradient, on_colors = _gradient(placed, colors, target, backdrops[k], weights)
        rate = config.final_rate ** (k / config.steps)
        surfels.step(seen.ids, posed[target.pose], gradient, on_colors, seen.visible, rate)
        progress.advance()
    return surfels.avatar()


def colored_by(avatar: Avatar, poses: np.ndarray, targets: Sequence[Target]) -> Avatar:
    """The avatar in the colours that `targets` show where its Gaussians are; those that none shows keep theirs."""
    total, number = np.zeros((avatar.count, 3)), np.zeros(avatar.count)
    for target, shown in zip(targets, _all_shown(avatar, poses, targets), strict=True):
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


def _all_shown(avatar: Avatar, poses: np.ndarray, targets: Sequence[Target]) -> list[_Shown]:
    deep = DEEP * float(np.ptp(poses[0], axis=0).max())
    triangles, placed = avatar.binding.triangle_ids, []
    for pose in poses:
        normals = triangle_frames(torch.from_numpy(np.array(pose, np.float32)), avatar.binding.faces)[triangles, :, 2]
        placed.append((avatar.pose(pose[None])[0][0], normals.numpy()))
    return [_shown(target, *placed[target.pose], deep) for target in targets]


@dataclass(frozen=True)
class _Shown:
    """Numbers (n,) of the Gaussians that a picture is drawn of, and (n,) which of them it shows and which it hides.

    Those that are hidden far from any outline are not drawn.
    """

    ids: np.ndarray
    visible: np.ndarray
    hidden: np.ndarray


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
    around = maximum_filter(np.where(target.depth > 0, target.depth, np.inf), 2 * OUTLINE + 1)
    drawn = local[ids, 2] < around[row, column] + HIDDEN * deep
    return _Shown(ids[drawn], visible[drawn], (under > HIDDEN * deep)[drawn])


def _in_order(count: int, config: FitConfig) -> np.ndarray:
    """Numbers of the targets, one a step, all before any comes again."""
    rng = np.random.default_rng(config.seed)
    rounds = [rng.permutation(count) for _ in range(-(-config.steps // count))]
    return np.concatenate(rounds)[: config.steps]


def _gradient(
    placed: Placed, colors: np.ndarray, target: Target, backdrop: np.ndarray, weights: np.ndarray
) -> tuple[Placed, np.ndarray]:
    """Of the loss, for what is drawn: the Gaussians and their `colors` (n,3); `weights` as of `mismatch`."""
    drawn = [torch.from_numpy(array).requires_grad_() for array in (*vars(placed).values(), colors)]
    height, width = target.alpha.shape
    means, quats, scales, opacities, shades = drawn
    image, alphas, _ = rasterize(
        means,
        quats,
        scales,
        opacities,
        shades,
        torch.from_numpy(target.viewmat)[None],
        torch.from_numpy(target.K)[None],
        width=width,
        height=height,
        backgrounds=torch.from_numpy(backdrop)[None],
        eps2d=BLUR,
    )
    planes = np.ascontiguousarray(image.detach()[0].permute(2, 0, 1).numpy())
    coverage = np.ascontiguousarray(alphas.detach()[0, ..., 0].numpy())
    on_planes, on_coverage = np.empty_like(planes), np.empty_like(coverage)
    mismatch(planes, coverage, target.colors, target.alpha, backdrop, weights, on_planes, on_coverage)
    ends = torch.from_numpy(on_planes).permute(1, 2, 0)[None], torch.from_numpy(on_coverage)[None, ..., None]
    *shape, on_colors = (part.numpy() for part in torch.autograd.grad((image, alphas), drawn, ends))
    return Placed(*shape), on_colors
