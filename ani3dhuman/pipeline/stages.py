"""Stages as pure functions; `coarse` and `animate` decide what has to run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress
from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot

from ..cloth.character import simulate_shot
from ..cloth.fabrics import FABRICS
from ..cloth.loops import simulated_loop
from ..cloth.scene import surroundings_of
from ..cloth.surroundings import Shown
from ..device import CPU_NAME
from .settings import CoarseSettings

Show = Callable[[int, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Layer:
    """A layer of motion: vertices (T,V,3), world metres, and sentences on what was not done as asked."""

    vertices: np.ndarray
    warnings: list[str] = field(default_factory=list)


def picture_size(shot: Shot, scale: float) -> tuple[int, int]:
    """Width and height of the shot's pictures scaled, in whole pixels."""
    width, height = (max(8, round(side * scale)) for side in (shot.meta.width, shot.meta.height))
    return width, height


def coarse_layer(
    shot: Shot,
    rigid: np.ndarray,
    pins: np.ndarray,
    settings: CoarseSettings,
    progress: Progress,
    show: Show | None = None,
    device: str = CPU_NAME,
) -> Layer:
    """The coarse layer.

    By `settings.layer`: "physics": garment and hair swing by their pin weights `pins` (V,), the rest stays as `rigid`
    (T,V,3) has it; "rigid": all does; "evaluated": what Blender showed, body and face included. `show` is called with
    each frame that is simulated, vertices (P,) and their places (P,3). Cloth is solved on `device`, as of
    `Compute.device`.

    Raises:
        Ani3DError: ``shot.not_evaluated``, see `evaluated_layer`.
    """
    if settings.layer == "physics":
        warnings: list[str] = []
        around = surroundings_of(shot, rigid, settings.floor, warnings.append)
        everyone = np.arange(len(pins))
        shown = Shown(show, everyone, everyone) if show else None
        around = replace(around, way_in=settings.way_in, shown=shown, device=device)

        def simulate(clip: np.ndarray, frames: np.ndarray) -> np.ndarray:
            scene = around.played(frames) if settings.loop else around
            return simulate_shot(shot, clip, pins, FABRICS[settings.fabric], progress, warnings.append, scene)

        if settings.loop:
            vertices = simulated_loop(rigid, simulate, is_loose(shot["region_ids"]), warnings.append)
        else:
            vertices = simulate(rigid, np.arange(len(rigid)))
        return Layer(vertices, warnings)
    progress.advance(progress.total)
    return Layer(rigid if settings.layer == "rigid" else evaluated_layer(shot))


def evaluated_layer(shot: Shot) -> np.ndarray:
    """Vertices (T,V,3) as Blender showed them, world metres.

    Raises:
        Ani3DError: ``shot.not_evaluated``: the shot was exported without them.
    """
    if "evaluated_vertices" not in shot.arrays:
        raise Ani3DError(
            "shot.not_evaluated",
            f"The shot '{shot.name}' does not hold the meshes as Blender shows them.",
            "Set Coarse to Evaluated mesh in Blender and export the shot again, or choose another coarse layer.",
        )
    return shot["evaluated_vertices"]


def keypoint_names(file: str) -> dict[str, Any] | None:
    """The map from keypoints to bones in a file, or None for "".

    Raises:
        Ani3DError: ``keypoints.file``: it is not a JSON object.
    """
    if not file:
        return None
    try:
        names = json.loads(Path(file).read_text(encoding="utf-8"))
        if not isinstance(names, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        raise Ani3DError(
            "keypoints.file",
            f"The keypoint map {file} cannot be read ({error}).",
            'Write it as JSON, such as {"left_wrist": "paw.L", "left_ear": null}.',
        ) from error
    return {key: tuple(value) if isinstance(value, list) else value for key, value in names.items()}
