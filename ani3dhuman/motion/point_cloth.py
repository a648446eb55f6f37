"""The physics layer for avatars without a mesh: garment and hair as points, over a body of points."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from ..errors import Ani3DError
from ..progress import Progress
from .cloth import check
from .constraints import PINNED
from .control_nodes import ControlNodes, farthest_points
from .fabrics import FABRICS, ClothSettings
from .obstacle import Obstacle
from .point_surface import faces_of_points
from .solver import run

BODY_POINTS = 3000  # points of the body that cloth is held against
DEPTH = 1.5  # times their spacing that a point may lie under them: the surface has holes, deeper sides are guesses


def body_of_points(points: np.ndarray, rest: np.ndarray, count: int = BODY_POINTS) -> Obstacle:
    """An obstacle from a body's points (T,N,3) in world metres and at rest (N,3): `count` of them, with triangles.

    Raises:
        Ani3DError: ``points.few``, ``points.surface``.
    """
    chosen = farthest_points(rest, min(count, len(rest)))
    body = Obstacle.of_faces(points[:, chosen], faces_of_points(rest[chosen]), rest[chosen])
    if body is None:
        raise Ani3DError(
            "points.surface",
            f"The body's {len(points[0])} points do not lie on a closed surface.",
            "Give the points of the body's skin alone, without garment and hair.",
        )
    spacing = float(np.median(cKDTree(rest[chosen]).query(rest[chosen], k=2)[0][:, 1]))
    return replace(body, deepest=DEPTH * spacing)


def simulate_points(
    skinned: np.ndarray,
    rest: np.ndarray,
    pin_weights: np.ndarray,
    obstacle: Obstacle | None,
    fps: float,
    settings: ClothSettings = FABRICS["cotton"],
    nodes: int = 800,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate a cloud of Gaussians by control nodes; where a mesh exists, `cloth.simulate` is the better way.

    Args:
        skinned: (T,N,3) means as the skeleton gives them, world metres.
        rest: (N,3) means at rest.
        pin_weights: (N,) 1 on the skin .. 0 free.
        obstacle: the body, see `body_of_points`; None for none.
        fps: scene frames a second.
        settings: fabric and solver.
        nodes: control nodes, 256 to 2,000 for a garment.
        progress: advanced once a frame.

    Returns:
        Means (T,N,3) float32 and the turns from rest (T,N,4) float32 wxyz. A fully pinned point is where the skeleton
        has it; half-pinned ones lie between that and what the nodes say.

    Raises:
        Ani3DError: as `cloth.simulate`, ``nodes.points``.
        Cancelled: within one frame of the request.
    """
    check(skinned, np.zeros((0, 3), np.int64), rest, pin_weights, fps, obstacle)
    control = ControlNodes.from_points(rest, nodes)
    pins = pin_weights[control.indices]
    paths = run(
        skinned[:, control.indices], control.rest.astype(np.float32), control.constraints(pins), pins, obstacle, fps,
        settings, progress,
    )  # fmt: skip
    means, turns = np.empty(skinned.shape, np.float32), np.empty((*skinned.shape[:2], 4), np.float32)
    free = np.flatnonzero(pin_weights <= PINNED)
    kept = np.clip(pin_weights, 0, 1)[:, None] ** 2
    for t, path in enumerate(paths):
        carried, turns[t] = control.deform(path)
        means[t] = kept * skinned[t] + (1 - kept) * carried
        if obstacle is not None:  # what lies between nodes may still touch the body
            means[t, free] = obstacle.push_out(t, means[t, free], settings.thickness / 2)
    return means, turns
