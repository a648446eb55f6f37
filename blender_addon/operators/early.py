# SPDX-License-Identifier: GPL-3.0-or-later
"""Show First Frames: what a job of cloth alone has simulated so far, put into the scene while it goes on."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial

import bpy
import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import CacheWriter
from ani3d_formats.shot_meta import ShotMeta
from engine.wire import Client

from .. import import_result
from ..paths import output_folder
from ..properties import shot_file
from ..sentence import said
from ..session import session
from ..wording import reported
from .base import WaitsForWork
from .job import engine_missing, last_job

MARK = "_first_frames"  # ends the names of such results


class ShowFirstFrames(WaitsForWork, bpy.types.Operator):
    """Put the frames that are simulated so far into the scene; the finished result takes their place"""

    bl_idname = "ani3d.show_first_frames"
    bl_label = "Show First Frames"

    @classmethod
    def why_not(cls, _context: bpy.types.Context) -> str:
        return engine_missing()

    def begin(self, context: bpy.types.Context) -> Future[np.ndarray]:
        self._job, path = last_job(context), shot_file(context)
        if not path.is_file():
            raise Ani3DError(
                "shot.file_missing", said("There is no shot file at {path}.", path=path), "Wait for the whole result."
            )
        with np.load(path, allow_pickle=False) as shot:
            self._meta = ShotMeta.parse(shot["meta"])
        count = self._meta.objects[-1].rows.stop
        return session.current().transfer(partial(_early, job=self._job, vertices=count))

    def finish(self, context: bpy.types.Context, frames: np.ndarray) -> None:
        if len(frames) < 2:
            raise Ani3DError("early.none", "No frames are ready yet.", "Try again in a moment.")
        meta, first = self._meta, self._meta.frame_start
        folder = output_folder(context) / f"{self._job}{MARK}" / f"{meta.name}{MARK}.ani3d"
        folder.parent.mkdir(parents=True, exist_ok=True)
        last = first + len(frames) - 1
        with CacheWriter(
            folder, count=0, frame_start=first, frame_end=last, fps=meta.fps, origin=meta.origin
        ) as writer:
            for frame in frames:
                writer.frame({}, {item.name: frame[item.rows] for item in meta.objects})
        import_result.import_result(context, folder, on_warning=self.warn)
        self.say(reported("Frames {first} to {last} are there.", first=first, last=last))


def _early(client: Client, job: str, vertices: int) -> np.ndarray:
    return client.early_frames(job, vertices)


def forget_first_frames() -> None:
    """Take first frames out of the scene, as the whole result comes."""
    for name in import_result.result_names():
        if MARK in name:
            import_result.remove_result(name)
