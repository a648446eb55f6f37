"""Shift-tolerant LPIPS (Ghildyal and Liu, ECCV 2022), written here; the weights come with stlpips-pytorch."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ani3d_formats.errors import Ani3DError

WEIGHTS = "weights/vST0.0/alex_shift_tolerant.pth"
MIN_SIDE = 64  # pixels on a side below which a crop is not taken
# every convolution of AlexNet: channels in and out, kernel, padding, how often the map is halved before it
LAYERS = ((3, 64, 11, 2), (64, 192, 5, 2), (192, 384, 3, 1), (384, 256, 3, 1), (256, 256, 3, 1))
NAMES = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")  # where the weights of each are kept


def _halve(x: Tensor) -> Tensor:
    """Blur with (1 2 1) x (1 2 1) / 16 and keep every other pixel; two mirrored pixels stand around the border."""
    channels = x.shape[1]
    line = x.new_tensor([0.25, 0.5, 0.25])
    blur = (line[:, None] * line).expand(channels, 1, 3, 3)
    return functional.conv2d(functional.pad(x, (2, 2, 2, 2), mode="reflect"), blur, stride=2, groups=channels)


class PerceptualNet(nn.Module):
    """Shift-tolerant LPIPS on AlexNet: pictures (B,3,H,W) in 0..1 go in, the distance per pixel (B,H,W) comes out."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(1, 3, 1, 1))
        self.register_buffer("scale", torch.ones(1, 3, 1, 1))
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, k, padding=p) for i, o, k, p in LAYERS)
        self.importance = nn.ParameterList(torch.zeros(1, o, 1, 1) for _, o, _, _ in LAYERS)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Activations of the five layers, each of unit length along its channels."""
        x = (2 * pictures - 1 - self.shift) / self.scale
        maps = []
        for layer, convolution in enumerate(self.convolutions):
            if layer in (1, 2):
                x = _halve(functional.max_pool2d(x, 3, stride=1))
            x = convolution(x)
            x = torch.relu(_halve(x) if layer == 0 else x)
            maps.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return maps

    def forward(self, pictures: Tensor, truth: Tensor) -> Tensor:
        total = torch.zeros(len(pictures), *pictures.shape[2:])
        both = zip(self.features(torch.cat([pictures, truth])), self.importance, strict=True)
        for maps, importance in both:
            a, b = maps.chunk(2)
            unlike = ((a - b).square() * importance).sum(1, keepdim=True)
            total += functional.interpolate(unlike, pictures.shape[2:], mode="bilinear", align_corners=False)[:, 0]
        return total


@cache
def load_perceptual() -> PerceptualNet:
    """The trained net, read once.

    Raises:
        Ani3DError: ``metrics.weights`` where stlpips-pytorch is not installed or lacks its weights.
    """
    found = find_spec("stlpips_pytorch")
    path = Path(found.origin).parent / WEIGHTS if found and found.origin else None
    if path is None or not path.is_file():
        raise Ani3DError(
            "metrics.weights",
            "The perceptual distance has no trained weights: the package stlpips-pytorch is not installed.",
            'Install it with: pip install "ani3dhuman[metrics]", or judge with perceptual=False.',
        )
    stored = torch.load(path, map_location="cpu", weights_only=True)
    own = {"shift": stored["scaling_layer.shift"], "scale": stored["scaling_layer.scale"]}
    for k, name in enumerate(NAMES):
        own[f"convolutions.{k}.weight"] = stored[f"net.{name}.weight"]
        own[f"convolutions.{k}.bias"] = stored[f"net.{name}.bias"]
        own[f"importance.{k}"] = stored[f"lin{k}.model.1.weight"]
    net = PerceptualNet()
    net.load_state_dict(own)
    return net.eval().requires_grad_(False)
