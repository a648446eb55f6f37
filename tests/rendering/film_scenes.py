"""Scenes whose blur is known on paper: dots, streaks and walls before a still camera that looks along +z."""

from __future__ import annotations

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import GaussianFrames

FOCAL = 200.0
SIZE = 64


def camera(frames: int = 2, **changes: object) -> CameraPath:
    """A camera at the origin, SIZE x SIZE pixels, principal point in the middle."""
    K = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]], np.float32)
    viewmats, Ks = np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1)), np.tile(K, (frames, 1, 1))
    return CameraPath(**{"viewmats": viewmats, "Ks": Ks, "width": SIZE, "height": SIZE, **changes})


def dots(means: object, sigma: float, opacity: float = 0.8, color: tuple[float, float, float] = (1, 1, 1)):
    """Round Gaussians at `means` (T,N,3), metres, all of one size and colour."""
    means = np.asarray(means, np.float32)
    frames, count, _ = means.shape
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (frames, count, 1))
    return GaussianFrames(
        means,
        quats,
        np.full((frames, count, 3), sigma, np.float32),
        np.full(count, opacity, np.float32),
        np.tile(np.array(color, np.float32), (frames, count, 1)),
    )


def moments(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre (x, y) and variances (x, y) of coverage (H,W), in pixels."""
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]] + 0.5
    weight = alpha / alpha.sum()
    centre = np.array([(weight * x).sum(), (weight * y).sum()])
    variance = np.array([(weight * (x - centre[0]) ** 2).sum(), (weight * (y - centre[1]) ** 2).sum()])
    return centre, variance
