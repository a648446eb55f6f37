"""What cloth meets beside its own fabric: the body and the scene's colliders, gravity, wind and force fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..device import CPU_NAME
from ..mesh.surface import Obstacle
from .art_direction import ArtDirection
from .preroll import FROM_REST


@dataclass(frozen=True)
class Sheet:
    """P particles as forces meet them.

    Attributes:
        faces: (F,3) triangles, that have areas and sides for the wind; none for strands.
        masses: (P,) kilograms.
    """

    faces: np.ndarray
    masses: np.ndarray

    @classmethod
    def of(cls, faces: np.ndarray, rest: np.ndarray, density: float) -> Sheet:
        """Of faces (F,3) over a rest shape (P,3), by kilograms a square metre; what has no face has the mean mass."""
        areas = np.linalg.norm(np.cross(*(rest[faces[:, k]] - rest[faces[:, 0]] for k in (1, 2))), axis=1) / 2
        masses = density / 3 * np.bincount(faces.ravel(), np.repeat(areas, 3), len(rest))
        massive = masses > 0
        masses[~massive] = masses[massive].mean() if massive.any() else 1.0
        return cls(faces, masses)


@dataclass(frozen=True)
class Shown:
    """Who watches the simulation while it runs: `sink` is called with a frame, vertices (Q,) and their places (Q,3).

    `particles`: (Q,) which particle each of the vertices `rows` (Q,) goes with.
    """

    sink: Callable[[int, np.ndarray, np.ndarray], None]
    rows: np.ndarray
    particles: np.ndarray

    def part(self, rows: np.ndarray) -> Shown:
        """The same of particles `rows` alone."""
        index = np.full(int(max(rows.max(initial=-1), self.particles.max(initial=-1))) + 1, -1)
        index[rows] = np.arange(len(rows))
        particles = index[self.particles]
        return Shown(self.sink, self.rows[particles >= 0], particles[particles >= 0])

    def __call__(self, frame: int, x: np.ndarray) -> None:
        self.sink(frame, self.rows, x[self.particles])


class Forces(Protocol):
    """Whatever pushes cloth at a distance."""

    def accelerations(self, frame: float, x: np.ndarray, v: np.ndarray, sheet: Sheet) -> np.ndarray:
        """See `Surroundings.accelerations`."""

    def part(self, rows: np.ndarray) -> Forces:
        """The same on particles `rows` alone."""

    def played(self, frames: np.ndarray) -> Forces:
        """The same over frames (T',) of the shot."""


@dataclass(frozen=True)
class Surroundings:
    """What the solver is told of the scene.

    Attributes:
        obstacle: triangles that cloth must not enter, the body's first, then the colliders'; None for none.
        colliders: how many of the obstacle's points, the last ones, are no part of the body: in the way in they stay
            where the first frame has them, but for the motion that the character comes in with.
        gravity: (3,) m/s^2, world space; None for what the fabric says, straight down.
        forces: wind and force fields; None for none.
        direction: an artist's wishes for the particles; None for none.
        way_in: how the shot begins, of `preroll.WAYS_IN`.
        shown: is called with each frame as it is simulated; None for nobody.
        skin: the body without what is worn over it, where the obstacle holds that too; None where it does not.
        until: called with a frame before that is looked at: what lies beneath may be simulated meanwhile, and is then
            written where the obstacle and the skeleton's positions have it; None where all is there.
        device: where substeps are solved, as of `Compute.device`.
    """

    obstacle: Obstacle | None = None
    colliders: int = 0
    gravity: np.ndarray | None = None
    forces: Forces | None = None
    direction: ArtDirection | None = None
    way_in: str = FROM_REST
    shown: Shown | None = None
    skin: Obstacle | None = None
    until: Callable[[int], None] | None = None
    device: str = CPU_NAME

    def part(self, rows: np.ndarray) -> Surroundings:
        """The surroundings of particles `rows` alone."""
        return replace(
            self,
            forces=self.forces.part(rows) if self.forces else None,
            direction=self.direction.part(rows) if self.direction else None,
            shown=self.shown.part(rows) if self.shown else None,
        )

    def watched(self, watch: Callable[[int, np.ndarray], None], rows: np.ndarray) -> Surroundings:
        """These surroundings, of which `watch` is shown each frame too, its particles `rows` (N,) alone."""
        others = self.shown

        def sink(frame: int, shown: np.ndarray, places: np.ndarray) -> None:
            watch(frame, places)
            if others:
                others.sink(frame, shown, places)

        return replace(self, shown=Shown(sink, rows, rows))

    def played(self, frames: np.ndarray) -> Surroundings:
        """The surroundings over frames (T',) of the shot, each of which may come more than once."""
        obstacle, direction = self.obstacle, self.direction
        if obstacle is not None:
            obstacle = replace(obstacle, vertices=obstacle.vertices[frames])
        if direction is not None and len(direction.strength) > 1:
            direction = replace(direction, strength=direction.strength[frames])
        forces = self.forces.played(frames) if self.forces else None
        return replace(self, obstacle=obstacle, forces=forces, direction=direction, shown=None)

    def over(self, body: Obstacle | None, skin: Obstacle | None = None) -> Surroundings:
        """These surroundings, whose obstacle holds colliders alone, with a body in front of them; `skin`: see there."""
        if body is None or self.obstacle is None:
            return replace(self, obstacle=body or self.obstacle, skin=skin)
        return replace(self, obstacle=_joined(body, self.obstacle), skin=skin)

    def accelerations(self, frame: float, x: np.ndarray, v: np.ndarray, sheet: Sheet) -> np.ndarray | None:
        """What forces and fields add to gravity.

        Args:
            frame: counted from the shot's first, which is 0; below 0 in the way in.
            x, v: (P,3) metres, metres a second.
            sheet: what the particles are.

        Returns:
            (P,3) float32 m/s^2, or None where nothing pushes.
        """
        total = None
        if self.forces is not None:
            total = self.forces.accelerations(max(frame, 0.0), x, v, sheet)
        if self.direction is not None and self.gravity is not None and (self.direction.weight != 1).any():
            lighter = (self.direction.weight[:, None] - 1) * self.gravity
            total = lighter if total is None else total + lighter
        return None if total is None else total.astype(np.float32)


NOTHING = Surroundings()


def _joined(body: Obstacle, colliders: Obstacle) -> Obstacle:
    faces = np.concatenate([body.faces, colliders.faces + body.vertices.shape[1]])
    rest = None if body.rest is None else np.concatenate([body.rest, colliders.vertices[0]])
    rough = [-np.ones(len(m.faces)) if m.friction is None else m.friction for m in (body, colliders)]
    part = np.zeros(colliders.vertices.shape[1], int) if colliders.part is None else colliders.part
    return replace(
        body,
        part=np.concatenate([np.full(body.vertices.shape[1], -1), part]),
        friction=np.concatenate(rough),
        vertices=np.concatenate([body.vertices, colliders.vertices], 1),
        faces=faces,
        rest=rest,
    )
