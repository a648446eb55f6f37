"""The videos and the contact sheet of a finished job."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes
from ani3d_formats.camera import CameraPath
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot

from ..media.video import VideoWriter, write_png
from ..pose.drawing import STYLES
from ..pose.video import pose_video
from ..presentation.backdrop import Floor, compose, studio
from ..presentation.sheets import contact_sheet, lowered, sheet_frames, side_by_side, thumbnail
from ..presentation.view_transform import displayed
from ..rendering.control_maps import depth_picture
from ..rendering.layers import LayerRender
from ..storage.stage_store import let_go
from .coarse import CoarseLayers, SeenLayer
from .restoring import Restored

TITLES = {"rigid": "Rigid", "coarse": "Coarse with cloth", "restored": "Restored", "refined": "Refined"}
SIDE_HEIGHT = 960  # pixels at most of each layer in the video of all of them: encoders take memory by the pixel


def write_pictures(
    out: Path,
    shot: Shot,
    cameras: CameraPath,
    layers: Mapping[str, LayerRender | SeenLayer | Restored],
    vertices: Mapping[str, np.ndarray],
    progress: Progress,
) -> None:
    """Write videos/NAME.mp4 for each layer, videos/side_by_side.mp4 of several, and contact_sheet.png into `out`.

    A layer that was drawn for the sheet alone has no video.
    Each frame is composed, given to the encoders, and let go. When the job is to be cancelled no file appears.

    Args:
        out: the job's folder.
        shot: for background, view and frame numbers.
        cameras: the pictures' own.
        layers: pictures by name.
        vertices: (T,V,3) by name, for the shadows; a layer without its own has the coarse one's.
        progress: advanced once a frame; its total is set here.
    """
    progress.total = shot.frames
    background, table, fps = shot.background_srgb, shot.arrays.get("view_table"), shot.meta.fps
    floor = float(vertices["rigid"][:, :, 2].min())
    let_go(vertices["rigid"])
    picks = set(sheet_frames(shot.frames))
    shown: dict[str, dict[int, np.ndarray]] = {TITLES[name]: {} for name in layers}
    # layers that have the same pictures are composed and encoded once, under the name of the last of them
    same = {name: [other for other in layers if layers[other] is layer][-1] for name, layer in layers.items()}
    drawn = {name: _places(layer, shot.frames) for name, layer in layers.items()}

    def composed(name: str, t: int, seen: Floor) -> np.ndarray:
        layer, place = layers[name], drawn[name][t]
        backdrop = studio(seen, vertices.get(name, vertices["coarse"])[t], background, floor)
        assert layer.rgb is not None and layer.alpha is not None
        return compose(layer.rgb[place], layer.alpha[place], background, backdrop)

    with ThreadPoolExecutor(thread_name_prefix="layer") as pool, _Videos(out / "videos", fps) as videos:
        for t in range(shot.frames):
            names = [name for name in dict.fromkeys(same.values()) if t in drawn[name]]
            pictures = pool.map(composed, names, repeat(t), repeat(Floor.seen(cameras, t, floor)))
            own = {name: displayed(picture, table) for name, picture in zip(names, pictures, strict=True)}
            frame = {TITLES[name]: own[same[name]] for name in layers if same[name] in own}
            if t in picks:
                for title, picture in frame.items():
                    shown[title][t] = thumbnail(picture)
            own = {name: picture for name, picture in own.items() if len(drawn[name]) == shot.frames}
            if len(own) > 1:
                lower = {name: lowered(picture, SIDE_HEIGHT) for name, picture in own.items()}
                beside = {TITLES[name]: lower[kept] for name, kept in same.items() if kept in own}
                own["side_by_side"] = side_by_side(beside)
            videos.write(own)
            progress.advance()
    for name, kept in same.items():
        if name != kept and len(drawn[name]) == shot.frames:
            write_bytes(out / "videos" / f"{name}.mp4", (out / "videos" / f"{kept}.mp4").read_bytes())
    write_png(out / "contact_sheet.png", contact_sheet(shown, frame_numbers(shot)))


def _places(layer: LayerRender | SeenLayer | Restored, count: int) -> dict[int, int]:
    """Where among a layer's pictures each frame is that was drawn."""
    frames = layer.frames if isinstance(layer, SeenLayer) and layer.frames is not None else range(count)
    return {t: place for place, t in enumerate(frames)}


class _Videos:
    """Videos that are written side by side, a thread each: an encoder keeps one core busy."""

    def __init__(self, folder: Path, fps: float) -> None:
        self.folder, self.fps = folder, fps
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> _Videos:
        self._open = ExitStack()
        self._writers: dict[str, VideoWriter] = {}
        self._pool = self._open.enter_context(ThreadPoolExecutor(thread_name_prefix="video"))
        self._waiting: list[Future] = []
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            self._wait()
        except BaseException as problem:  # the writers are told, so that no half video appears
            kind, error = type(problem), problem
            self._open.__exit__(kind, error, problem.__traceback__)
            raise
        self._open.__exit__(kind, error, trace)

    def write(self, frame: Mapping[str, np.ndarray]) -> None:
        """Give a frame (H,W,3) uint8 to each video by name, once the one before is taken."""
        self._wait()
        for name, picture in frame.items():
            if name not in self._writers:
                writer = VideoWriter(self.folder / f"{name}.mp4", picture.shape[1], picture.shape[0], self.fps)
                self._writers[name] = self._open.enter_context(writer)
            self._waiting.append(self._pool.submit(self._writers[name].write, picture))

    def _wait(self) -> None:
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.result()


def write_conditions(out: Path, shot: Shot, coarse: CoarseLayers, style: str) -> None:
    """Write conditions.png: the inputs of a video prior besides the coarse video - depth, preserve mask, pose.

    `style` is that of the pose drawing, one of `STYLES`.
    """
    few, picks, keypoints = coarse.sheet_pictures(), sheet_frames(shot.frames), coarse.keypoints
    drawings = pose_video(shot, keypoints, coarse.clip.cameras, few, style=STYLES[style], frames=picks)
    rows = {
        "Depth": depth_picture(np.asarray(few.depth), np.asarray(few.alpha)),
        "Preserve mask": _grey(np.asarray(few.preserve, np.float32)),
        "Pose" if keypoints.is_human else "Skeleton": drawings,
    }
    sheet = {title: dict(zip(picks, pictures, strict=True)) for title, pictures in rows.items()}
    write_png(out / "conditions.png", contact_sheet(sheet, frame_numbers(shot)))


def frame_numbers(shot: Shot) -> list[int]:
    """The scene frames of a shot."""
    return list(range(shot.meta.frame_start, shot.meta.frame_end + 1))


def _grey(values: np.ndarray) -> np.ndarray:
    """Values (T,H,W) in 0..1 as grey pictures (T,H,W,3) uint8."""
    return np.repeat((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)[..., None], 3, axis=-1)
