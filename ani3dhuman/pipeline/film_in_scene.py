"""Film frames that another program merges with its own picture of the scene: RGBA with depth, cut by the scene."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3d_formats.film_camera import Film
from ani3d_formats.frames import FrameCache
from ani3d_formats.progress import Progress

from .. import __version__
from ..media.film_frames import write_exr
from ..rendering.exposure import Exposure
from ..rendering.occluded import FAR, TOLERANCE, SceneDepth, render_in_scene
from .film import scale_of
from .job import Listener


class FilmInScene:
    """Draws frames of a cache as a film camera sees them among other things.

    Args:
        cache: posed Gaussians.
        film: the camera, in world space.
    """

    def __init__(self, cache: FrameCache, film: Film) -> None:
        self.cache, self.film = cache, film
        self._scale = scale_of(cache)
        moved = film.cameras.moved(-np.array(cache.manifest.origin, np.float64))
        self._cameras = replace(moved, Ks=moved.Ks.astype(np.float32)).scaled(self._scale)

    def exposure(self, frame: int) -> Exposure:
        """Shutter and lens at a scene frame, of the world at the size that it is drawn in."""
        meta = self.film.meta
        radius, focus = (float(value) for value in self.film.lenses[frame - meta.frame_start])
        lens = {"aperture_radius": radius, "focus_distance": focus} if radius else {}
        position = meta.shutter_position
        exposure = Exposure(meta.samples, meta.shutter, position, seed=meta.seed, **lens)  # type: ignore[arg-type]
        return exposure.scaled(self._scale)

    def render(
        self,
        frame: int,
        out: Path,
        depth: Path | None = None,
        listener: Listener | None = None,
        should_cancel: Callable[[], bool] = lambda: False,
        packed: bool = True,
    ) -> Path:
        """Draw one scene frame into the folder `out`; the file NAME_0001.exr, whose channel Z is depth in metres.

        Args:
            depth: a `.npz` with `depths` and `times` of `SceneDepth`, metres; None where nothing stands in front.
            packed: whether the file is compressed.

        Raises:
            Ani3DError: ``film.frames`` for a frame that cache or camera lack, ``film.depth``, ``disk.full``.
            Cancelled: when `should_cancel` says so.
        """
        head, first = self.cache.manifest, self.film.meta.frame_start
        start, end = max(head.frame_start, first), min(head.frame_end, first + len(self._cameras) - 1)
        if not start <= frame <= end:
            text = f"Frame {frame} is not among the frames {start}..{end} that cache and camera share."
            raise Ani3DError("film.frames", text, "Render frames of the result.")
        exposure = self.exposure(frame)
        opens, closes = exposure.interval(frame)
        low, high = max(math.floor(opens), start), min(math.ceil(closes), end)
        picture, far = render_in_scene(
            self.cache.gaussians(low, high).scaled(self._scale),
            self._window(low, high),
            frame,
            exposure,
            _read_depth(depth, self._scale) if depth else None,
            frame_start=low,
            tolerance=TOLERANCE * self._scale,
            progress=Progress("film", exposure.passes, listener, should_cancel),
        )
        path = out / f"{self.cache.path.stem}_{frame:04d}.exr"
        told = json.dumps({key: value for key, value in asdict(self.exposure(frame)).items() if value is not None})
        metadata: dict[str, str | int | float] = {"frame": frame, "exposure": told}
        metadata["software"] = f"ani3dhuman {__version__}"
        write_exr(path, picture, metadata=metadata, depth=np.where(far < FAR, far / self._scale, FAR), packed=packed)
        return path

    def _window(self, low: int, high: int) -> CameraPath:
        rows = slice(low - self.film.meta.frame_start, high - self.film.meta.frame_start + 1)
        return replace(self._cameras, viewmats=self._cameras.viewmats[rows], Ks=self._cameras.Ks[rows])


def _read_depth(path: Path, scale: float) -> SceneDepth:
    try:
        with np.load(path, allow_pickle=False) as file:
            depths, times = file["depths"], file["times"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise Ani3DError(
            "film.depth", f"The scene's depth {path} cannot be read ({error}).", "Render again."
        ) from error
    return SceneDepth(depths.astype(np.float32) * np.float32(scale), times.astype(np.float64))
