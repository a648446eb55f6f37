"""The loss of flow matching on displacement maps, and noise levels as sampling meets them.

The network predicts x0 from z = (1 - sigma) x0 + sigma eps; weighted by 1 / sigma^2 that is the usual loss on the
velocity eps - x0. Noise is coloured as in sampling.
"""

from __future__ import annotations

import numpy as np
import torch

from ..restoration.compact.network import DisplacementNet
from ..restoration.compact.noise import colour
from ..restoration.compact.prior import cloth_mask
from .clips import Maps, take_batch

SHIFT = 3.0
LOWEST_SIGMA = 0.02
WEIGHT_CAP = 0.25  # sigma below which the loss is weighted no more


def flow_loss(
    net: DisplacementNet,
    clean: torch.Tensor,
    conditions: torch.Tensor,
    sigmas: torch.Tensor,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """(B,) weighted squared error of the predicted x0 over cloth; shapes as `take_batch` gives them, sigmas (B,)."""
    sigma = sigmas[:, None, None, None, None]
    clean = clean * cloth_mask(conditions)
    noise = colour(torch.randn(clean.shape, generator=generator))
    with torch.autocast("cpu", torch.bfloat16):
        predicted = net.forward((1 - sigma) * clean + sigma * noise, sigmas, conditions).float()
    coverage = conditions[:, :, :2].sum(2, keepdim=True).clamp(0, 1)
    error = ((predicted - clean) ** 2 * coverage).sum((1, 2, 3, 4)) / (3 * coverage.sum((1, 2, 3, 4)) + 1)
    return error / sigmas.clamp(min=WEIGHT_CAP) ** 2


def draw_sigmas(count: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """Noise levels: uniform, then shifted."""
    level = LOWEST_SIGMA + (1 - LOWEST_SIGMA) * torch.rand(count, generator=generator)
    return SHIFT * level / (1 + (SHIFT - 1) * level)


@torch.no_grad()
def validation_loss(net: DisplacementNet, pairs: list[Maps], batches: int = 12) -> float:
    """Mean loss on clips; windows, levels and noise are the same every time."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    window, scale = net.config["window"], net.config["offset_scale"]
    losses = []
    for _ in range(batches):
        clean, conditions = take_batch(pairs, rng, 4, window, scale)
        losses.append(flow_loss(net, clean, conditions, draw_sigmas(4, generator), generator).mean())
    return float(torch.stack(losses).mean())
