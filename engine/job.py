"""What a job is: the library's pipeline behind two functions.

The server calls `check` before it takes a job; the worker process calls `run`. What `check` needs is imported before
the engine listens, so that no request waits for it. Another module with the same two functions can stand in
(`--job MODULE` of the worker).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.progress import Report
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.settings import Settings


def check(shot: dict[str, np.ndarray], settings: dict[str, Any]) -> str:
    """The shot's name, if the engine can take it. Raises Ani3DError `shot.*` or `settings.*`."""
    Settings.from_dict(settings).restore.check_prior()
    return Shot.from_arrays(shot).name


def run(
    shot: dict[str, np.ndarray],
    settings: dict[str, Any],
    out: Path,
    listener: Callable[[Report], None],
    should_cancel: Callable[[], bool],
) -> Path:
    """Animate the shot in the folder `out`, going on from stages that lie there; the folder of result files."""
    from ani3dhuman.pipeline.animate import animate  # heavy, and only the worker needs it

    return animate(Shot.from_arrays(shot), out, Settings.from_dict(settings), listener, should_cancel)
