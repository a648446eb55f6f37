"""A film frame: motion blur and depth of field as the mean of sharp pictures, each at its own time and lens point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.progress import Progress

from ..media.picture import Alpha, Picture, Transfer
from .draw import SAMPLES, draw
from .exposure import Exposure
from .subframe import camera_at, gaussians_at


def render_frame(
    gaussians: GaussianFrames,
    cameras: CameraPath,
    frame: int,
    exposure: Exposure,
    *,
    background: np.ndarray | None = None,
    frame_start: int = 0,
    encoding: tuple[Alpha, Transfer] = ("premultiplied", "linear"),
    progress: Progress | None = None,
) -> Picture:
    """Expose one frame.

    Within a sample, Gaussians and background are blended in sRGB-encoded colours, since 3D Gaussian Splatting is
    fitted and displayed so. The samples are averaged in linear light, since a shutter and a lens add up light: each
    is divided by its alpha, decoded, multiplied by its alpha again, and only then summed. A mean of encoded colours
    would darken every streak. A frame of a single sample is never decoded unless `encoding` asks for it, and with
    shutter 0 and no lens it is the plain picture of `draw` bit for bit.

    Args:
        gaussians: T frames of N Gaussians.
        cameras: T cameras.
        frame: scene frame.
        exposure: shutter, lens and samples.
        background: (3,) sRGB-encoded 0..1 for an opaque picture; None leaves it transparent.
        frame_start: scene frame of index 0 of `gaussians` and `cameras`.
        encoding: alpha and transfer of the picture, see `Picture`.
        progress: advanced once a sample; that is also where a cancelled render stops.

    Returns:
        The picture in the size of `cameras`.

    Raises:
        Ani3DError: ``film.frame`` when the frame is not among the T, ``film.orthographic`` for a lens on an
            orthographic camera.
        Cancelled: when `progress` is asked to stop.
    """
    total = np.zeros((cameras.height, cameras.width, 4))
    for _, moment, camera in exposed(gaussians, cameras, frame, exposure, frame_start):
        sample = _sharp(moment, camera, background, samples_within(exposure))
        if exposure.passes > 1:
            total += sample.to("premultiplied", "linear").rgba
        if progress:
            progress.advance()
    if exposure.passes > 1:
        sample = Picture((total / exposure.passes).astype(np.float32), "premultiplied", "linear")
    return sample.to(*encoding)


def exposed(
    gaussians: GaussianFrames, cameras: CameraPath, frame: int, exposure: Exposure, frame_start: int = 0
) -> Iterator[tuple[float, GaussianFrames, CameraPath]]:
    """What each sample of a frame sees: its time in scene frames, the Gaussians then, the camera at its lens point.

    Arguments and errors are those of `render_frame`.
    """
    if not 0 <= frame - frame_start < min(gaussians.frames, len(cameras)):
        raise Ani3DError(
            "film.frame",
            f"Frame {frame} is outside {frame_start}..{frame_start + min(gaussians.frames, len(cameras)) - 1}.",
            "Choose a frame that both the Gaussians and the cameras have.",
        )
    radius = exposure.lens_radius(cameras, frame - frame_start)
    times, lens = exposure.sample(frame)
    for time, point in zip(times, lens * radius, strict=True):
        camera = camera_at(cameras, time - frame_start)
        if radius and exposure.focus_distance is not None:
            camera = through_lens(camera, point, exposure.focus_distance)
        yield float(time), gaussians_at(gaussians, time - frame_start), camera


def through_lens(camera: CameraPath, point: np.ndarray, focus_distance: float) -> CameraPath:
    """One camera moved to a point of its lens, its picture plane sheared so that the plane of focus stays still.

    Args:
        camera: a path of one perspective camera.
        point: (2,) metres along the camera's x (right) and y (down).
        focus_distance: metres along z.
    """
    viewmats, Ks = camera.viewmats.copy(), camera.Ks.copy()
    viewmats[0, :2, 3] -= point
    Ks[0, :2, 2] += Ks[0, [0, 1], [0, 1]] * point / focus_distance
    return replace(camera, viewmats=viewmats, Ks=Ks)


def samples_within(exposure: Exposure) -> int:
    """Along each side of a pixel: one where samples are many anyhow, and what moves is smooth by itself."""
    return SAMPLES if exposure.passes == 1 else 1


def _sharp(gaussians: GaussianFrames, camera: CameraPath, background: np.ndarray | None, samples: int) -> Picture:
    """One frame of Gaussians as the rasteriser draws it."""
    rgb, coverage = draw(gaussians, gaussians.colors[0], camera, 0, background=background, samples=samples)
    if background is not None:
        coverage = np.ones_like(coverage)
    return Picture(np.concatenate([rgb, coverage[..., None]], axis=-1), "premultiplied", "srgb")
