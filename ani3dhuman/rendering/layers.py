"""A layer of motion as pictures: colour, coverage, depth and region labels along the camera path."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ani3d_formats.camera import CameraPath
from ani3d_formats.progress import Progress
from ani3d_formats.regions import is_loose

from ..device import to_numpy
from ..jit import threads_may_meet
from ..spread import over as spread_over
from ..storage.frames_on_disk import FrameFile, Frames, made_when_asked
from .draw import draw_tensors

Pictures = np.ndarray | Frames

AHEAD = 2  # frames that are lit or ready while one is drawn: every other takes longer to light than to draw


@dataclass(frozen=True)
class LayerRender:
    """Pictures of one layer over T frames; arrays, or `Frames` on disk, which are read like arrays.

    Attributes:
        rgb: (T,H,W,3) uint8 sRGB, composited on the background.
        alpha: (T,H,W) float16 coverage 0..1.
        depth: (T,H,W) float16 expected depth in metres, 0 where nothing is seen.
        preserve: (T,H,W) float16 share of the pixel that shows body or face.
    """

    rgb: Pictures
    alpha: Pictures
    depth: Pictures
    preserve: Pictures


def layer_when_asked(
    frame: Callable[[int], Sequence[Tensor]],
    region_ids: np.ndarray,
    cameras: CameraPath,
    background: np.ndarray,
    scratch: Path | None = None,
) -> LayerRender:
    """`render_layer` that draws a frame, and those before it, when one of its pictures is first asked for."""
    out = _empty(cameras, scratch)
    preserved = _preserved(region_ids)
    coming = (drawn_frame(frame(t), preserved, cameras, t, background) for t in range(len(cameras)))
    return LayerRender(*made_when_asked(coming, out))


def render_layer(
    frame: Callable[[int], Sequence[Tensor]],
    region_ids: np.ndarray,
    cameras: CameraPath,
    background: np.ndarray,
    progress: Progress | None = None,
    scratch: Path | None = None,
) -> LayerRender:
    """Render posed Gaussians along a camera path; of all frames there are at most four in memory.

    Args:
        frame: gives the N Gaussians of a frame, as `avatar.posing.PosedAvatar.drawn` does.
        region_ids: (N,) indices into `ani3d_formats.regions.REGIONS`.
        cameras: T cameras.
        background: (3,) sRGB 0..1.
        progress: advanced once a frame, with a small preview picture.
        scratch: folder of the pictures' files; None takes the system's.

    Returns:
        The pictures, on disk.
    """
    files, shared = _empty(cameras, scratch), (_preserved(region_ids), cameras, background)
    waiting: list[Future] = []
    # while a frame is drawn, the one before is packed and the next one lit
    with ThreadPoolExecutor(1, "pictures") as packing:
        for drawn in spread_over(_view, shared, _ahead(frame, len(cameras))):
            for done in waiting:
                done.result()
            waiting = [packing.submit(file.append, part) for file, part in zip(files, drawn, strict=True)]
            if progress:
                progress.advance(preview=small_preview(drawn[0]))
        for done in waiting:
            done.result()
    return LayerRender(*files)


def _ahead(frame: Callable[[int], Sequence[Tensor]], count: int) -> Iterator[tuple[int, Sequence[Tensor]]]:
    """Frames with their numbers; on the CPU the next ones are made while one is used, where kernels may meet."""
    now = frame(0)
    if now[0].device.type != "cpu" or not threads_may_meet():
        yield 0, now
        yield from ((t, frame(t)) for t in range(1, count))
        return
    with ThreadPoolExecutor(1, "light") as lighting:
        coming = deque(lighting.submit(frame, t) for t in range(1, min(1 + AHEAD, count)))
        for t in range(count):
            yield t, now
            if coming:
                now = coming.popleft().result()
            if t + 1 + AHEAD < count:
                coming.append(lighting.submit(frame, t + 1 + AHEAD))


def _view(
    shared: tuple[Tensor, CameraPath, np.ndarray], part: tuple[int, Sequence[Tensor]], _progress: Progress | None
) -> tuple[np.ndarray, ...]:
    (preserved, cameras, background), (t, gaussians) = shared, part
    return drawn_frame(gaussians, preserved, cameras, t, background)


def _empty(cameras: CameraPath, scratch: Path | None) -> list[FrameFile]:
    """Files for rgb, alpha, depth and preserve."""
    size = (len(cameras), cameras.height, cameras.width)
    maps = [FrameFile(size, np.float16, folder=scratch) for _ in range(3)]
    return [FrameFile((*size, 3), np.uint8, folder=scratch), *maps]


def _preserved(region_ids: np.ndarray) -> Tensor:
    return torch.from_numpy((~is_loose(region_ids)).astype(np.float32)[:, None])


def drawn_frame(
    gaussians: Sequence[Tensor], preserved: Tensor, cameras: CameraPath, frame: int, background: np.ndarray
) -> tuple[np.ndarray, ...]:
    """One frame of `LayerRender`: rgb, alpha, depth, preserve. `preserved` (N,1) is 1 for body and face."""
    features = torch.cat([gaussians[4], preserved.to(gaussians[4].device)], 1)
    channels, alpha = draw_tensors(gaussians, features, cameras, frame, with_depth=True)
    rgb = over(channels[..., :3], alpha, background)
    parts = (rgb * 255 + 0.5).to(torch.uint8), *(part.half() for part in (alpha, channels[..., 4], channels[..., 3]))
    return tuple(to_numpy(part) for part in parts)


def over(colors: Tensor, alpha: Tensor, background: np.ndarray) -> Tensor:
    """Premultiplied `colors` (H,W,3) with `alpha` (H,W) over a background (3,), within 0..1."""
    behind = torch.from_numpy(np.array(background, np.float32)).to(colors.device)
    return (colors + (1 - alpha[..., None]) * behind).clamp(0, 1)


def small_preview(picture: np.ndarray, side: int = 128) -> np.ndarray:
    """A picture (H,W,3) thinned to at most `side` pixels on its long side, for progress events."""
    step = max(1, -(-max(picture.shape[:2]) // side))
    return np.ascontiguousarray(picture[::step, ::step])
