"""The surroundings of a shot's cloth, from what the shot holds of its scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ani3d_formats.regions import is_loose
from ani3d_formats.shot import Shot

from .art_direction import ArtDirection
from .colliders import obstacle_of
from .forces import Fields
from .surroundings import Forces, Sheet, Surroundings

DOWN = np.array([0.0, 0.0, -9.81])


def surroundings_of(
    shot: Shot, skinned: np.ndarray, floor: bool = True, warn: Callable[[str], None] = lambda text: None
) -> Surroundings:
    """What the scene of a shot does to the cloth of all its vertices.

    Args:
        skinned: (T,V,3) the rigid layer, world metres.
        floor: cloth meets a floor at the lowest point of the body, unless the scene has one there.
        warn: called with a sentence on each thing that is not taken as it is.
    """
    obstacle = obstacle_of(shot, skinned, is_loose(shot["region_ids"]), floor, warn)
    gravity = shot.arrays.get("gravity", DOWN).reshape(-1, 3).astype(np.float64)
    fields: Forces | None = Fields.of_shot(shot)
    if len(gravity) > 1 and (gravity != gravity[0]).any():
        fields = Turning(gravity - gravity[0], fields)
    colliders = obstacle.vertices.shape[1] if obstacle else 0
    return Surroundings(obstacle, colliders, gravity[0], fields, ArtDirection.of_shot(shot))


@dataclass(frozen=True)
class Turning:
    """Gravity that changes: `extra` (T,3) m/s^2 beyond the first frame's, and other forces."""

    extra: np.ndarray
    others: Forces | None

    def accelerations(self, frame: float, x: np.ndarray, v: np.ndarray, sheet: Sheet) -> np.ndarray:
        """See `Surroundings.accelerations`."""
        now = self.extra[int(min(frame, len(self.extra) - 1))]
        return now + (self.others.accelerations(frame, x, v, sheet) if self.others else np.zeros(x.shape))

    def part(self, rows: np.ndarray) -> Turning:
        """The same on particles `rows` alone."""
        return Turning(self.extra, self.others.part(rows) if self.others else None)

    def played(self, frames: np.ndarray) -> Turning:
        """The same over frames (T',) of the shot."""
        return Turning(self.extra[frames], self.others.played(frames) if self.others else None)
