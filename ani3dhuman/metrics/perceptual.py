"""How near pictures look to the truth: a trained perceptual distance, and FLIP.

The distance is LPIPS in its shift-tolerant form (Ghildyal and Liu, "Shift-tolerant Perceptual Similarity Metric", ECCV
2022): features of an AlexNet that blurs before every halving, compared layer by layer under learnt weights. The trained
weights come with the package stlpips-pytorch. Only its weights are read: the network is written here, since the
package's own modules need more packages, and some stand under a non-commercial licence. FLIP (Andersson et al. 2020) is
NVIDIA's flip-evaluator. Both come with ``pip install "ani3dhuman[metrics]"`` and work offline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np
import torch

from ani3d_formats.errors import Ani3DError

from ..similarity.lpips import MIN_SIDE, load_perceptual
from .pictures import box_of

MARGIN = 16  # pixels of surroundings that the nets see about a region


def perceptual_map(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Perceptual distance per pixel (H,W) of one picture (H,W,3) in 0..1; 0 is equal. Sides of 32 pixels at least."""
    net = load_perceptual()
    a, b = (torch.from_numpy(np.ascontiguousarray(x, np.float32)).permute(2, 0, 1)[None] for x in (picture, truth))
    with torch.inference_mode():
        return net(a, b)[0].numpy()


def flip_map(picture: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """FLIP error per pixel (H,W) 0..1 of one sRGB picture (H,W,3), seen at the package's default 67 pixels a degree.

    Raises:
        Ani3DError: ``metrics.weights`` where flip-evaluator is not installed.
    """
    if find_spec("flip_evaluator") is None:
        raise Ani3DError(
            "metrics.weights",
            "FLIP cannot be measured: the package flip-evaluator is not installed.",
            'Install it with: pip install "ani3dhuman[metrics]", or judge with perceptual=False.',
        )
    import flip_evaluator

    a, b = (np.ascontiguousarray(np.clip(x, 0, 1), np.float32) for x in (truth, picture))
    return flip_evaluator.evaluate(a, b, "LDR", applyMagma=False, computeMeanError=False)[0][..., 0]


def chosen_frames(frames: int, every: int) -> range:
    """Every `every`-th frame, from the middle of the first group on."""
    return range(min(every, frames) // 2, frames, every)


def _crops(
    pictures: np.ndarray, truth: np.ndarray, region: np.ndarray | None, every: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Picture, truth and region of every `every`-th frame, cropped to the region and its surroundings."""
    for t in chosen_frames(len(pictures), every):
        mask = np.ones(pictures.shape[1:3], bool) if region is None else region[t]
        box = box_of(mask, MARGIN, MIN_SIDE)
        if box:
            yield pictures[t][box], truth[t][box], mask[box]


def perceptual_distance(
    pictures: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None, every: int = 1
) -> float:
    """Mean perceptual distance over a region of every `every`-th frame; 0 is equal, NaN where nothing is seen.

    Args:
        pictures, truth: (T,H,W,3) sRGB 0..1, sides of 32 pixels at least.
        region: (T,H,W) bool; the nets see the region's box and `MARGIN` pixels around it, the mean is over the region.
        every: 1 takes all frames.

    Raises:
        Ani3DError: ``metrics.weights``.
    """
    return _mean(perceptual_map, pictures, truth, region, every)


def flip(pictures: np.ndarray, truth: np.ndarray, region: np.ndarray | None = None, every: int = 1) -> float:
    """Mean FLIP error 0..1 over a region of every `every`-th frame; arguments as in `perceptual_distance`."""
    return _mean(flip_map, pictures, truth, region, every)


def _mean(
    unlike: Callable[[np.ndarray, np.ndarray], np.ndarray],
    pictures: np.ndarray,
    truth: np.ndarray,
    region: np.ndarray | None,
    every: int,
) -> float:
    values = [unlike(a, b)[mask] for a, b, mask in _crops(pictures, truth, region, every)]
    return float(np.concatenate(values).mean(dtype=np.float64)) if values else float("nan")
