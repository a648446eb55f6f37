"""A film shot from a cache: frames as EXR or PNG files, or one video."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.frames import FrameCache, as_float32
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.progress import Progress

from .. import __version__
from ..media.film_frames import write_exr, write_png16
from ..media.picture import Alpha, Picture, Transfer
from ..media.video import VideoWriter
from ..rendering.exposure import Exposure
from ..rendering.motion_blur import render_frame
from ..splats.harmonics import seen_from
from ..splats.splats import OWN_COLORS
from ..spread import over
from .job import Listener

Format = Literal["exr", "png", "mp4"]
Write = Callable[[int, Picture], None]
DECLARED: dict[Format, tuple[Alpha, Transfer]] = {
    "exr": ("premultiplied", "linear"),
    "png": ("straight", "srgb"),
    "mp4": ("straight", "srgb"),
}


@dataclass(frozen=True)
class Delivery:
    """What is to be written.

    Attributes:
        format: ``"exr"`` (premultiplied, linear), ``"png"`` (16 bits, straight, sRGB) or ``"mp4"`` (AV1, 8 bits, sRGB).
        background: (3,) sRGB-encoded 0..1, or None for a transparent picture.
        full_float: EXR in 32 bits a channel instead of 16.
        frames: first and last scene frame; None renders all of the cache.

    Raises:
        Ani3DError: ``film.format`` for other formats, a transparent video, and 32 bits in a format without them.
    """

    format: Format
    background: np.ndarray | None
    full_float: bool = False
    frames: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.format not in DECLARED:
            raise Ani3DError(
                "film.format", f"There is no format {self.format!r}.", f"Known formats: {', '.join(DECLARED)}."
            )
        if self.format == "mp4" and self.background is None:
            raise Ani3DError("film.format", "An mp4 cannot be transparent.", "Render exr or png, or give a background.")
        if self.full_float and self.format != "exr":
            raise Ani3DError("film.format", f"A {self.format} file has no 32-bit floats.", "Render exr.")


def render_shot(
    cache: FrameCache,
    cameras: CameraPath,
    camera_start: int,
    out: Path,
    exposure: Exposure,
    delivery: Delivery,
    listener: Listener | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
) -> list[Path]:
    """Render frames of a cache as the cameras see them.

    Only frames that a shutter touches are read, so the length of the cache does not matter. Past the first and last
    frame that cache and cameras share, the shutter sees them stand still.

    Args:
        cache: posed Gaussians.
        cameras: the camera path, in the size of the pictures.
        camera_start: scene frame of the first camera.
        out: folder of the result, made when missing.
        exposure: film settings of the camera.
        delivery: format, background and frames.
        listener: called with every progress report.
        should_cancel: asked after every sample.

    Returns:
        The files: NAME_0001.exr or .png a frame, or NAME.mp4.

    Raises:
        Ani3DError: ``film.frames`` when cache or cameras lack a frame, and the errors of `FrameCache.gaussians`,
            `render_frame` and the writers.
        Cancelled: finished frames stay; a video is dropped.
    """
    head = cache.manifest
    first, last = delivery.frames or (head.frame_start, head.frame_end)
    camera_end = camera_start + len(cameras) - 1
    start, end = max(head.frame_start, camera_start), min(head.frame_end, camera_end)
    if not start <= first <= last <= end:
        raise Ani3DError(
            "film.frames",
            f"Frames {first}..{last} are asked for; {cache.path.name} has {head.frame_start}..{head.frame_end}, "
            f"the shot's cameras {camera_start}..{camera_end}.",
            f"Ask for frames within {start}..{end}." if start <= end else "Take the shot that the cache was made from.",
        )
    exposure.lens_radius(cameras)  # an impossible lens is told before anything is made
    scale = scale_of(cache)
    if scale != 1:
        cameras, exposure = cameras.scaled(scale), exposure.scaled(scale)
    progress = Progress("film", (last - first + 1) * exposure.passes, listener, should_cancel)
    progress.advance(0)
    scene = _Scene(scale, exposure, delivery)

    def moments() -> Iterator[_Moment]:
        for frame in range(first, last + 1):
            opens, closes = exposure.interval(frame)
            low, high = max(math.floor(opens), start), min(math.ceil(closes), end)
            window = slice(low - camera_start, high - camera_start + 1)
            gaussians = _seen(cache, cache.gaussians(low, high), cameras.positions()[window] / np.float32(scale))
            seen = replace(cameras, viewmats=cameras.viewmats[window], Ks=cameras.Ks[window])
            yield _Moment(frame, low, gaussians, seen)

    with _opened(cache, cameras, Path(out), exposure, delivery) as (files, write):
        pictures = over(_exposed, scene, moments(), progress, exposure.passes)
        for frame in range(first, last + 1):
            try:
                picture = next(pictures)
            except Cancelled as stop:
                raise _stopped(frame, last, len(files), delivery) from stop
            write(frame, picture)
    return files


@dataclass(frozen=True)
class _Scene:
    """What all frames of a film need."""

    scale: float
    exposure: Exposure
    delivery: Delivery


@dataclass(frozen=True)
class _Moment:
    """What one frame needs: Gaussians and cameras from scene frame `start` on, as far as its shutter is open."""

    frame: int
    start: int
    gaussians: GaussianFrames
    cameras: CameraPath


def _exposed(scene: _Scene, moment: _Moment, progress: Progress | None) -> Picture:
    return render_frame(
        moment.gaussians if scene.scale == 1 else moment.gaussians.scaled(scene.scale),
        moment.cameras,
        moment.frame,
        scene.exposure,
        background=scene.delivery.background,
        frame_start=moment.start,
        encoding=DECLARED[scene.delivery.format],
        progress=progress,
    )


def _seen(cache: FrameCache, gaussians: GaussianFrames, eyes: np.ndarray) -> GaussianFrames:
    """The Gaussians as they look from `eyes` (T,3), where their colour depends on that."""
    if OWN_COLORS not in cache.arrays:
        return gaussians
    own = as_float32(cache.arrays[OWN_COLORS]).reshape(gaussians.count, -1, 3)
    colors = [seen_from(own, m, q, eye) for m, q, eye in zip(gaussians.means, gaussians.quats, eyes, strict=True)]
    return replace(gaussians, colors=np.stack(colors))


def scale_of(cache: FrameCache) -> float:
    """How many times larger than in the scene the job had the character; its pictures are drawn at that size too."""
    scale = cache.manifest.provenance.get("scale", 1.0)
    return float(scale) if isinstance(scale, int | float) and 0 < scale < math.inf else 1.0


@contextmanager
def _opened(
    cache: FrameCache, cameras: CameraPath, out: Path, exposure: Exposure, delivery: Delivery
) -> Iterator[tuple[list[Path], Write]]:
    """A function that takes each frame to disk, and the list of files it fills."""
    files: list[Path] = []
    name = cache.path.stem

    def write_file(frame: int, picture: Picture) -> None:
        path = out / f"{name}_{frame:04d}.{delivery.format}"
        if delivery.format == "png":
            write_png16(path, picture)
        else:
            film = json.dumps({key: value for key, value in asdict(exposure).items() if value is not None})
            metadata: dict[str, str | int | float] = {"frame": frame, "exposure": film}
            metadata["software"] = f"ani3dhuman {__version__}"
            write_exr(path, picture, full_float=delivery.full_float, metadata=metadata)
        files.append(path)

    if delivery.format != "mp4":
        yield files, write_file
        return
    path = out / f"{name}.mp4"
    with VideoWriter(path, cameras.width, cameras.height, cache.manifest.fps) as video:

        def write_frame(frame: int, picture: Picture) -> None:
            video.write((np.clip(picture.rgba[..., :3], 0, 1) * 255 + 0.5).astype(np.uint8))

        yield files, write_frame
    files.append(path)


def _stopped(frame: int, last: int, finished: int, delivery: Delivery) -> Cancelled:
    """What a user is told who pressed Ctrl-C."""
    if delivery.format == "mp4":
        return Cancelled(f"frame {frame}", "No video was written.")
    return Cancelled(f"frame {frame}", f"{finished} frames are finished; --frames {frame}:{last} renders the rest.")
