"""The videos and the contact sheet of a finished job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..cache.video import VideoWriter, write_png, write_video
from ..camera import CameraPath
from ..presentation.sheets import contact_sheet, side_by_side
from ..progress import Progress
from ..rendering.backdrop import compose, studio
from ..shot import Shot
from .stages import background_srgb

TITLES = {"rigid": "Rigid", "coarse": "Coarse with cloth", "restored": "Restored", "refined": "Refined"}


def write_pictures(
    out: Path,
    shot: Shot,
    cameras: CameraPath,
    layers: Mapping[str, Mapping[str, np.ndarray]],
    vertices: Mapping[str, np.ndarray],
    progress: Progress,
) -> None:
    """Write videos/NAME.mp4 for each layer, videos/side_by_side.mp4 and contact_sheet.png into `out`.

    `layers` name -> rgb (T,H,W,3) uint8 and alpha (T,H,W); `vertices` name -> (T,V,3) for the shadows (a layer
    without its own uses the coarse one's).
    """
    background = background_srgb(shot)
    floor = float(np.asarray(vertices["rigid"])[:, :, 2].min())
    videos = out / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    fps = float(shot.meta["fps"])
    shown = {TITLES[name]: np.empty(layer["rgb"].shape, np.uint8) for name, layer in layers.items()}
    for t in range(shot.frames):
        for name, layer in layers.items():
            floor_points = np.asarray(vertices.get(name, vertices["coarse"])[t])
            backdrop = studio(cameras, t, floor_points, background, floor)
            shown[TITLES[name]][t] = compose(layer["rgb"][t], np.asarray(layer["alpha"][t]), background, backdrop)
        progress.advance()
    for name in layers:
        write_video(videos / f"{name}.mp4", shown[TITLES[name]], fps)
    first = side_by_side({title: frames[0] for title, frames in shown.items()})
    with VideoWriter(videos / "side_by_side.mp4", first.shape[1], first.shape[0], fps) as writer:
        for t in range(shot.frames):
            writer.write(side_by_side({title: frames[t] for title, frames in shown.items()}))
    numbers = list(range(int(shot.meta["frame_start"]), int(shot.meta["frame_end"]) + 1))
    write_png(out / "contact_sheet.png", contact_sheet(shown, numbers))
