"""The scene between two frames, for shutters: Gaussians and cameras at fractional times.

Between frames everything moves evenly, as a cache knows nothing of the way. Before the first and after the last
frame the clip stands still.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import GaussianFrames


def gaussians_at(gaussians: GaussianFrames, time: float) -> GaussianFrames:
    """Gaussians at a fractional index of time.

    Means, scales, opacities and colours run linearly. Rotations take the shorter arc by normalised linear
    interpolation, which between two frames cannot be told from slerp.

    Args:
        gaussians: T frames of N Gaussians.
        time: index 0..T-1, clamped to it; whole numbers give that frame bit for bit.

    Returns:
        One frame of N Gaussians.
    """
    first, second, share = _neighbours(time, gaussians.frames)

    def between(values: np.ndarray) -> np.ndarray:
        if share == 0:
            return values[first : first + 1]
        return _lerp(values[first], values[second], share)[None]

    quats = between(gaussians.quats) if share == 0 else _nlerp(gaussians.quats[first], gaussians.quats[second], share)
    return GaussianFrames(
        between(gaussians.means),
        quats.reshape(1, -1, 4),
        between(gaussians.scales),
        gaussians.opacities if gaussians.opacities.ndim == 1 else between(gaussians.opacities),
        between(gaussians.colors),
    )


def camera_at(cameras: CameraPath, time: float) -> CameraPath:
    """The camera at a fractional index of time: its centre and intrinsics run linearly, its rotation by slerp.

    Args:
        cameras: T cameras.
        time: index 0..T-1, clamped to it; whole numbers give that camera bit for bit.

    Returns:
        A path of one camera.
    """
    first, second, share = _neighbours(time, len(cameras))
    viewmats, Ks = cameras.viewmats[first : first + 1], cameras.Ks[first : first + 1]
    if share == 0:
        return replace(cameras, viewmats=viewmats, Ks=Ks)
    ends = Rotation.from_matrix(cameras.viewmats[[first, second], :3, :3].astype(np.float64))
    rotation = (ends[0] * Rotation.from_rotvec(share * (ends[0].inv() * ends[1]).as_rotvec())).as_matrix()
    centers = cameras.positions()[[first, second]].astype(np.float64)
    viewmat = np.eye(4)
    viewmat[:3, :3] = rotation
    viewmat[:3, 3] = -rotation @ _lerp(centers[0], centers[1], share)
    return replace(
        cameras,
        viewmats=viewmat[None].astype(np.float32),
        Ks=_lerp(cameras.Ks[first], cameras.Ks[second], share)[None],
    )


def _neighbours(time: float, frames: int) -> tuple[int, int, float]:
    """Indices of the frames around `time`, and how far it is from the first to the second, 0..1."""
    time = float(min(max(time, 0.0), frames - 1.0))  # a NumPy float64 would make float64 arrays of all it touches
    first = int(time)
    return first, min(first + 1, frames - 1), time - first


def _lerp(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    return a + (b - a) * share


def _nlerp(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """Unit quaternions (N,4) between `a` and `b` (N,4); q and -q are one rotation, so the nearer of them is taken."""
    a, b = (q / np.linalg.norm(q, axis=-1, keepdims=True) for q in (a, b))
    nearer = np.where((a * b).sum(-1, keepdims=True) < 0, -b, b)
    mixed = _lerp(a, nearer, share)
    return mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)
