"""A film frame that stands in a scene: hidden where something of the scene is nearer, with its own depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.progress import Progress

from ..media.picture import Picture
from .draw import draw
from .exposure import Exposure
from .motion_blur import exposed, samples_within

TOLERANCE = 0.005  # metres by which Gaussians may lie behind a surface and are still seen: soles on a floor
FAR = 1e10  # the depth of what is empty, as Blender's depth pass has it
FAINT = 1e-3  # coverage below which a pixel has no depth of its own


@dataclass(frozen=True)
class SceneDepth:
    """How far away the rest of a scene is.

    Attributes:
        depths: (K,S*H,S*W) float32 metres along the view, of S x S places in each pixel of a picture H x W; any number
            beyond what is drawn where there is nothing.
        times: (K,) scene frames at which they were taken; each sample of the shutter goes by the nearest.

    Raises:
        Ani3DError: ``film.depth`` for other shapes.
    """

    depths: np.ndarray
    times: np.ndarray

    def __post_init__(self) -> None:
        if self.depths.ndim != 3 or self.times.shape != self.depths.shape[:1] or not len(self.times):
            raise _wrong(f"it has the shapes {self.depths.shape} and {self.times.shape}")

    def visible(self, depth: np.ndarray, time: float, tolerance: float) -> np.ndarray:
        """(H,W) the share 0..1 of each pixel at which something at `depth` (H,W) is not behind the scene at `time`.

        Raises `Ani3DError` ``film.depth`` where the sizes do not fit.
        """
        there = self.depths[int(np.abs(self.times - time).argmin())]
        height, width = depth.shape
        fine = there.shape[0] // height
        if fine < 1 or there.shape != (fine * height, fine * width):
            raise _wrong(f"a picture of {width} x {height} has {there.shape[1]} x {there.shape[0]} depths")
        nearer = there.reshape(height, fine, width, fine) >= depth[:, None, :, None] - tolerance
        return nearer.mean(axis=(1, 3), dtype=np.float32)


def render_in_scene(
    gaussians: GaussianFrames,
    cameras: CameraPath,
    frame: int,
    exposure: Exposure,
    scene: SceneDepth | None = None,
    *,
    frame_start: int = 0,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> tuple[Picture, np.ndarray]:
    """Expose one frame as `motion_blur.render_frame` does, transparent, without what the scene hides.

    Each sample is cut where its expected depth lies behind the scene, so edges of what stands in front are as sharp as
    `scene` is fine, and blur of the character goes on behind them.

    Args:
        gaussians, cameras, frame, exposure, frame_start, progress: as there.
        scene: what may stand in front; None for nothing.
        tolerance: metres by which Gaussians may lie behind it and are still seen.

    Returns:
        The picture, premultiplied and linear, and (H,W) float32 depth in metres along the view: the mean of what is
        seen by its coverage, `FAR` where there is nothing.

    Raises:
        Ani3DError: as `render_frame`, and ``film.depth``.
        Cancelled: when `progress` is asked to stop.
    """
    total = np.zeros((cameras.height, cameras.width, 4))
    depths = np.zeros((cameras.height, cameras.width))
    for time, moment, camera in exposed(gaussians, cameras, frame, exposure, frame_start):
        channels, coverage = draw(
            moment, moment.colors[0], camera, 0, with_depth=True, samples=samples_within(exposure)
        )
        rgba = Picture(np.concatenate([channels[..., :3], coverage[..., None]], -1), "premultiplied", "srgb")
        linear, depth = rgba.to("premultiplied", "linear").rgba, channels[..., 3]
        if scene is not None:
            linear = linear * scene.visible(depth, time, tolerance)[..., None]
        total += linear
        depths += linear[..., 3] * depth
        if progress:
            progress.advance()
    seen = total[..., 3]
    mean = np.divide(depths, seen, out=np.full_like(depths, FAR), where=seen > FAINT * exposure.passes)
    picture = Picture((total / exposure.passes).astype(np.float32), "premultiplied", "linear")
    return picture, mean.astype(np.float32)


def _wrong(what: str) -> Ani3DError:
    text = f"The scene's depth does not fit the picture: {what}."
    return Ani3DError("film.depth", text, "Give (K,S*H,S*W) depths and (K,) times for a picture of H x W.")
