"""Whether a set of clips looks like a set of true ones: FID over pictures, FVD over clips.

The networks are the TorchScript files that the field's published figures are made with. They are not shipped; where a
file is missing the result says so and holds no number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

INCEPTION = "inception-2015-12-05.pt (Inception v3 of StyleGAN2-ADA and clean-fid)"
I3D = "i3d_torchscript.pt (I3D on Kinetics-400 of StyleGAN-V)"
CLIP_FRAMES = 16
BATCH = 8


@dataclass(frozen=True)
class SetDistance:
    """A distance between two sets.

    Attributes:
        value: None where it was not measured.
        samples: how many samples of the smaller set it rests on.
        reason: why it was not measured.
    """

    value: float | None
    samples: int = 0
    reason: str = ""

    def __str__(self) -> str:
        return f"not measured: {self.reason}" if self.value is None else f"{self.value:.2f} ({self.samples} samples)"


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance of the Gaussians fitted to features (N,D) and (M,D), N and M at least 2.

    |mean difference|^2 + tr A + tr B - 2 tr (A B)^1/2 with covariances A and B (Dowson and Landau 1982). The last trace
    is the sum of the singular values of X Y^T over ((N-1)(M-1))^1/2, where X and Y are the centred features: exact also
    where there are fewer samples than features.
    """
    x, y = (np.asarray(f, np.float64) - np.mean(f, 0, dtype=np.float64) for f in (a, b))
    spread = (x**2).sum() / (len(x) - 1) + (y**2).sum() / (len(y) - 1)
    shared = np.linalg.svd(x @ y.T, compute_uv=False).sum() / np.sqrt((len(x) - 1) * (len(y) - 1))
    apart = ((np.mean(a, 0, dtype=np.float64) - np.mean(b, 0, dtype=np.float64)) ** 2).sum()
    return float(max(0.0, apart + spread - 2 * shared))


def frechet_inception_distance(
    clips: Sequence[np.ndarray], truths: Sequence[np.ndarray], weights: Path | None
) -> SetDistance:
    """FID over all frames of clips, each (T,H,W,3) sRGB 0..1.

    Args:
        clips, truths: the two sets; they need not correspond.
        weights: the TorchScript file `INCEPTION`, called with pictures (B,3,H,W) 0..255 and ``return_features=True``;
            it scales them itself.
    """

    def features(net: Callable[..., Tensor], clip: np.ndarray) -> list[Tensor]:
        frames = _bytes(clip).permute(0, 3, 1, 2)
        return [net(batch.float(), return_features=True) for batch in frames.split(BATCH)]

    return _distance(clips, truths, weights, features, INCEPTION)


def frechet_video_distance(
    clips: Sequence[np.ndarray], truths: Sequence[np.ndarray], weights: Path | None, frames: int = CLIP_FRAMES
) -> SetDistance:
    """FVD over stretches of `frames` consecutive frames that do not overlap; a shorter rest is left out.

    Args:
        clips, truths: the two sets, each clip (T,H,W,3) sRGB 0..1.
        weights: the TorchScript file `I3D`, called with videos (B,3,T,H,W) 0..255 and ``rescale=True, resize=True,
            return_features=True``.
        frames: length of a stretch.
    """

    def features(net: Callable[..., Tensor], clip: np.ndarray) -> list[Tensor]:
        stretches = [_bytes(clip[t : t + frames]) for t in range(0, len(clip) - frames + 1, frames)]
        videos = [s.permute(3, 0, 1, 2)[None].float() for s in stretches]
        return [net(v, rescale=True, resize=True, return_features=True) for v in videos]

    return _distance(clips, truths, weights, features, I3D)


def _bytes(clip: np.ndarray) -> Tensor:
    return torch.from_numpy(np.round(255 * np.clip(clip, 0, 1)).astype(np.uint8))


def _distance(
    clips: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    weights: Path | None,
    features: Callable[[Callable[..., Tensor], np.ndarray], list[Tensor]],
    needed: str,
) -> SetDistance:
    if weights is None:
        return SetDistance(None, reason=f"no weights were given, it takes {needed}")
    if not Path(weights).is_file():
        return SetDistance(None, reason=f"there is no file {weights}, it takes {needed}")
    net = torch.jit.load(str(weights), map_location="cpu").eval()
    sets = []
    with torch.inference_mode():
        for members in (clips, truths):
            found = [f.flatten(1) for clip in members for f in features(net, clip)]
            sets.append(torch.cat(found).numpy() if found else np.empty((0, 1), np.float32))
    samples = min(map(len, sets))
    if samples < 2:
        return SetDistance(None, samples, f"a set has {samples} samples, and two are the least")
    return SetDistance(frechet_distance(*sets), samples)
