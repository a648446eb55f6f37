"""What a job may ask of the machine: too much is refused when it is submitted, not after hours or by a full memory."""

from __future__ import annotations

from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot_meta import ShotMeta
from ani3dhuman.pipeline.settings import CLOTH, Settings

MAX_PICTURE = 64_000_000  # pixels of one picture, such as 8,000 x 8,000
MAX_PIXELS = 20_000_000_000  # of all pictures of a shot, such as 10,000 frames of 1920 x 1080
MAX_POINTS = 5_000_000_000  # Gaussians times frames, such as 500,000 in 10,000 frames


def check_size(meta: ShotMeta, settings: Settings) -> None:
    """Raise Ani3DError `job.limit` for a job beyond what any machine of today could be asked for by mistake."""
    if settings.result == CLOTH:  # no pictures and no Gaussians are made
        return
    scale, gaussians, frames = settings.avatar.render_scale, settings.avatar.gaussians, meta.frames
    width, height = round(meta.width * scale), round(meta.height * scale)
    asked = (
        (width * height, MAX_PICTURE, f"pictures of {width:,} x {height:,} pixels"),
        (width * height * frames, MAX_PIXELS, f"{frames:,} pictures of {width:,} x {height:,} pixels"),
        (gaussians * frames, MAX_POINTS, f"{gaussians:,} Gaussians in {frames:,} frames"),
    )
    for count, most, what in asked:
        if count > most:
            raise Ani3DError(
                "job.limit",
                f"The job asks for {what}: {count:,}, and {most:,} is the most.",
                "Choose a smaller picture, a lower render_scale, fewer Gaussians, or fewer frames at once.",
            )
