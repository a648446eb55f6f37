"""Scenes for the rasteriser's tests, all with depths that no two Gaussians share."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

NAMES = ("means", "quats", "scales", "opacities", "colors", "viewmats")


@dataclass(frozen=True)
class Scene:
    """Arguments of `rasterize`; tensors float32 on the CPU."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor
    viewmats: Tensor
    Ks: Tensor
    width: int
    height: int

    def to(self, target: torch.dtype | torch.device | str) -> Scene:
        """Detached copies in another dtype or on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: v.detach().clone().to(target) if isinstance(v, Tensor) else v for k, v in moved.items()}
        return Scene(**moved)

    def arguments(self) -> tuple:
        return tuple(getattr(self, f.name) for f in fields(self))[:7]

    @property
    def size(self) -> dict[str, int]:
        return {"width": self.width, "height": self.height}

    def differentiable(self) -> list[Tensor]:
        """The tensors that take gradients, in the order of NAMES, now asking for them."""
        return [getattr(self, name).requires_grad_() for name in NAMES]


def random_scene(
    count: int,
    *,
    width: int,
    height: int,
    size: float,
    channels: int = 3,
    sh_degree: int | None = None,
    ortho: bool = False,
    seed: int = 0,
) -> Scene:
    """A cloud three units in front of a turned camera, a third wider than its view; `size` scales the Gaussians."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    focal = 0.5 * height / math.tan(math.radians(20))
    wide, tall = 1.3 * 3 * width / focal, 1.3 * 3 * height / focal
    depths = 2.5 + torch.randperm(count, generator=generator) / count  # steps far above float32 rounding
    seen = torch.stack([(uniform(count) - 0.5) * wide, (uniform(count) - 0.5) * tall, depths], -1)
    axis = torch.nn.functional.normalize(normal(3), dim=0)
    cross = torch.zeros(3, 3, dtype=torch.float64)
    cross[0, 1], cross[0, 2], cross[1, 2] = -axis[2], axis[1], -axis[0]
    rotation = torch.linalg.matrix_exp(0.7 * (cross - cross.T))
    viewmat = torch.eye(4, dtype=torch.float64)
    viewmat[:3, :3], viewmat[:3, 3] = rotation, normal(3) * 0.3
    K = torch.tensor([[focal, 0, width / 2], [0, focal * 1.1, height / 2], [0, 0, 1]], dtype=torch.float64)
    if ortho:
        K[:2, :2] /= 3
    colors = normal(count, 16, 3) * 0.3 if sh_degree is not None else uniform(count, channels)
    scene = Scene(
        means=(seen - viewmat[:3, 3]) @ rotation,
        quats=normal(count, 4),
        scales=size * torch.exp(normal(count, 3) * 0.7),
        opacities=0.05 + 0.95 * uniform(count),
        colors=colors,
        viewmats=viewmat[None],
        Ks=K[None],
        width=width,
        height=height,
    ).to(torch.float32)
    z = (scene.means @ scene.viewmats[0, :3, :3].T + scene.viewmats[0, :3, 3])[:, 2]
    assert len(z.unique()) == count
    return scene


def single_gaussian(**changes: object) -> Scene:
    """One round Gaussian on the axis of a camera at the origin: depth 2, sigma 0.1, drawn at (16.5, 12.5)."""
    scene = Scene(
        means=torch.tensor([[0.0, 0.0, 2.0]]),
        quats=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        scales=torch.full((1, 3), 0.1),
        opacities=torch.tensor([0.8]),
        colors=torch.tensor([[1.0, 0.5, 0.25]]),
        viewmats=torch.eye(4)[None].clone(),
        Ks=torch.tensor([[[60.0, 0, 16.5], [0, 60.0, 12.5], [0, 0, 1]]]),
        width=33,
        height=26,
    )
    return replace(scene, **changes)
