"""Which work a job is, by its settings; what that work needs is loaded then, and no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ani3d_formats.coarse_pictures import CoarsePictures
from ani3d_formats.shot import Shot
from ani3d_formats.views import Views

from ..storage.stage_quota import SharedStages
from .job import Listener
from .settings import CLOTH, Settings


def load(settings: Settings) -> None:
    """Import what a job of these settings needs, so that it begins at once."""
    if settings.result == CLOTH:
        from . import cloth_only  # noqa: F401
    else:
        from . import animate  # noqa: F401


def work(
    shot: Shot,
    out: Path,
    settings: Settings,
    listener: Listener | None = None,
    should_cancel: Callable[[], bool] = lambda: False,
    views: Views | None = None,
    stages: SharedStages | None = None,
    pictures: CoarsePictures | None = None,
) -> Path:
    """Do a job: `animate`, or `cloth_only` where the settings' result is cloth; arguments as of `animate`."""
    if settings.result == CLOTH:
        from .cloth_only import cloth_only

        return cloth_only(shot, out, settings, listener, should_cancel, stages)
    from .animate import animate  # heavy

    return animate(shot, out, settings, listener, should_cancel, views, stages, pictures)
