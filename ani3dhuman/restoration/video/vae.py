"""What the VAEs of video models share: the order of axes, and a way to stop between their blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ani3d_formats.progress import Progress


def as_video(frames: Any) -> torch.Tensor:
    """Pictures (T,h,w,3) 0..1 as a VAE takes them, (1,3,T,h,w) in -1..1."""
    return (2.0 * torch.as_tensor(frames) - 1.0).permute(3, 0, 1, 2)[None]


def as_frames(latents: torch.Tensor) -> torch.Tensor:
    """(1,C,T,h,w), the order of video models, as (T,C,h,w), the order of `VideoPrior`."""
    return latents[0].transpose(0, 1)


def as_batch(frames: torch.Tensor) -> torch.Tensor:
    """(T,C,h,w) as (1,C,T,h,w)."""
    return frames.transpose(0, 1)[None]


@contextmanager
def cancellable(progress: Progress | None, *modules: torch.nn.Module) -> Iterator[None]:
    """Ask `progress` whether to stop each time one of `modules` has run."""
    hooks = [] if progress is None else [m.register_forward_hook(lambda *_: progress.advance(0)) for m in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
