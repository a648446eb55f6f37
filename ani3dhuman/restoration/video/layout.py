"""How a scene's pictures become a model's video and come back: size, frame rate, frame count.

Size: scaled down (never up) until it fits the pixel budget, aspect kept, then the rims repeated to the right and
below up to the multiple that the VAE needs. Frame rate: the scene is read at the moments of the video's frames,
pictures linearly between frames, drawings and masks at the nearest frame (half a stick figure is none). Frame count:
the last frame repeated up to period k + 1. The way back crops, scales and reads linearly at the scene's own frames, so
any clip comes back with the frames and the size it had.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ...storage.frames_on_disk import Computed, Frames


@dataclass(frozen=True)
class VideoLayout:
    """Where a scene's frames and pixels are in a model's video.

    Attributes:
        frames: T, of the scene.
        width, height: of the scene, pixels.
        step: scene frames from one video frame to the next (scene fps / video fps).
        inner_width, inner_height: the scene's picture inside the video's, which begins at its upper left corner.
        video_width, video_height: of the video.
        video_frames: period k + 1.
    """

    frames: int
    width: int
    height: int
    step: float
    inner_width: int
    inner_height: int
    video_width: int
    video_height: int
    video_frames: int

    @property
    def moments(self) -> np.ndarray:
        """(video_frames,) scene frame, a fraction, that each video frame shows; the last one again and again."""
        return np.minimum(np.arange(self.video_frames) * self.step, self.frames - 1)

    def pictures(self, frames: np.ndarray | Frames) -> np.ndarray:
        """Scene pictures (T,H,W,3) uint8 as video (video_frames,h,w,3) float32 0..1, linear in time."""
        out = np.empty((self.video_frames, self.video_height, self.video_width, 3), np.float32)
        for n, moment in enumerate(self.moments):
            out[n] = self._fit(_between(frames, moment), cv2.INTER_AREA)
        return out / np.float32(255)

    def drawings(self, frames: np.ndarray) -> np.ndarray:
        """Scene drawings (T,H,W,3) uint8 as video (video_frames,h,w,3) float32 0..1, nearest in time."""
        nearest = np.floor(self.moments + 0.5).astype(int)
        video = np.stack([self._fit(frames[t], cv2.INTER_AREA) for t in nearest])
        return video.astype(np.float32) / np.float32(255)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """A scene mask (T,H,W) as (video_frames,h,w) float32, nearest in time and space, so that hard stays hard."""
        nearest = np.floor(self.moments + 0.5).astype(int)
        return np.stack([self._fit(mask[t].astype(np.float32), cv2.INTER_NEAREST) for t in nearest])

    def still(self, picture: np.ndarray) -> np.ndarray:
        """One picture (H,W,3) uint8 of the scene's size as (h,w,3) float32 0..1."""
        return self._fit(picture, cv2.INTER_AREA).astype(np.float32) / np.float32(255)

    def scene_video(self, video: torch.Tensor, progress: Progress | None = None) -> Frames:
        """The scene's frames (T,H,W,3) float32 0..1 from a VAE's video (1,3,video_frames,h,w) in -1..1.

        Each is made when it is asked for. `progress` is advanced by all of them.
        """
        whole = ((video[0].permute(1, 2, 3, 0) + 1) / 2).numpy()
        if progress:
            progress.advance(self.frames)
        size = (self.frames, self.height, self.width, 3)
        return Computed(size, np.float32, lambda t: self.scene_frame(whole, t))

    def scene_frame(self, video: np.ndarray, t: int) -> np.ndarray:
        """A frame of the scene (H,W,3) float32 0..1 from video (video_frames,h,w,3)."""
        picture = _between(video[:, : self.inner_height, : self.inner_width], t / self.step)
        if picture.shape[:2] != (self.height, self.width):
            picture = cv2.resize(picture, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        return np.clip(picture, 0, 1)

    def _fit(self, picture: np.ndarray, method: int) -> np.ndarray:
        if picture.shape[:2] != (self.inner_height, self.inner_width):
            picture = cv2.resize(picture, (self.inner_width, self.inner_height), interpolation=method)
        below, right = self.video_height - self.inner_height, self.video_width - self.inner_width
        return np.pad(picture, ((0, below), (0, right), (0, 0))[: picture.ndim], mode="edge")


def video_layout(
    frames: int,
    fps: float,
    width: int,
    height: int,
    *,
    frame_rate: float | None,
    max_pixels: int,
    multiple: int,
    period: int,
) -> VideoLayout:
    """Lay out a scene of `frames` pictures of `width` x `height` at `fps` as a video.

    Args:
        frame_rate: of the video, frames a second; None takes the scene's frames as they are.
        max_pixels: of one video frame, rims included.
        multiple: what width and height must be multiples of.
        period: frames that share a latent, after the first.

    Raises:
        Ani3DError: ``restoration.layout``: nothing to lay out, or a budget below one patch.
    """
    if min(frames, width, height) < 1 or not (math.isfinite(fps) and fps > 0):
        raise Ani3DError(
            "restoration.layout",
            f"A clip of {frames} frames of {width} x {height} pixels at {fps:g} frames a second cannot be restored.",
            "Give at least one frame, one pixel and a frame rate above 0.",
        )
    if max_pixels < multiple**2 or (frame_rate is not None and not frame_rate > 0):
        raise Ani3DError(
            "restoration.layout",
            f"A video of at most {max_pixels} pixels a frame at {frame_rate} frames a second is too little.",
            f"Allow at least {multiple**2} pixels and a frame rate above 0.",
        )
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    while True:
        inner = [max(1, round(side * scale)) for side in (width, height)]
        video = [-(-side // multiple) * multiple for side in inner]
        if video[0] * video[1] <= max_pixels or max(inner) <= multiple:
            break
        scale *= 0.998
    step = 1.0 if frame_rate is None else fps / frame_rate
    needed = math.ceil((frames - 1) / step - 1e-6)
    video_frames = 1 + -(-needed // period) * period
    return VideoLayout(frames, width, height, step, inner[0], inner[1], video[0], video[1], video_frames)


def _between(frames: np.ndarray | Frames, moment: float) -> np.ndarray:
    """The picture at a fraction of a frame, float32, blended from its two neighbours."""
    before = min(int(moment + 1e-6), len(frames) - 1)
    share = np.float32(moment - before)
    first = frames[before].astype(np.float32)
    if share < 1e-6 or before + 1 == len(frames):
        return first
    return first * (1 - share) + frames[before + 1].astype(np.float32) * share
