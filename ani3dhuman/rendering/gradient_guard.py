"""NaN and infinity stop at the rasteriser on their way back: neither come in unnoticed nor go out to an optimiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ani3d_formats.errors import Ani3DError


def guard_outputs(**pictures: Tensor) -> tuple[Tensor, ...]:
    """The same tensors; a gradient that reaches one of them must be finite (a loss divided by zero, say)."""
    return _Guard.apply(
        tuple(pictures), "coming in: the loss made it. Look at its divisions, logs and roots", *pictures.values()
    )


def guard_inputs(**parameters: Tensor) -> tuple[Tensor, ...]:
    """The same tensors; a gradient that leaves through one of them must be finite."""
    return _Guard.apply(
        tuple(parameters),
        "going out: it is too large for float32. Scale the loss or the scene down",
        *parameters.values(),
    )


class _Guard(torch.autograd.Function):
    """Identity whose backward raises Ani3DError ``rasterize.gradient`` for a gradient that is not finite."""

    @staticmethod
    def forward(ctx: Any, names: tuple[str, ...], where: str, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.names, ctx.where = names, where
        ctx.set_materialize_grads(False)
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        given = [(name, g) for name, g in zip(ctx.names, gradients, strict=True) if g is not None]
        # a sum is finite exactly when no term is NaN or infinite, short of overflow, which the full test settles
        finite = torch.stack([g.sum().isfinite() for _, g in given]).tolist() if given else []
        for (name, g), fine in zip(given, finite, strict=True):
            if not fine and not bool(g.isfinite().all()):
                bad = ~g.isfinite()
                message = (
                    f"The gradient of {name} of shape {tuple(g.shape)} has {int(bad.sum())} NaN or infinite numbers, "
                    f"the first at {bad.nonzero()[0].tolist()}."
                )
                raise Ani3DError("rasterize.gradient", message, f"It was {ctx.where}.")
        return (None, None, *gradients)
