"""The rigid body under the garment: how high the open vertices are over it, as a function to differentiate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..device import CPU, Compute
from ..mesh.surface import Obstacle, wanted_heights
from ..mesh.surface_tensors import SurfaceTensors
from .problem import RefinementProblem


@dataclass(frozen=True)
class Body:
    """The body in every frame; P open vertices.

    Attributes:
        obstacle: its surface.
        compute: where it is asked.
        coarse, over: (T,P,3) world metres, where the coarse layer has the open vertices, and (T,P) their heights.
        wanted: (T,P) metres each open vertex is to stay over the surface.
        weights: (T,P) 0..1, how much each counts: its gate, or 0 where the coarse layer has it too deep.
    """

    obstacle: Obstacle
    compute: Compute
    coarse: Tensor
    over: Tensor
    wanted: Tensor
    weights: Tensor

    def heights(self, frame: int, points: Tensor) -> Tensor:
        """Signed distances (P,) in metres of `points` (P,3) from the surface; negative is inside.

        The nearest point of the surface is searched anew on each call, so no vertex is held against a place it has
        left. The distance changes only along the line to that nearest point, which makes the gradient exact though
        the search is not differentiated.
        """
        fixed, surface = points.detach(), self.obstacle.at(frame)
        if self.compute.on_cpu:
            heights, away = (torch.from_numpy(found) for found in surface.heights(fixed.numpy()))
        else:
            heights, away = SurfaceTensors.of(surface, self.compute).heights(fixed)
        return heights + ((points - fixed) * away).sum(-1)

    def low_heights(self, frame: int, points: Tensor) -> Tensor:
        """Heights (P,) of the open vertices at `points` (P,3), or the wanted ones where they cannot be lower.

        A vertex comes no nearer to the surface than it has moved, and most of a skirt hangs far from it: what need not
        be searched for is not.
        """
        moved = (points.detach() - self.coarse[frame]).norm(dim=1)
        low = (self.over[frame] - moved < self.wanted[frame]).nonzero()[:, 0]
        return self.wanted[frame].index_put((low,), self.heights(frame, points[low]))


def build_body(
    problem: RefinementProblem, check_cancelled: Callable[[], None] = lambda: None, compute: Compute = CPU
) -> Body | None:
    """The body of `problem` against its open vertices; None where it names no body.

    A vertex that the coarse layer has deeper inside than `Obstacle.deepest` is left alone: it belongs to another side.
    `check_cancelled` is called for every frame and may raise, to stop.
    """
    if problem.body_faces is None:
        return None
    coarse = np.ascontiguousarray(problem.coarse_vertices, np.float32)
    obstacle = Obstacle.of_faces(coarse, problem.body_faces.astype(np.int64))
    if obstacle is None:
        return None
    open_ids = np.flatnonzero(problem.gates > 0)
    heights = []
    for t in range(problem.frames):
        check_cancelled()
        heights.append(obstacle.at(t).heights(coarse[t, open_ids])[0])
    over = np.stack(heights)
    return Body(
        obstacle,
        compute,
        compute.tensor(coarse[:, open_ids]),
        compute.tensor(over),
        wanted=compute.tensor(wanted_heights(over)),
        weights=compute.tensor(problem.gates[open_ids] * (over > -obstacle.deepest)),
    )
