"""The compact prior's network: a small factorised space-time U-Net that predicts clean displacement maps.

Space is seen by 3x3 convolutions, time by 1x1 convolutions over a frame and its neighbours 1, 2 or 4
frames away: cheap on a CPU, and any number of frames fits.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ani3d_formats.atomic import atomic_path, write_bytes

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"


class DisplacementNet(nn.Module):
    """Predicts x0, the offsets of cloth from its coarse layer, from noisy offsets and the clip's maps.

    Folders of it have diffusers' layout, and are read without that library, which takes seconds to load.

    Args:
        latent_channels: channels of the displacement maps.
        condition_channels: channels of the conditions.
        widths: channels at full, half and quarter of the patched grid.
        depths: residual blocks at each of those levels, on the way down and again on the way up.
        patch: cells of the map that make one of the network's.
        grid: rows and columns of the map it was trained on.
        window: frames it was trained on.
        offset_scale: metres that one unit of the latents stands for.
    """

    def __init__(
        self,
        latent_channels: int = 3,
        condition_channels: int = 14,
        widths: tuple[int, ...] = (48, 96, 160),
        depths: tuple[int, ...] = (2, 2, 2),
        patch: int = 2,
        grid: tuple[int, int] = (64, 48),
        window: int = 16,
        offset_scale: float = 0.06,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "latent_channels": latent_channels,
            "condition_channels": condition_channels,
            "widths": list(widths),
            "depths": list(depths),
            "patch": patch,
            "grid": list(grid),
            "window": window,
            "offset_scale": offset_scale,
        }
        embedding = 4 * widths[0]
        self.sigma_embedding = nn.Sequential(
            nn.Linear(32, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.enter = nn.Conv2d((latent_channels + condition_channels) * patch**2, widths[0], 1)
        self.down = nn.ModuleList()
        self.shrink = nn.ModuleList()
        self.up = nn.ModuleList()
        self.grow = nn.ModuleList()
        levels = list(zip(widths, depths, strict=True))
        for level, (width, depth) in enumerate(levels):
            self.down.append(nn.ModuleList(Block(width, embedding, 2 ** (b % 3)) for b in range(depth)))
            if level + 1 < len(levels):
                wider = levels[level + 1][0]
                self.shrink.append(nn.Conv2d(width, wider, 2, stride=2))
                self.grow.append(nn.ConvTranspose2d(wider, width, 2, stride=2))
                self.up.append(nn.ModuleList(Block(width, embedding, 2 ** ((b + 1) % 3)) for b in range(depth)))
        last = nn.Conv2d(widths[0], latent_channels * patch**2, 3, padding=1)
        self.leave = nn.Sequential(nn.GroupNorm(8, widths[0]), nn.SiLU(), zero_initialized(last))

    @classmethod
    def from_pretrained(cls, folder: Path) -> DisplacementNet:
        """That of a folder, to be used and not trained; raises whatever reading JSON and safetensors may raise."""
        config = json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8"))
        net = cls(**{name: value for name, value in config.items() if not name.startswith("_")})
        net.load_state_dict(load_file(Path(folder) / WEIGHTS))
        return net.eval()

    def save_pretrained(self, folder: Path) -> None:
        """Write configuration and weights to a folder, made when missing; files appear whole."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / WEIGHTS) as partial:
            save_file({name: value.contiguous() for name, value in self.state_dict().items()}, partial)
        config = {"_class_name": type(self).__name__, **self.config}
        write_bytes(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())

    def forward(self, latents: torch.Tensor, sigmas: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """x0 (B,T,C,h,w) from latents (B,T,C,h,w), sigmas (B,) and conditions (B,T,K,h,w)."""
        batch, frames = latents.shape[:2]
        patch = self.config["patch"]
        x = torch.cat([latents, conditions], 2).flatten(0, 1)
        x = nn.functional.pixel_unshuffle(x, patch).contiguous(memory_format=torch.channels_last)
        embedding = self.sigma_embedding(fourier_features(sigmas, 32)).repeat_interleave(frames, 0)
        x = self.enter(x)
        skipped = []
        for level, blocks in enumerate(self.down):
            x = _run_blocks(blocks, x, embedding, frames)
            if level < len(self.shrink):
                skipped.append(x)
                x = self.shrink[level](x)
        for level in reversed(range(len(self.up))):
            x = self.grow[level](x) + skipped[level]
            x = _run_blocks(self.up[level], x, embedding, frames)
        x = nn.functional.pixel_shuffle(self.leave(x), patch)
        return x.reshape(batch, frames, *x.shape[1:])


class Block(nn.Module):
    """Residual block: space, then scale and shift by the noise level, then time at one stride."""

    def __init__(self, width: int, embedding: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.norm_space = nn.GroupNorm(8, width)
        self.space = nn.Conv2d(width, width, 3, padding=1)
        self.modulate = nn.Linear(embedding, 2 * width)
        self.norm_time = nn.GroupNorm(8, width)
        self.time = zero_initialized(nn.Conv2d(3 * width, width, 1))

    def forward(self, x: torch.Tensor, embedding: torch.Tensor, frames: int) -> torch.Tensor:
        """(B*frames,C,h,w) to the same; `embedding` is (B*frames,S)."""
        h = self.space(nn.functional.silu(self.norm_space(x)))
        scale, shift = self.modulate(embedding)[..., None, None].chunk(2, 1)
        h = nn.functional.silu(self.norm_time(h) * (1 + scale) + shift)
        # one convolution for past, present and future, shifted afterwards: nothing is copied beforehand
        width = h.shape[1]
        weight = self.time.weight.reshape(width, 3, width).transpose(0, 1).reshape(3 * width, width, 1, 1)
        mixed = nn.functional.conv2d(h, weight).unflatten(0, (-1, frames))
        past, present, future = mixed.split(width, 2)
        out = x.unflatten(0, (-1, frames)) + present + self.time.bias.view(-1, 1, 1)  # type: ignore[union-attr]
        stride = min(self.stride, frames)
        out[:, stride:] += past[:, :-stride]
        out[:, :stride] += past[:, :1]
        out[:, :-stride] += future[:, stride:]
        out[:, -stride:] += future[:, -1:]
        return out.flatten(0, 1)


def _run_blocks(blocks: nn.Module, x: torch.Tensor, embedding: torch.Tensor, frames: int) -> torch.Tensor:
    for block in blocks.children():
        x = block(x, embedding, frames)
    return x


def zero_initialized(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with weights of 0, so that training starts from "nothing changes"."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def fourier_features(sigmas: torch.Tensor, count: int) -> torch.Tensor:
    """(B,count) sines and cosines of noise levels (B,) in 0..1."""
    frequencies = math.pi * torch.exp(torch.linspace(0, math.log(64), count // 2, device=sigmas.device))
    angles = sigmas[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)
