"""One piece of cloth simulated over a body.

Every vertex has a pin weight: 1 keeps it on the skin (waistband, scalp), 0 lets it fly. What the skin says is the goal,
the body is the obstacle, XPBD does the rest.
"""

from __future__ import annotations

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.progress import Progress

from ..mesh.surface import Obstacle
from .constraints import Constraints
from .fabrics import FABRICS, ClothSettings
from .solver import run
from .surroundings import Surroundings
from .worn import Worn


def simulate(
    skinned: np.ndarray,
    faces: np.ndarray,
    bind_vertices: np.ndarray,
    pin_weights: np.ndarray,
    surroundings: Surroundings | None,
    fps: float,
    settings: ClothSettings = FABRICS["generic"],
    progress: Progress | None = None,
) -> np.ndarray:
    """Simulate one garment over a clip.

    Args:
        skinned: (T,P,3) positions the skeleton gives, world metres.
        faces: (F,3) triangles of the garment; several islands and faces without area are fine.
        bind_vertices: (P,3) bind pose, which gives the rest lengths.
        pin_weights: (P,) 1 on the skin .. 0 free.
        surroundings: body and colliders, with as many frames, gravity and forces; None for nothing but gravity.
        fps: scene frames a second.
        settings: fabric and solver.
        progress: advanced once a frame.

    Returns:
        (T,P,3) float32 world positions. Frames without any free vertex equal `skinned`.

    Raises:
        Ani3DError: ``cloth.shape``, ``cloth.faces``, ``cloth.not_finite``, ``cloth.fps``, ``cloth.unstable``.
        Cancelled: within one frame of the request.
    """
    check(skinned, faces, bind_vertices, pin_weights, fps, surroundings.obstacle if surroundings else None)
    constraints = Constraints.of_mesh(faces, bind_vertices, pin_weights)
    worn = Worn.of(settings, len(bind_vertices))
    moved = run(skinned, bind_vertices, constraints, pin_weights, surroundings, fps, worn, progress)
    broken = ~np.isfinite(moved).all((1, 2))
    if broken.any():
        frame = int(broken.argmax())
        raise Ani3DError(
            "cloth.unstable",
            f"The cloth blew up in frame {frame} of the shot." if frame else "The cloth blew up before the shot began.",
            "Look for a jump in the animation there, or choose a fabric with more substeps.",
        )
    return moved


def check(
    skinned: np.ndarray,
    faces: np.ndarray,
    rest: np.ndarray,
    pin_weights: np.ndarray,
    fps: float,
    obstacle: Obstacle | None = None,
) -> None:
    """Raise the `Ani3DError` of `simulate` for arrays that do not fit together or are not finite."""
    count = len(rest)
    if skinned.ndim != 3 or skinned.shape[1:] != (count, 3) or len(skinned) == 0 or pin_weights.shape != (count,):
        raise Ani3DError(
            "cloth.shape",
            f"Skinned positions {skinned.shape}, rest pose {rest.shape} and pin weights {pin_weights.shape} differ.",
            "Give (T,P,3), (P,3) and (P,) for the same P vertices and at least one frame.",
        )
    if len(faces) and (faces.min() < 0 or faces.max() >= count):
        raise Ani3DError(
            "cloth.faces",
            f"A face names vertex {faces.max() if faces.max() >= count else faces.min()} of {count}.",
            "Vertex indices run from 0 to the number of vertices less 1.",
        )
    if not (np.isfinite(fps) and fps > 0):
        raise Ani3DError("cloth.fps", f"fps is {fps!r}.", "Give the scene's frames a second, above 0.")
    for name, values in (("skinned positions", skinned), ("bind pose", rest), ("pin weights", pin_weights)):
        if not np.isfinite(values).all():
            raise _not_finite_error(name, values)
    if obstacle is not None and len(obstacle.vertices) != len(skinned):
        raise Ani3DError(
            "cloth.shape",
            f"The body has {len(obstacle.vertices)} frames and the garment {len(skinned)}.",
            "Give both for the same frames.",
        )
    if obstacle is not None and not np.isfinite(obstacle.vertices).all():
        raise _not_finite_error("body", obstacle.vertices)


def _not_finite_error(name: str, values: np.ndarray) -> Ani3DError:
    place = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
    where = f"frame {place[0]}, vertex {place[1]}" if values.ndim == 3 else f"vertex {place[0]}"
    return Ani3DError(
        "cloth.not_finite",
        f"The {name} hold a number that is not finite ({where}).",
        "Look for a bone with scale 0 or a broken driver there.",
    )
