"""How a clean estimate is drawn back to the coarse latents: the paper's self-guidance and two ablations of it.

All three go by the same two lines, M the preserve mask (1 everywhere without one), s the guidance scale:

    xt   = (1 - M) x0hat + M target
    xbar = (1 - sigma) xt + sigma x0hat         every correction fades in as the noise falls

| kind  | target                                                                                    |
|-------|-------------------------------------------------------------------------------------------|
| pull  | s z_init + (1 - s) x0hat                                   the paper's self-guidance      |
| swap  | low(z_init) + high(x0hat), high(x) = x - low(x)            `low_pass`; s is not used      |
| match | s z_init + (1 - s) matched(x0hat)                          `match_statistics`, then pull  |
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch

CORRECTIONS = ("pull", "swap", "match")
Correction = Literal["pull", "swap", "match"]


def low_pass(latents: torch.Tensor, cutoff: float) -> torch.Tensor:
    """The broad part of maps: a Gaussian filter over rows and columns, borders mirrored.

    In the cosine basis (DCT-II) of each axis a wave of f cycles a cell is weighed with 2^-(f/cutoff)^2: 1 for
    the mean, a half at the cutoff. Frames and channels do not mix.

    Args:
        latents: (...,h,w).
        cutoff: cycles a cell, positive; the finest wave that fits has 0.5.

    Returns:
        (...,h,w), of the same dtype and device.
    """
    rows, columns = (_filter_matrix(size, cutoff).to(latents) for size in latents.shape[-2:])
    return rows @ latents @ columns


def match_statistics(clean: torch.Tensor, init: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """`clean` shifted and scaled to the mean and standard deviation of `init`, for each sample and channel.

    Statistics run over all axes but the first two (space and time), each cell weighed with the mask; the
    deviation is that of the population. A channel that is constant is shifted only.

    Args:
        clean: (B,C,...).
        init: of the same shape.
        mask: 0..1, broadcastable to that shape; None weighs all cells alike.

    Returns:
        (B,C,...); where a channel's mask is 0 throughout nothing can be matched, and its values mean nothing.
    """
    weights = torch.ones_like(clean) if mask is None else mask.to(clean).expand_as(clean)
    axes = tuple(range(2, clean.ndim))
    tiny = torch.finfo(clean.dtype).tiny
    total = weights.sum(axes, keepdim=True).clamp_min(tiny)

    def moments(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = (weights * values).sum(axes, keepdim=True) / total
        return mean, ((weights * (values - mean) ** 2).sum(axes, keepdim=True) / total).sqrt()

    mean, deviation = moments(clean)
    mean_init, deviation_init = moments(init)
    gain = torch.where(deviation > 0, deviation_init / deviation.clamp_min(tiny), torch.ones_like(deviation))
    return (clean - mean) * gain + mean_init


def correct(
    clean: torch.Tensor,
    init: torch.Tensor,
    mask: torch.Tensor | None,
    sigma: torch.Tensor,
    kind: Correction,
    scale: float,
    cutoff: float,
) -> torch.Tensor:
    """xbar of the table above.

    Args:
        clean: x0hat, the posterior mean, (B,C,...,h,w); `pull` takes any shape.
        init: z_init, of that shape.
        mask: M, 0..1, broadcastable to it; None preserves everywhere.
        sigma: () noise level, 0..1.
        kind: the row of the table.
        scale: s, 0..1.
        cutoff: of `low_pass`, cycles a cell.
    """
    if kind == "pull":
        weight = scale * (1.0 - sigma)
        target = init
    else:
        weight = 1.0 - sigma
        if kind == "swap":
            target = clean + low_pass(init - clean, cutoff)
        else:
            target = scale * init + (1.0 - scale) * match_statistics(clean, init, mask)
    if mask is not None:
        weight = weight * mask.to(clean)
    return clean + weight * (target - clean)


@lru_cache(maxsize=16)
def _filter_matrix(size: int, cutoff: float) -> torch.Tensor:
    """(size,size) symmetric: to the cosine basis, the gain, and back."""
    wave = torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi / size * wave[:, None] * (wave + 0.5)) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    gain = torch.exp2(-((wave / (2 * size) / cutoff) ** 2))
    return basis.T @ (gain[:, None] * basis)
