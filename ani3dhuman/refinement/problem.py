"""What refinement is given: the coarse layer, the restored video, and what may move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..camera import CameraPath
from ..errors import Ani3DError
from ..motion.binding import SurfaceBinding


@dataclass(frozen=True)
class RefinementProblem:
    """One clip to refine; T frames, V vertices, F faces, N Gaussians, pictures H x W. All arrays float32.

    Attributes:
        coarse_vertices: (T,V,3) world metres, the layer the residual is added to.
        bind_vertices: (V,3) bind pose, world metres.
        gates: (V,) 0..1, how far each vertex may leave the coarse layer; exactly 0 for face and skin.
        blended_rotations: (T,V,3,3) bone-local to world.
        faces: (F,3) int vertex indices.
        binding: the Gaussians' places on the faces.
        scales: (N,3), or (T,N,3) when they change; linear, metres.
        opacities: (N,) 0..1.
        colors: (T,N,3) sRGB as lit in each frame; a broadcast view is fine.
        cameras: T cameras of size W x H.
        target: (T,H,W,3) the restored video, sRGB 0..1, over `background`.
        garment_mask: (T,H,W) 0..1, where the coarse layer shows what may move.
        background: (3,) sRGB 0..1.
        target_alpha: (T,H,W) coverage 0..1 of the restored video, or None where it has none.
        vertex_targets: (T,V,3) world offsets from `coarse_vertices` that a prior proposes, metres, or None.
        vertex_confidence: (T,V) >= 0, weight of each proposal; needed with `vertex_targets`.

    Raises:
        Ani3DError: ``refinement.shape`` for arrays that do not belong together, ``refinement.nothing_moves``
            when no gate is open or no garment is seen.
    """

    coarse_vertices: np.ndarray
    bind_vertices: np.ndarray
    gates: np.ndarray
    blended_rotations: np.ndarray
    faces: np.ndarray
    binding: SurfaceBinding
    scales: np.ndarray
    opacities: np.ndarray
    colors: np.ndarray
    cameras: CameraPath
    target: np.ndarray
    garment_mask: np.ndarray
    background: np.ndarray
    target_alpha: np.ndarray | None = None
    vertex_targets: np.ndarray | None = None
    vertex_confidence: np.ndarray | None = None

    def __post_init__(self) -> None:
        T, V = self.coarse_vertices.shape[:2]
        N, H, W = len(self.opacities), self.cameras.height, self.cameras.width
        expected: dict[str, tuple[tuple[int, ...], ...]] = {
            "coarse_vertices": ((T, V, 3),),
            "bind_vertices": ((V, 3),),
            "gates": ((V,),),
            "blended_rotations": ((T, V, 3, 3),),
            "faces": ((len(self.faces), 3),),
            "scales": ((N, 3), (T, N, 3)),
            "colors": ((T, N, 3),),
            "target": ((T, H, W, 3),),
            "garment_mask": ((T, H, W),),
            "background": ((3,),),
            "target_alpha": ((T, H, W),),
            "vertex_targets": ((T, V, 3),),
            "vertex_confidence": ((T, V),),
        }
        for name, shapes in expected.items():
            values = getattr(self, name)
            if values is not None and values.shape not in shapes:
                allowed = " or ".join(str(shape) for shape in shapes)
                raise _misfit(f"{name} has shape {values.shape}, expected {allowed}")
        if len(self.cameras) != T or len(self.binding.triangle_ids) != N:
            raise _misfit(
                f"there are {T} frames and {N} Gaussians, but {len(self.cameras)} cameras and "
                f"{len(self.binding.triangle_ids)} bound Gaussians"
            )
        if (self.vertex_targets is None) != (self.vertex_confidence is None):
            raise _misfit("vertex_targets and vertex_confidence must be given together")
        if self.gates.min() < 0 or self.gates.max() > 1:
            raise _misfit(f"gates run from {self.gates.min():g} to {self.gates.max():g}, expected 0 to 1")
        if not (self.gates > 0).any() or not (self.garment_mask > 0).any():
            raise Ani3DError(
                "refinement.nothing_moves",
                "Nothing can be refined: no vertex may move, or no frame shows one that may.",
                "Label garment or hair vertices and point the camera at them, or turn refinement off.",
            )

    @property
    def frames(self) -> int:
        return len(self.coarse_vertices)


def _misfit(what: str) -> Ani3DError:
    return Ani3DError(
        "refinement.shape",
        f"The inputs of refinement do not belong together: {what}.",
        "Check who made them.",
    )
