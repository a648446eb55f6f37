"""A layer of motion as pictures: colour, coverage, depth and region labels along the camera path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.progress import Progress
from ani3d_formats.regions import is_loose

from .draw import draw


@dataclass(frozen=True)
class LayerRender:
    """Pictures of one layer over T frames.

    Attributes:
        rgb: (T,H,W,3) uint8 sRGB, composited on the background.
        alpha: (T,H,W) float16 coverage 0..1.
        depth: (T,H,W) float16 expected depth in metres, 0 where nothing is seen.
        preserve: (T,H,W) float16 share of the pixel that shows body or face.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    depth: np.ndarray
    preserve: np.ndarray


def render_layer(
    gaussians: GaussianFrames,
    region_ids: np.ndarray,
    cameras: CameraPath,
    background: np.ndarray,
    progress: Progress | None = None,
) -> LayerRender:
    """Render posed Gaussians along a camera path.

    Args:
        gaussians: T frames of N Gaussians.
        region_ids: (N,) indices into `ani3d_formats.regions.REGIONS`.
        cameras: T cameras.
        background: (3,) sRGB 0..1.
        progress: advanced once a frame, with a small preview picture.

    Returns:
        The pictures.
    """
    T, H, W = gaussians.frames, cameras.height, cameras.width
    out = LayerRender(
        np.empty((T, H, W, 3), np.uint8),
        *(np.empty((T, H, W), np.float16) for _ in range(3)),
    )
    preserved = (~is_loose(region_ids)).astype(np.float32)[:, None]
    for t in range(T):
        features = np.concatenate([gaussians.colors[t], preserved], axis=1)
        channels, alpha = draw(gaussians, features, cameras, t, with_depth=True)
        rgb = np.clip(channels[..., :3] + (1 - alpha[..., None]) * background, 0, 1)
        out.rgb[t] = rgb * 255 + 0.5
        out.alpha[t], out.depth[t], out.preserve[t] = alpha, channels[..., 4], channels[..., 3]
        if progress:
            progress.advance(preview=small_preview(out.rgb[t]))
    return out


def small_preview(picture: np.ndarray, side: int = 128) -> np.ndarray:
    """A picture (H,W,3) thinned to at most `side` pixels on its long side, for progress events."""
    step = max(1, -(-max(picture.shape[:2]) // side))
    return np.ascontiguousarray(picture[::step, ::step])
