"""Cloth of a shot as the engine's job makes it: pins, rigid layer, cloth, at human size; and how long it took."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from ani3d_formats.human_size import human_scale
from ani3d_formats.progress import Progress, Report
from ani3d_formats.shot import Shot
from ani3dhuman.cloth.character import sentences
from ani3dhuman.cloth.pins import find_pins
from ani3dhuman.pipeline.settings import CoarseSettings
from ani3dhuman.pipeline.stages import coarse_layer
from ani3dhuman.rigid import pose_rigid


@dataclass(frozen=True)
class Solved:
    """One shot's cloth.

    Attributes:
        vertices, rigid: (T,V,3) scene metres; pins: (V,), 1 too where nothing holds a piece.
        seconds: of the cloth alone, way in included; cpu: processor seconds of all threads.
        warnings: sentences on what follows the skeleton.
    """

    vertices: np.ndarray
    rigid: np.ndarray
    pins: np.ndarray
    seconds: float
    cpu: float
    warnings: list[str] = field(default_factory=list)

    @property
    def seconds_frame(self) -> float:
        """Seconds a frame of the shot; the way in counts as part of it."""
        return self.seconds / len(self.vertices)


def solve(shot: Shot, listener: list[Report] | None = None) -> Solved:
    """Simulate; each report of progress is appended to `listener`. Raises what the engine would."""
    scale = human_scale(shot["vertices"])
    human = shot if scale == 1 else shot.scaled(scale)
    rigid = pose_rigid(human, Progress("rigid", human.frames))
    found = find_pins(human)
    progress = Progress("cloth", 2 * human.frames, listener.append if listener is not None else None)
    began, busy = time.perf_counter(), time.process_time()
    layer = coarse_layer(human, rigid, found.weights, CoarseSettings(), progress)
    seconds, cpu = time.perf_counter() - began, time.process_time() - busy
    warnings = sentences(human, found.unheld) + layer.warnings
    back, pins = np.float32(1 / scale), found.weights.copy()
    for piece in found.unheld:
        pins[piece] = 1
    return Solved(layer.vertices * back, rigid * back, pins, seconds, cpu, warnings)
