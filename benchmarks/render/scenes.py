"""What is drawn: a cloud that fills the picture, and the demo's character."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin
from ani3dhuman.avatar import avatar_from_shot, pose_avatar
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.rendering.light_sources import Lighting

CLOUD_SIZE = 1.1  # median standard deviation of the cloud's Gaussians over their mean spacing in the picture


@dataclass(frozen=True)
class Scene:
    """Arguments of `rasterize` for one camera; float32 tensors."""

    name: str
    means: torch.Tensor
    quats: torch.Tensor
    scales: torch.Tensor
    opacities: torch.Tensor
    colors: torch.Tensor
    viewmats: torch.Tensor
    Ks: torch.Tensor
    width: int
    height: int

    def arguments(self) -> tuple[torch.Tensor, ...]:
        return (*self.tensors(), self.Ks)

    def tensors(self) -> tuple[torch.Tensor, ...]:
        """Those that take gradients."""
        return self.means, self.quats, self.scales, self.opacities, self.colors, self.viewmats


def cloud(count: int, width: int, height: int, size: float = CLOUD_SIZE, seed: int = 0) -> Scene:
    """Random Gaussians all over the picture and a little beyond, of every shape and opacity.

    `size` is relative to the mean spacing of Gaussians in the picture, so that the overlap does not depend on count.
    """
    rng = np.random.default_rng(seed)
    focal = 0.5 * height / math.tan(math.radians(20))
    depths = 2.5 + rng.permutation(count) / count
    wide, tall = 1.1 * width, 1.1 * height
    u, v = rng.uniform(-wide / 2, wide / 2, count), rng.uniform(-tall / 2, tall / 2, count)
    spacing = 3 * math.sqrt(wide * tall / count) / focal
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return _scene(
        "cloud",
        np.stack([u * depths / focal, v * depths / focal, depths], 1),
        rng.standard_normal((count, 4)),
        size * 0.6 * spacing * np.exp(rng.standard_normal((count, 3)) * 0.5),
        rng.uniform(0.05, 1, count),
        rng.uniform(0, 1, (count, 3)),
        np.eye(4),
        K,
        size=(width, height),
    )


def character(path: Path, count: int, width: int, height: int) -> Scene:
    """The demo's character in the first frame, skinned, lit, as its camera sees it."""
    shot = Shot.load(path)
    avatar = avatar_from_shot(shot, count, DETAIL, seed=0)
    transforms = shot.skinning_transforms()[:1]
    vertices = skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], transforms)
    cameras = shot.cameras.resized(width, height)
    posed = pose_avatar(avatar, vertices, Lighting.of(shot), cameras)
    return _scene(
        "character",
        posed.means[0],
        posed.quats[0],
        posed.scales[0],
        posed.opacities,
        posed.colors[0],
        cameras.viewmats[0],
        cameras.Ks[0],
        size=(width, height),
    )


def _scene(name: str, *arrays: np.ndarray, size: tuple[int, int]) -> Scene:
    means, quats, scales, opacities, colors, viewmat, K = (torch.from_numpy(np.array(a, np.float32)) for a in arrays)
    return Scene(name, means, quats, scales, opacities, colors, viewmat[None], K[None], *size)
