"""The videos and the contact sheet of a finished job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Cancelled
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot

from ..clip import CoarseClip
from ..media.video import VideoWriter, write_png
from ..pose.drawing import STYLES
from ..pose.keypoints import KeypointMap
from ..pose.video import pose_video
from ..presentation.backdrop import compose, studio
from ..presentation.sheets import contact_sheet, side_by_side
from ..presentation.view_transform import displayed
from ..rendering.control_maps import depth_picture
from ..rendering.layers import LayerRender
from .restoring import Restored

TITLES = {"rigid": "Rigid", "coarse": "Coarse with cloth", "restored": "Restored", "refined": "Refined"}


def write_pictures(
    out: Path,
    shot: Shot,
    cameras: CameraPath,
    layers: Mapping[str, LayerRender | Restored],
    vertices: Mapping[str, np.ndarray],
    progress: Progress,
) -> None:
    """Write videos/NAME.mp4 for each layer, videos/side_by_side.mp4 and contact_sheet.png into `out`.

    `layers` name -> pictures; `vertices` name -> (T,V,3) for the shadows (a layer
    without its own uses the coarse one's). The progress's total is set here.
    """
    progress.total = shot.frames * (2 + len(layers))
    background = shot.background_srgb
    table = shot.arrays.get("view_table")
    floor = float(vertices["rigid"][:, :, 2].min())
    videos = out / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    fps = shot.meta.fps
    shown = {TITLES[name]: np.empty(layer.rgb.shape, np.uint8) for name, layer in layers.items()}
    for t in range(shot.frames):
        for name, layer in layers.items():
            floor_points = vertices.get(name, vertices["coarse"])[t]
            backdrop = studio(cameras, t, floor_points, background, floor)
            picture = compose(layer.rgb[t], layer.alpha[t], background, backdrop)
            shown[TITLES[name]][t] = displayed(picture, table)
        progress.advance()
    clips: dict[str, Callable[[int], np.ndarray]] = {
        "side_by_side": lambda t: side_by_side({title: frames[t] for title, frames in shown.items()}),
        **{name: lambda t, title=TITLES[name]: shown[title][t] for name in layers},  # type: ignore[misc]
    }
    with ThreadPoolExecutor() as pool:  # an encoder keeps one core busy
        jobs = [pool.submit(_encode, videos / f"{n}.mp4", c, shot.frames, fps, progress) for n, c in clips.items()]
        for job in as_completed(jobs):
            job.result()
            progress.advance(shot.frames)
    write_png(out / "contact_sheet.png", contact_sheet(shown, frame_numbers(shot)))


def _encode(path: Path, picture: Callable[[int], np.ndarray], frames: int, fps: float, progress: Progress) -> None:
    """Write one video frame by frame; stops when the job is to be cancelled, and then no file appears."""
    height, width = picture(0).shape[:2]
    with VideoWriter(path, width, height, fps) as writer:
        for t in range(frames):
            if progress.should_cancel():
                raise Cancelled(progress.stage)
            writer.write(picture(t))


def write_conditions(out: Path, shot: Shot, keypoints: KeypointMap, clip: CoarseClip, style: str) -> None:
    """Write conditions.png: the inputs of a video prior besides the coarse video - depth, preserve mask, pose.

    `style` is that of the pose drawing, one of `STYLES`.
    """
    layer = clip.coarse_pictures()
    drawings = pose_video(shot, keypoints, clip.cameras, layer, style=STYLES[style])
    rows = {
        "Depth": depth_picture(layer.depth, layer.alpha),
        "Preserve mask": _grey(np.asarray(layer.preserve, np.float32)),
        "Pose" if keypoints.is_human else "Skeleton": drawings,
    }
    write_png(out / "conditions.png", contact_sheet(rows, frame_numbers(shot)))


def frame_numbers(shot: Shot) -> list[int]:
    """The scene frames of a shot."""
    return list(range(shot.meta.frame_start, shot.meta.frame_end + 1))


def _grey(values: np.ndarray) -> np.ndarray:
    """Values (T,H,W) in 0..1 as grey pictures (T,H,W,3) uint8."""
    return np.repeat((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)[..., None], 3, axis=-1)
