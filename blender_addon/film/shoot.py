# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a film, from the scene's camera to the files: Blender draws depths while the engine draws frames."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.film_camera import FilmMeta
from ani3d_formats.frames import FrameCache

from ..import_result import check_own_time, parts_of
from ..playback import cache_file
from ..properties import object_group
from ..sentence import said
from ..timeline import frame_restored
from .camera import film_meta, film_steps, frames_touched
from .depth import depths
from .process import FilmProcess

MOMENTS = 3  # at which the rest of the scene is looked at while the shutter is open
Steps = Generator[tuple[int, int, float], None, list[Path]]


@dataclass(frozen=True)
class Wanted:
    """A film of the result `name`: scene `frames`, `samples` pictures a frame, by the program `command`."""

    name: str
    frames: range
    samples: int
    command: str
    out: Path


def cache_of(name: str) -> FrameCache:
    """The frame cache that the Gaussians of a result play. Raises `Ani3DError` ``film.no_gaussians``,
    ``result.retimed``, ``cache.*``."""
    check_own_time(name)
    for item in parts_of(name):
        file = cache_file(item)
        if file is not None and object_group(item).kind == "GAUSSIANS":
            return FrameCache.open(file.parent)
    raise Ani3DError(
        "film.no_gaussians",
        said("The result '{name}' has no moving Gaussians in this file.", name=name)
        if name
        else "There is no result in this file.",
        "Animate with the quality Draft, Preview or Final, or import such a result.",
    )


def frames_of(scene: bpy.types.Scene, cache: FrameCache) -> range:
    """The frames of the scene that the cache has. Raises `Ani3DError` ``film.frames``."""
    head = cache.manifest
    frames = range(max(scene.frame_start, head.frame_start), min(scene.frame_end, head.frame_end) + 1)
    if not frames:
        own, others = f"{scene.frame_start}..{scene.frame_end}", f"{head.frame_start}..{head.frame_end}"
        raise Ani3DError(
            "film.frames",
            said("The scene has the frames {own}, the result {others}.", own=own, others=others),
            "Change the scene's Start and End.",
        )
    return frames


def shoot(context: bpy.types.Context, wanted: Wanted) -> Steps:
    """Yields (frames drawn, frames in all, seconds left) and returns the files. Closing it ends all work.

    Raises:
        Ani3DError: ``film.*``, ``result.retimed``, ``camera.*``, ``engine.*``, ``disk.full``.
    """
    scene, cache = context.scene, cache_of(wanted.name)
    count = len(wanted.frames)
    with ExitStack() as stack:
        stack.enter_context(frame_restored(scene))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ani3d-film-")))
        touched = frames_touched(wanted.frames, film_meta(scene, wanted.frames.start, wanted.samples))
        head = cache.manifest
        within = range(max(touched.start, head.frame_start), min(touched.stop, head.frame_end + 1))
        reading = stack.enter_context(closing(film_steps(context, within, wanted.samples)))
        while True:
            try:
                next(reading)
            except StopIteration as end:
                film = end.value
                break
            yield 0, count, 0.0
        film.save(folder / "camera.npz")
        process = FilmProcess(wanted.command, cache.path, folder / "camera.npz", wanted.out, folder / "engine.log")
        stack.callback(process.close)
        seen = stack.enter_context(depths(context, parts_of(wanted.name)))
        files: dict[int, Path] = {}
        started = time.monotonic()

        def listen() -> tuple[int, int, float]:
            for frame, _share, file in process.answers():
                if file:
                    files[frame] = Path(file)
                    (folder / f"{frame}.npz").unlink(missing_ok=True)
            spent = time.monotonic() - started
            left = spent / len(files) * (count - len(files)) if files else 0.0
            return len(files), count, left

        for frame in wanted.frames:
            process.ask(frame, _write(folder / f"{frame}.npz", seen.at(_moments(film.meta, frame)), film.meta, frame))
            yield listen()
        while len(files) < count:
            time.sleep(0.02)
            yield listen()
    return [files[frame] for frame in wanted.frames]


def _moments(meta: FilmMeta, frame: int) -> Sequence[float]:
    shutter, position = meta.shutter, meta.shutter_position
    if not shutter:
        return (float(frame),)
    opens = frame - {"start": 0.0, "center": 0.5, "end": 1.0}[position] * shutter
    return [opens + shutter * (number + 0.5) / MOMENTS for number in range(MOMENTS)]


def _write(path: Path, depth: np.ndarray | None, meta: FilmMeta, frame: int) -> Path | None:
    if depth is None:
        return None
    np.savez(path, depths=depth, times=np.array(_moments(meta, frame)))
    return path
