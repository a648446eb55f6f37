"""The rigid body under the garment: how high the open vertices are over it, as a function to differentiate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..mesh.surface import Obstacle, wanted_heights
from .problem import RefinementProblem


@dataclass(frozen=True)
class Body:
    """The body in every frame; P open vertices.

    Attributes:
        obstacle: its surface.
        coarse, over: (T,P,3) world metres, where the coarse layer has the open vertices, and (T,P) their heights.
        wanted: (T,P) metres each open vertex is to stay over the surface.
        weights: (T,P) 0..1, how much each counts: its gate, or 0 where the coarse layer has it too deep.
    """

    obstacle: Obstacle
    coarse: np.ndarray
    over: np.ndarray
    wanted: Tensor
    weights: Tensor

    def heights(self, frame: int, points: Tensor) -> Tensor:
        """Signed distances (P,) in metres of `points` (P,3) from the surface; negative is inside.

        The nearest point of the surface is searched anew on each call, so no vertex is held against a place it has
        left. The distance changes only along the line to that nearest point, which makes the gradient exact though
        the search is not differentiated.
        """
        fixed = points.detach()
        heights, away = self.obstacle.at(frame).heights(fixed.numpy())
        return torch.from_numpy(heights) + ((points - fixed) * torch.from_numpy(away)).sum(-1)

    def low_heights(self, frame: int, points: Tensor) -> Tensor:
        """Heights (P,) of the open vertices at `points` (P,3), or the wanted ones where they cannot be lower.

        A vertex comes no nearer to the surface than it has moved, and most of a skirt hangs far from it: what need not
        be searched for is not.
        """
        moved = np.linalg.norm(points.detach().numpy() - self.coarse[frame], axis=1)
        low = torch.from_numpy(np.flatnonzero(self.over[frame] - moved < self.wanted[frame].numpy()))
        return self.wanted[frame].index_put((low,), self.heights(frame, points[low]))


def build_body(problem: RefinementProblem, check_cancelled: Callable[[], None] = lambda: None) -> Body | None:
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
        coarse[:, open_ids],
        over,
        wanted=torch.from_numpy(wanted_heights(over)),
        weights=torch.from_numpy((problem.gates[open_ids] * (over > -obstacle.deepest)).astype(np.float32)),
    )
