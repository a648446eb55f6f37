"""Overlapping windows over a clip of any length, and how what was predicted in them becomes one clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ani3d_formats.errors import Ani3DError


def window_slices(frames: int, window: int, overlap: int) -> list[slice]:
    """Windows of `window` frames that cover a clip, neighbours sharing at least `overlap`; a short clip is one."""
    if not 0 <= overlap < window:
        raise Ani3DError(
            "restoration.overlap",
            f"Windows of {window} frames cannot overlap by {overlap}.",
            f"Use an overlap of 0 to {window - 1}.",
        )
    if frames <= window:
        return [slice(0, frames)]
    count = -(-(frames - overlap) // (window - overlap))
    starts = [round(i * (frames - window) / (count - 1)) for i in range(count)]
    return [slice(start, start + window) for start in starts]


def window_weights(frames: int, windows: list[slice]) -> list[torch.Tensor]:
    """Blending weights (W,1,1,1) of each window: a tent that falls to its ends, all together 1 on every frame."""
    tents = []
    total = torch.zeros(frames)
    for window in windows:
        length = window.stop - window.start
        position = torch.arange(length) + 0.5
        tent = torch.minimum(position, length - position) / length
        tents.append(tent)
        total[window] += tent
    return [(tent / total[window])[:, None, None, None] for tent, window in zip(tents, windows, strict=True)]


class Windows:
    """The windows of one clip of latents, anchors in front of each.

    Args:
        frames: latent frames of the clip, anchors not counted.
        window: frames of a window, anchors not counted.
        overlap: frames that neighbours share at least.
        anchors: leading frames of the latents that belong in front of every window.
    """

    def __init__(self, frames: int, window: int, overlap: int, anchors: int = 0) -> None:
        self.slices = window_slices(frames, window, overlap)
        self.weights = window_weights(frames, self.slices)
        self.anchors = anchors

    def __len__(self) -> int:
        return len(self.slices)

    def cut(self, latents: torch.Tensor, index: int) -> torch.Tensor:
        """One window (A+W,...) of latents (A+T',...)."""
        body = latents[self.anchors :][self.slices[index]]
        return torch.cat([latents[: self.anchors], body]) if self.anchors else body

    def blend(self, cuts: Sequence[torch.Tensor]) -> torch.Tensor:
        """The clip (A+T',...) from one prediction for each window: weighed where they overlap, anchors averaged.

        Summed from first window to last, whatever the order or the worker that computed them.
        """
        clip = cuts[0].new_zeros(self.anchors + self.slices[-1].stop, *cuts[0].shape[1:])
        body = clip[self.anchors :]
        for cut, window, weight in zip(cuts, self.slices, self.weights, strict=True):
            clip[: self.anchors] += cut[: self.anchors] / len(cuts)
            body[window] += weight.to(cut) * cut[self.anchors :]
        return clip
