"""A layer of motion as pictures: colour, coverage, depth and region labels along the camera path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..camera import CameraPath
from ..gaussians import GaussianFrames
from ..progress import Progress
from .rasterize import rasterize

PRESERVED_REGIONS = (0, 1)  # body and face: what restoration must not change


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
    device: str = "cpu",
) -> LayerRender:
    """Render posed Gaussians along a camera path.

    Args:
        gaussians: T frames of N Gaussians.
        region_ids: (N,) indices into `ani3dhuman.shot.REGIONS`.
        cameras: T cameras.
        background: (3,) sRGB 0..1.
        progress: advanced once a frame, with a small preview picture.
        device: where to rasterise, ``"cpu"`` or ``"cuda"``.

    Returns:
        The pictures, on the CPU.
    """
    T, H, W = gaussians.frames, cameras.height, cameras.width
    out = LayerRender(
        np.empty((T, H, W, 3), np.uint8),
        *(np.empty((T, H, W), np.float16) for _ in range(3)),
    )
    preserved = np.isin(region_ids, PRESERVED_REGIONS).astype(np.float32)[:, None]
    backdrop = torch.as_tensor(background, dtype=torch.float32)
    ortho = cameras.camera_type == "orthographic"
    for t in range(T):
        arrays = (gaussians.means[t], gaussians.quats[t], gaussians.scales[t], gaussians.opacities)
        means, quats, scales, opacities = (_tensor(a, device) for a in arrays)
        features = _tensor(np.concatenate([gaussians.colors[t], preserved], axis=1), device)
        with torch.no_grad():
            colors, alphas, _ = rasterize(
                means, quats, scales, opacities, features,
                _tensor(cameras.viewmats[t : t + 1], device), _tensor(cameras.Ks[t : t + 1], device), W, H,
                render_mode="RGB+ED", camera_model="ortho" if ortho else "pinhole",
            )  # fmt: skip
        colors, alpha = colors[0].cpu(), alphas[0].cpu()
        rgb = (colors[..., :3] + (1 - alpha) * backdrop).clamp(0, 1)
        out.rgb[t] = (rgb * 255 + 0.5).to(torch.uint8).numpy()
        out.alpha[t], out.depth[t] = alpha[..., 0].numpy(), colors[..., 4].numpy()
        out.preserve[t] = colors[..., 3].numpy()
        if progress:
            progress.advance(preview=small_preview(out.rgb[t]))
    return out


def small_preview(picture: np.ndarray, side: int = 128) -> np.ndarray:
    """A picture (H,W,3) thinned to at most `side` pixels on its long side, for progress events."""
    step = max(1, -(-max(picture.shape[:2]) // side))
    return np.ascontiguousarray(picture[::step, ::step])


def _tensor(array: np.ndarray, device: str) -> torch.Tensor:
    return torch.from_numpy(np.array(array, np.float32)).to(device)  # a copy: memory maps cannot be written
