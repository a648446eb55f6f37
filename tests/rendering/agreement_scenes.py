"""Thirty random scenes, half of them degenerate, on which the kernels are held against the oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from gaussian_scenes import Scene, random_scene
from torch import Tensor


def _scene(count: int = 400, seed: int = 0, **about: Any) -> Scene:
    about = {"width": 75, "height": 50, "size": 0.04, **about}
    return random_scene(count, seed=seed, **about)


def _changed(scene: Scene, **parts: Any) -> Scene:
    """Parts are tensors, or functions of the scene's own tensor."""
    return replace(scene, **{k: v(getattr(scene, k)) if callable(v) else v for k, v in parts.items()})


def _rows(first: int, last: int, change: Any) -> Any:
    def apply(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        tensor[first:last] = change(tensor[first:last])
        return tensor

    return apply


def _toward_camera(scene: Scene, first: int, last: int, depth: float) -> Scene:
    """Move some Gaussians along the axis of sight by `depth`."""
    axis = scene.viewmats[0, 2, :3]
    return _changed(scene, means=_rows(first, last, lambda m: m - depth * axis))


def _two_cameras(scene: Scene) -> Scene:
    other = scene.viewmats.clone()
    other[:, :2, 3] += torch.tensor([0.2, -0.1])
    return replace(scene, viewmats=torch.cat([scene.viewmats, other]), Ks=scene.Ks.repeat(2, 1, 1))


def _empty() -> Scene:
    scene = _scene(10)
    return replace(scene, **{n: getattr(scene, n)[:0] for n in ("means", "quats", "scales", "opacities", "colors")})


def _ties() -> Scene:
    scene = _scene(200, seed=21)
    again = {n: torch.cat([getattr(scene, n), getattr(scene, n)]) for n in ("means", "quats", "opacities", "scales")}
    return replace(scene, **again, colors=torch.cat([scene.colors, 1 - scene.colors]))


def _on_the_border() -> Scene:
    scene = _scene(300, seed=22)
    rotation, shift = scene.viewmats[0, :3, :3].double(), scene.viewmats[0, :3, 3].double()
    seen = scene.means.double() @ rotation.T + shift
    K = scene.Ks[0].double()
    side = torch.arange(300) % 4
    u = torch.where(
        side == 0, 0.0, torch.where(side == 1, float(scene.width), seen[:, 0] / seen[:, 2] * K[0, 0] + K[0, 2])
    )
    v = torch.where(
        side == 2, 0.0, torch.where(side == 3, float(scene.height), seen[:, 1] / seen[:, 2] * K[1, 1] + K[1, 2])
    )
    z = seen[:, 2]
    seen = torch.stack([(u - K[0, 2]) / K[0, 0] * z, (v - K[1, 2]) / K[1, 1] * z, z], -1)
    return replace(scene, means=((seen - shift) @ rotation).float())


def _shifted(viewmats: Tensor, by: float) -> Tensor:
    viewmats = viewmats.clone()
    viewmats[:, :3, 3] -= viewmats[:, :3, :3].sum(-1) * by
    return viewmats


BACKGROUND = torch.tensor([[0.2, 0.7, 0.4]])

SCENES: dict[str, tuple[Scene, dict[str, Any]]] = {
    "plain": (_scene(seed=1), {}),
    "background": (_scene(seed=2), {"backgrounds": BACKGROUND}),
    "accumulated depth": (_scene(seed=3), {"render_mode": "RGB+D"}),
    "expected depth": (_scene(seed=4), {"render_mode": "RGB+ED", "backgrounds": BACKGROUND}),
    "depth alone": (_scene(seed=5), {"render_mode": "D"}),
    "antialiased": (_scene(seed=6), {"rasterize_mode": "antialiased"}),
    "orthographic": (_scene(seed=7, ortho=True), {"camera_model": "ortho"}),
    "harmonics 0": (_scene(seed=8, sh_degree=0), {"sh_degree": 0}),
    "harmonics 1": (_scene(seed=9, sh_degree=1), {"sh_degree": 1}),
    "harmonics 2": (_scene(seed=10, sh_degree=2), {"sh_degree": 2}),
    "harmonics 3": (_scene(seed=11, sh_degree=3), {"sh_degree": 3}),
    "one channel": (_scene(seed=12, channels=1), {}),
    "32 channels and depth": (_scene(200, seed=13, channels=32), {"render_mode": "RGB+ED"}),
    "two cameras": (_two_cameras(_scene(seed=14)), {}),
    "crowded": (_changed(_scene(1500, seed=15, size=0.1), opacities=lambda o: 0.5 + 0.5 * o), {}),
    "larger than a tile": (_scene(900, seed=16, width=131, height=97), {}),
    "needles": (_changed(_scene(seed=17), scales=lambda s: s * torch.tensor([20.0, 0.01, 0.01])), {}),
    "needles antialiased": (
        _changed(_scene(seed=18), scales=lambda s: s * torch.tensor([20.0, 0.05, 0.05])),
        {"rasterize_mode": "antialiased"},
    ),
    "huge": (_changed(_scene(120, seed=19), scales=_rows(0, 40, lambda s: s * 300)), {}),
    "points": (_changed(_scene(seed=20), scales=_rows(0, 200, lambda s: s * 0)), {}),
    "exact depth ties": (_ties(), {}),
    "on the border": (_on_the_border(), {}),
    "behind the camera": (_toward_camera(_scene(seed=23), 0, 200, 4.0), {}),
    "close to the near plane": (_toward_camera(_scene(100, seed=24, size=0.002), 0, 60, 2.47), {}),
    "opacity 0 and 1": (
        _changed(_scene(seed=25), opacities=lambda o: torch.where(torch.arange(len(o)) % 2 == 0, 0.0, 1.0)),
        {},
    ),
    "quaternions of any length": (
        _changed(_scene(seed=26), quats=lambda q: q * torch.logspace(-3, 3, len(q))[:, None]),
        {},
    ),
    "far from the origin": (
        _changed(_scene(seed=27), means=lambda m: m + 64, viewmats=lambda v: _shifted(v, 64.0)),
        {},
    ),
    "radius clip": (_scene(seed=28, size=0.02), {"radius_clip": 4.0}),
    "one pixel": (_scene(60, seed=29, width=1, height=1, size=0.2), {}),
    "no Gaussians": (_empty(), {"backgrounds": BACKGROUND}),
}
