"""Gaussians of others onto a shot's character: NAME.avatar and a picture of how they were bound."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import write_bytes
from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3d_formats.regions import REGIONS
from ani3d_formats.shot import Shot

from ..avatar.file import AvatarFile
from ..avatar.from_mesh import rest_bends, rest_shapes, with_surface_of
from ..avatar.from_splats import Bound, bind_splats, binding_steps
from ..presentation.binding_sheet import plot_binding
from ..rigid import pose_rigid
from ..splats.splats import Splats
from ..storage.stage_store import content_key


@dataclass(frozen=True)
class Box:
    """Gaussians between two corners (3,), metres of the scene, get a label that the mesh does not give them.

    Raises:
        Ani3DError: ``avatar.box`` for a label that does not exist, or a box that holds nothing.
    """

    region: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.region not in REGIONS or not all(a < b for a, b in zip(self.low, self.high, strict=True)):
            raise Ani3DError(
                "avatar.box",
                f"The box {self.region}, {self.low} to {self.high}, is none.",
                f"Name one of {', '.join(REGIONS)}, and give the lower corner first.",
            )


def import_avatar(
    splats: Splats,
    shot: Shot,
    out: Path,
    source: str,
    frame: int | None = None,
    relight: bool = False,
    boxes: Sequence[Box] = (),
    progress: Progress | None = None,
) -> tuple[Bound, Path]:
    """Bind Gaussians to a shot's mesh and write NAME.avatar, with a picture and a table of the binding beside it.

    Args:
        splats: in Blender's axes, metres of the scene.
        out: NAME.avatar.
        source: where they are from, for the notes.
        frame: scene frame in whose pose they stand; None for the rest pose.
        relight: let the scene's light fall on them, with the mesh's gloss and normals; else they keep the light that
            they were seen in.
        boxes: labels of the Gaussians in them, in the place of those of the mesh; the last one counts.
        progress: gets its number of steps here.

    Returns:
        What was bound, and the picture's path.

    Raises:
        Ani3DError: ``avatar.far``; ``shot.frame`` for a frame that the shot has not.
        Cancelled: before anything is written.
    """
    progress = progress or Progress("bind", 1)
    progress.total = binding_steps(splats.count) + 1
    parts = np.take_along_axis(shot["weight_indices"], shot["weight_values"].argmax(1)[:, None], 1)[:, 0]
    vertices = _posed(shot, frame)
    placed = replace(splats, means=splats.means - np.asarray(shot.meta.origin, np.float32))
    bound = bind_splats(placed, vertices, shot["faces"], shot["region_ids"], parts, not relight, progress)
    if bound.avatar.harmonics is None:  # axes that turn in the cloth would turn colours by view with them
        at_rest = {"rest_shapes": rest_shapes(shot, vertices), "rest_bends": rest_bends(shot, vertices)}
        binding = replace(bound.avatar.binding, **at_rest)
        bound = replace(bound, avatar=replace(bound.avatar, binding=binding))
    if relight:
        bound = replace(bound, avatar=with_surface_of(shot, bound.avatar))
    bound = _labelled(bound, splats.means[bound.kept], boxes)
    notes = {**bound.notes, "source": source, "pose": "rest" if frame is None else f"frame {frame}"}
    progress.advance(message="picture")
    AvatarFile(bound.avatar, shot.name, content_key(shot["faces"], vertices), notes).save(out)
    picture, face_parts = out.with_suffix(".binding.png"), parts[shot["faces"][:, 0]]
    plot_binding(placed, bound, face_parts, f"{source} on {shot.name}", picture)
    table = {"notes": notes, "parts": binding_table(bound, face_parts, shot.meta.bones)}
    write_bytes(out.with_suffix(".binding.json"), (json.dumps(table, indent=1) + "\n").encode())
    return bound, picture


def _labelled(bound: Bound, means: np.ndarray, boxes: Sequence[Box]) -> Bound:
    if not boxes:
        return bound
    labels, within = bound.avatar.region_ids.copy(), np.zeros(len(means), bool)
    for box in boxes:
        inside = ((means >= np.array(box.low)) & (means <= np.array(box.high))).all(1)
        labels[inside], within = REGIONS.index(box.region), within | inside
    notes = {**bound.notes, "labelled by boxes": int(within.sum())}
    return replace(bound, avatar=replace(bound.avatar, region_ids=labels), notes=notes)


def binding_table(bound: Bound, face_parts: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """For each part of the body, the least certain first: Gaussians, share that is uncertain, distances in mm.

    Args:
        face_parts: (F,) the row in `names` of each face's part.
    """
    parts = face_parts[bound.avatar.binding.triangle_ids.numpy()]
    rows = []
    for part in np.unique(parts):
        own = parts == part
        middle, most = 1000 * np.percentile(bound.distances[own], (50, 95))
        row = {
            "part": names[part],
            "gaussians": int(own.sum()),
            "uncertain": round(float(bound.uncertain[own].mean()), 4),
        }
        rows.append({**row, "median_mm": round(float(middle), 2), "95_percent_mm": round(float(most), 2)})
    return sorted(rows, key=lambda row: -row["uncertain"] * row["gaussians"])


def _posed(shot: Shot, frame: int | None) -> np.ndarray:
    """(V,3) the mesh at rest or in a scene frame, in the shot's metres."""
    if frame is None:
        return shot["vertices"]
    row = row_of(shot, frame)
    return pose_rigid(shot, Progress("pose", shot.frames))[row]


def row_of(shot: Shot, frame: int) -> int:
    """Where a scene frame is in the shot's arrays. Raises `Ani3DError` ``shot.frame`` where it is not."""
    if not shot.meta.frame_start <= frame <= shot.meta.frame_end:
        held = f"{shot.meta.frame_start} to {shot.meta.frame_end}"
        raise Ani3DError("shot.frame", f"The shot has no frame {frame}.", f"It has {held}.")
    return frame - shot.meta.frame_start
