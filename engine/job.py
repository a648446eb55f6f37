"""What a job is: the library's pipeline behind three functions.

The server calls `check` before it takes a job; the worker process calls `run`, and `prepare` where it is told in time
which job comes. What `check` needs is imported before the engine listens, so that no request waits for it. Another
module with the same three functions can stand in
(`--job MODULE` of the worker).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ani3d_formats.coarse_pictures import CoarsePictures, missing
from ani3d_formats.progress import Report
from ani3d_formats.shot import Shot
from ani3d_formats.views import Views
from ani3dhuman.pipeline.settings import BLENDER, Settings

from .limits import check_size

if TYPE_CHECKING:
    from ani3dhuman.storage.stage_quota import SharedStages


def check(shot: dict[str, np.ndarray], settings: dict[str, Any]) -> str:
    """The shot's name, if the engine can take it.

    Raises:
        Ani3DError: `shot.*`, `views.*`, `pictures.*`, `settings.*`, `job.limit`.
    """
    chosen = Settings.from_dict(settings)
    chosen.restore.check_prior()
    checked = Shot.from_arrays(shot)
    if (views := Views.from_shot_arrays(shot)) is not None:
        views.check_fits(len(checked["vertices"]), checked.meta.character)
    pictures = CoarsePictures.from_shot_arrays(shot)
    if pictures is not None:
        pictures.check_fits(checked.meta, len(checked["vertices"]))
    elif chosen.coarse.pictures == BLENDER:
        raise missing()
    check_size(checked.meta, chosen)
    return checked.name


def prepare(preset: str) -> None:
    """Import what a job of this preset needs and load its compiled kernels. Raises Ani3DError `settings.*`."""
    from ani3dhuman.jit import load_kept
    from ani3dhuman.pipeline.work import load

    load(Settings.from_dict({"preset": preset}))
    load_kept()


def run(
    shot: dict[str, np.ndarray],
    settings: dict[str, Any],
    out: Path,
    listener: Callable[[Report], None],
    should_cancel: Callable[[], bool],
    stages: SharedStages | None,
) -> Path:
    """Animate the shot in the folder `out`, going on from finished `stages`; the folder of result files."""
    from ani3dhuman.pipeline.compile_ahead import compile_kernels  # only the worker needs these
    from ani3dhuman.pipeline.work import work

    compile_kernels(listener, should_cancel)
    chosen = Settings.from_dict(settings)
    views = Views.from_shot_arrays(shot)
    pictures = CoarsePictures.from_shot_arrays(shot)
    return work(Shot.from_arrays(shot), out, chosen, listener, should_cancel, views, stages, pictures)
