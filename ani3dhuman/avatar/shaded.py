"""Colours of a lit clip, kept in a file for who asks again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np

from ..rendering.light_sources import Lighting
from ..storage.frames_on_disk import Computed, FrameFile, Frames, made_when_asked
from .avatar import Avatar
from .shading import as_captured, key_of_shades, shades

KEPT = 3  # clips
_kept: OrderedDict[bytes, Frames] = OrderedDict()  # a job asks for the colours of most layers two or three times
_keeping = Lock()  # layers are drawn beside each other


@contextmanager
def shades_of_one_job() -> Iterator[None]:
    """Let the files go at the end, however it comes: the process may wait long for another job."""
    try:
        yield
    finally:
        _kept.clear()


def shaded_frames(
    avatar: Avatar, vertices: np.ndarray, lighting: Lighting, eyes: np.ndarray, scratch: Path | None = None
) -> Frames:
    """Colours (T,N,3) as of `shading.shades`, each frame made when it, or one after it, is first asked for.

    `scratch` is the folder of files; None takes the system's.
    """
    shape = (len(vertices), avatar.count, 3)
    if avatar.is_lit:
        if avatar.harmonics is None:
            colors = as_captured(avatar, vertices[0], eyes[0])
            return Computed(shape, np.float32, lambda t: colors)
        return Computed(shape, np.float32, lambda t: as_captured(avatar, vertices[t], eyes[t]))
    vertices = np.ascontiguousarray(vertices, np.float32)
    key = key_of_shades(avatar, vertices, lighting, eyes)
    with _keeping:
        if key not in _kept:
            file = FrameFile(shape, np.float32, packed=False, folder=scratch)
            coming = ((colors,) for colors in shades(avatar, vertices, lighting, eyes))
            (_kept[key],) = made_when_asked(coming, [file])
        _kept.move_to_end(key)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
        return _kept[key]
