"""Gaussians of others onto a shot's character: NAME.avatar and a picture of how they were bound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot

from ..avatar.file import AvatarFile
from ..avatar.from_splats import Bound, bind_splats
from ..presentation.binding_sheet import plot_binding
from ..rigid import pose_rigid
from ..splats.splats import Splats
from ..storage.stage_store import content_key


def import_avatar(
    splats: Splats, shot: Shot, out: Path, source: str, frame: int | None = None, relight: bool = False
) -> tuple[Bound, Path]:
    """Bind Gaussians to a shot's mesh and write NAME.avatar with a picture beside it.

    Args:
        splats: in Blender's axes, metres of the scene.
        out: NAME.avatar.
        source: where they are from, for the notes.
        frame: scene frame in whose pose they stand; None for the rest pose.
        relight: let the scene's light fall on them; else they keep the light that they were seen in.

    Returns:
        What was bound, and the picture's path.

    Raises:
        Ani3DError: ``avatar.far``; ``shot.frame`` for a frame that the shot has not.
    """
    parts = np.take_along_axis(shot["weight_indices"], shot["weight_values"].argmax(1)[:, None], 1)[:, 0]
    vertices = _posed(shot, frame)
    placed = replace(splats, means=splats.means - np.asarray(shot.meta.origin, np.float32))
    bound = bind_splats(placed, vertices, shot["faces"], shot["region_ids"], parts, not relight)
    notes = {**bound.notes, "source": source, "pose": "rest" if frame is None else f"frame {frame}"}
    AvatarFile(bound.avatar, shot.name, content_key(shot["faces"], vertices), notes).save(out)
    picture = out.with_suffix(".binding.png")
    plot_binding(placed, bound, parts[shot["faces"][:, 0]], f"{source} on {shot.name}", picture)
    return bound, picture


def _posed(shot: Shot, frame: int | None) -> np.ndarray:
    """(V,3) the mesh at rest or in a scene frame, in the shot's metres."""
    if frame is None:
        return shot["vertices"]
    if not shot.meta.frame_start <= frame <= shot.meta.frame_end:
        held = f"{shot.meta.frame_start} to {shot.meta.frame_end}"
        raise Ani3DError("shot.frame", f"The shot has no frame {frame}.", f"It has {held}.")
    return pose_rigid(shot, Progress("pose", shot.frames))[frame - shot.meta.frame_start]
