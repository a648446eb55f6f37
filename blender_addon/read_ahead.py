# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the next frames of results need while they play, so that Blender finds it in memory.

Mesh Cache modifiers read a frame's points when the frame comes, and the animation waits for the drive. A thread reads
the same bytes some frames earlier, which leaves them in the system's memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Full, Queue
from threading import Thread
from typing import Any, cast

import bpy
from bpy.app.handlers import persistent

from ani3d_formats.pc2 import HEADER, MAGIC

from . import playback

AHEAD = 4  # frames
PAUSE = 1.0  # seconds without a frame after which it is asked anew which files play
POINT = 12  # bytes


@dataclass(frozen=True)
class Played:
    """A file that shows sample `scale` times the scene's frame - `start`, in a `loop` or once."""

    file: Path
    scale: float
    start: float
    loop: bool


class ReadAhead:
    """A thread that reads; what it is asked for while it is at work it leaves, so that it is never late."""

    def __init__(self) -> None:
        self.bytes = 0  # that were read in all
        self._wishes: Queue[tuple[Sequence[Played], Sequence[float]] | None] = Queue(1)
        self._thread: Thread | None = None
        self._read: set[tuple[Path, int]] = set()  # file and sample, by the wish before

    def want(self, files: Sequence[Played], frames: Sequence[float]) -> None:
        """Have the samples that `files` show at `frames`, the next one first, read; returns at once."""
        if self._thread is None:
            self._thread = Thread(target=self._serve, name="read ahead", daemon=True)
            self._thread.start()
        with suppress(Full):
            self._wishes.put_nowait((files, frames))

    def end(self, seconds: float = 2.0) -> None:
        """Have the thread read what it was asked for and end; a drive that hangs is left after so many seconds."""
        if self._thread is not None:
            with suppress(Full):
                self._wishes.put(None, timeout=seconds)
                self._thread.join(seconds)
            self._thread = None

    def _serve(self) -> None:
        while wish := self._wishes.get():
            files, frames = wish
            before, self._read = self._read, set()
            for frame in frames:
                for played in files:
                    with suppress(OSError):  # the panel says what is wrong with the file
                        self._take(played, frame, before)

    def _take(self, played: Played, frame: float, before: set[tuple[Path, int]]) -> None:
        with open(played.file, "rb", buffering=0) as file:
            header = file.read(HEADER.size)
            if len(header) < HEADER.size or not header.startswith(MAGIC):
                return
            _, _, points, _, _, samples = HEADER.unpack(header)
            for sample in samples_at(played, frame, samples):
                place = played.file, sample
                if place not in before and place not in self._read:
                    file.seek(HEADER.size + sample * points * POINT)
                    self.bytes += len(file.read(points * POINT))
                self._read.add(place)


def samples_at(played: Played, frame: float, samples: int) -> list[int]:
    """Which of a file's `samples` a frame of the scene shows: one, or the two that it lies between."""
    if samples < 1:
        return []
    place = frame * played.scale - played.start
    place = place % samples if played.loop else min(max(place, 0.0), samples - 1.0)
    first = int(place)
    return [first] if place == first or first + 1 >= samples else [first, first + 1]


def files_played(scene: bpy.types.Scene) -> Iterator[Played]:
    """The files of results that `scene` shows and that change with its frame."""
    for item in (each for each in scene.objects if cast(Any, each).ani3d.kind != "NONE"):
        for owner, modifier in playback.players_for(item):
            shown = owner if owner.name in scene.objects else item  # points that only nodes read are in no scene
            if shown.name in scene.objects and shown.visible_get() and (played := played_by(owner, modifier)):
                yield played


def played_by(owner: bpy.types.Object, modifier: bpy.types.MeshCacheModifier) -> Played | None:
    """What a modifier plays; None where it stands still."""
    loop = modifier.play_mode == "CUSTOM"
    if loop and owner.animation_data is None:  # no driver
        return None
    return Played(playback.file_of(owner, modifier), modifier.frame_scale, modifier.frame_start, loop)


def coming(scene: bpy.types.Scene, step: int) -> list[float]:
    """The next frames of an animation that goes on by `step`, over the end of its range to the start."""
    preview = scene.use_preview_range
    first = scene.frame_preview_start if preview else scene.frame_start
    length = (scene.frame_preview_end if preview else scene.frame_end) - first + 1
    return [first + (scene.frame_current + step * (each + 1) - first) % length for each in range(AHEAD)]


class _Playing:
    """Which files play, and how the animation goes."""

    def __init__(self) -> None:
        self.reader = ReadAhead()
        self._files: Sequence[Played] = ()
        self._seen, self._frame = 0.0, 0

    def see(self, scene: bpy.types.Scene) -> None:
        """A frame of `scene` was shown: read for the next ones."""
        now, step = time.monotonic(), scene.frame_current - self._frame
        if now - self._seen > PAUSE:
            self._files = tuple(files_played(scene))
        self._seen, self._frame = now, scene.frame_current
        if self._files:
            self.reader.want(self._files, coming(scene, -1 if step == -1 else 1))


playing = _Playing()


@persistent
def _on_frame(scene: bpy.types.Scene, *_graph: Any) -> None:
    if any(window.screen.is_animation_playing for window in bpy.context.window_manager.windows):
        playing.see(scene)


def register() -> None:
    bpy.app.handlers.frame_change_post.append(_on_frame)


def unregister() -> None:
    bpy.app.handlers.frame_change_post.remove(_on_frame)
    playing.reader.end()
