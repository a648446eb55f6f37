"""What refinement is given: the coarse layer, the restored video of every view, and what may move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError

from ..avatar.appearance import CHANNELS
from ..avatar.binding import SurfaceBinding
from ..device import CPU, Compute
from ..storage.frames_on_disk import Frames


@dataclass(frozen=True)
class RestoredView:
    """The restored video along one camera path; T frames, N Gaussians, pictures H x W.

    Refinement keeps these arrays as they are and copies no more than the part of `target` around the garment, so what
    they are stored in is what they cost: a target of 8 bits takes a quarter of the memory of a float32 one.

    Attributes:
        cameras: T cameras of size W x H; views may differ in size.
        target: (T,H,W,3) the restored video, sRGB over the problem's background: float32 or float16 0..1, or uint8
            0..255.
        garment_mask: (T,H,W) 0..1, where the coarse layer shows what may move.
        colors: (T,N,3) sRGB 0..1 as lit in each frame and seen from this view; `Frames` or a broadcast array are fine.
        target_alpha: (T,H,W) coverage of the restored video, in the same units as `target`, or None where it has none.
        vertices: (T,V,3) world metres, the restored layer where its prior knows the mesh, else None; further rounds
            propose what these agree on, see `consensus`.
        visibility: (T,V) 0..1, of each of these vertices to the prior; None where it is 1 for all.

    Raises:
        Ani3DError: ``refinement.shape`` for arrays that do not belong together.
    """

    cameras: CameraPath
    target: np.ndarray
    garment_mask: np.ndarray
    colors: np.ndarray | Frames
    target_alpha: np.ndarray | None = None
    vertices: np.ndarray | None = None
    visibility: np.ndarray | None = None

    def __post_init__(self) -> None:
        T, H, W = len(self.cameras), self.cameras.height, self.cameras.width
        _check_shapes(
            self,
            {
                "target": ((T, H, W, 3),),
                "garment_mask": ((T, H, W),),
                "colors": ((T, *self.colors.shape[1:2], 3),),
                "target_alpha": ((T, H, W),),
                "vertices": ((T, *self.vertices.shape[1:2], 3),) if self.vertices is not None else (),
                "visibility": (self.vertices.shape[:2],) if self.vertices is not None else (),
            },
        )
        for name in ("target", "target_alpha"):
            values = getattr(self, name)
            if values is not None and str(values.dtype) not in ("uint8", "float16", "float32"):
                raise _misfit_error(f"{name} has type {values.dtype}, expected one of uint8, float16, float32")


def show_garment(views: Sequence[RestoredView]) -> bool:
    """Whether a frame of one of the views shows something that may move."""
    return any((mask > 0).any() for view in views for mask in view.garment_mask)


@dataclass(frozen=True)
class RefinementProblem:
    """One clip to refine; T frames, V vertices, F faces, N Gaussians. Arrays are float32 where nothing else is said.

    Attributes:
        coarse_vertices: (T,V,3) world metres, the layer the residual is added to.
        bind_vertices: (V,3) bind pose, world metres.
        gates: (V,) 0..1, how far each vertex may leave the coarse layer; exactly 0 for face and skin.
        blended_rotations: (T,V,3,3) bone-local to world.
        faces: (F,3) int vertex indices.
        binding: the Gaussians' places on the faces.
        scales: (N,3), or (T,N,3) when they change; linear, metres.
        opacities: (N,) 0..1.
        views: the restored videos, one or more, all of the same T frames.
        background: (3,) sRGB 0..1.
        vertex_targets: (T,V,3) world offsets from `coarse_vertices` that a prior proposes, metres, weighted by `gates`;
            or None.
        body_faces: (B,3) int vertex indices of the body that the garment must stay out of, outward by the right-hand
            rule; their vertices have gate 0. None or no faces: nothing is kept out.
        unstrained: (T,V,3) world metres, the layer that stretch and bending are measured against, or None for
            `coarse_vertices`.
        appearance: (T,V,5) the appearance that offsets are added to, see `avatar.appearance`, 0 where the gate is;
            None: 0 everywhere.
        lifts: (N,) metres by which each Gaussian is drawn nearer to the eye, see `avatar.lifts`; None for 0.
        compute: where it is fitted.

    Raises:
        Ani3DError: ``refinement.shape`` for arrays that do not belong together, ``refinement.nothing_moves``
            when no gate is open or no garment is seen in any view.
    """

    coarse_vertices: np.ndarray
    bind_vertices: np.ndarray
    gates: np.ndarray
    blended_rotations: np.ndarray
    faces: np.ndarray
    binding: SurfaceBinding
    scales: np.ndarray
    opacities: np.ndarray
    views: tuple[RestoredView, ...]
    background: np.ndarray
    vertex_targets: np.ndarray | None = None
    body_faces: np.ndarray | None = None
    unstrained: np.ndarray | None = None
    appearance: np.ndarray | None = None
    lifts: np.ndarray | None = None
    compute: Compute = CPU

    def __post_init__(self) -> None:
        T, V = self.coarse_vertices.shape[:2]
        N = len(self.opacities)
        _check_shapes(
            self,
            {
                "coarse_vertices": ((T, V, 3),),
                "bind_vertices": ((V, 3),),
                "gates": ((V,),),
                "blended_rotations": ((T, V, 3, 3),),
                "faces": ((len(self.faces), 3),),
                "scales": ((N, 3), (T, N, 3)),
                "background": ((3,),),
                "vertex_targets": ((T, V, 3),),
                "unstrained": ((T, V, 3),),
                "appearance": ((T, V, CHANNELS),),
                "lifts": ((N,),),
            },
        )
        if not self.views:
            raise _misfit_error("there is no view")
        for number, view in enumerate(self.views):
            if len(view.cameras) != T or view.colors.shape[1] != N:
                raise _misfit_error(
                    f"there are {T} frames and {N} Gaussians, but view {number} has {len(view.cameras)} cameras and "
                    f"{view.colors.shape[1]} colours"
                )
            if view.vertices is not None and view.vertices.shape[1] != V:
                raise _misfit_error(f"there are {V} vertices, but view {number} restored {view.vertices.shape[1]}")
        if len(self.binding.triangle_ids) != N:
            raise _misfit_error(f"there are {N} Gaussians, but {len(self.binding.triangle_ids)} bound ones")
        if self.gates.min() < 0 or self.gates.max() > 1:
            raise _misfit_error(f"gates run from {self.gates.min():g} to {self.gates.max():g}, expected 0 to 1")
        if self.appearance is not None and self.appearance[:, self.gates == 0].any():
            raise _misfit_error("appearance differs from 0 at vertices whose gate is 0")
        if self.body_faces is not None:
            self._check_body(self.body_faces)
        if not (self.gates > 0).any() or not show_garment(self.views):
            raise Ani3DError(
                "refinement.nothing_moves",
                "Nothing can be refined: no vertex may move, or no frame shows one that may.",
                "Label garment or hair vertices and point the camera at them, or turn refinement off.",
            )

    def _check_body(self, faces: np.ndarray) -> None:
        if (
            faces.ndim != 2
            or faces.shape[1] != 3
            or (faces.size and not 0 <= faces.min() <= faces.max() < self.vertices)
        ):
            raise _misfit_error(f"body_faces of shape {faces.shape} are not triangles of the {self.vertices} vertices")
        if (self.gates[faces] > 0).any():
            raise _misfit_error("body_faces use vertices that may move themselves")

    @property
    def frames(self) -> int:
        return len(self.coarse_vertices)

    @property
    def vertices(self) -> int:
        return len(self.gates)


def _check_shapes(holder: object, expected: dict[str, tuple[tuple[int, ...], ...]]) -> None:
    """Refuse attributes whose shape is none of the `expected` ones; None is let through."""
    for name, shapes in expected.items():
        values = getattr(holder, name)
        if values is not None and values.shape not in shapes:
            allowed = " or ".join(str(shape) for shape in shapes)
            raise _misfit_error(f"{name} has shape {values.shape}, expected {allowed}")


def _misfit_error(what: str) -> Ani3DError:
    return Ani3DError(
        "refinement.shape",
        f"The inputs of refinement do not belong together: {what}.",
        "Check who made them.",
    )
