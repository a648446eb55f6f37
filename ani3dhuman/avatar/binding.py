"""Gaussians carried by a mesh: each one sits on a triangle and turns with it.

Any deformation that moves mesh vertices (skinning, cloth, the residual field, Blender's own
modifiers) moves the Gaussians too, so every layer of motion speaks in vertex positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..mesh.quaternions import matrix_to_quat, quat_multiply, quat_to_matrix
from ..mesh.topology import rows, triangle_frames
from .carrying import carry

STRETCH_RANGE = (0.5, 2.0)  # of a Gaussian's scales; beyond it, crumpled or torn triangles would make dust or blots


@dataclass(frozen=True)
class SurfaceBinding:
    """Where each Gaussian sits on the mesh.

    Attributes:
        faces: (F,3) int64 vertex indices.
        triangle_ids: (N,) int64, the triangle of each Gaussian.
        barycentrics: (N,3) float32, rows sum to 1.
        local_quats: (N,4) float32 wxyz, rotation of the Gaussian in its triangle's frame.
        normal_offsets: (N,) float32 metres above the triangle, along its normal; None: all lie in it.
    """

    faces: torch.Tensor
    triangle_ids: torch.Tensor
    barycentrics: torch.Tensor
    local_quats: torch.Tensor
    normal_offsets: torch.Tensor | None = None

    def means(self, vertices: torch.Tensor) -> torch.Tensor:
        """World positions (...,N,3) for mesh vertices (...,V,3)."""
        return self.pose(vertices)[0] if self.normal_offsets is not None else self.interpolate(vertices)

    def interpolate(self, values: torch.Tensor) -> torch.Tensor:
        """Values (...,N,k) on the triangles for values (...,V,k) at the mesh's vertices, by barycentric coordinates."""
        corners = rows(values, self.faces[self.triangle_ids])
        return (corners * self.barycentrics[:, :, None]).sum(-2)

    def pose(self, vertices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means (...,N,3) and quats (...,N,4) wxyz for mesh vertices (...,V,3); differentiable."""
        if vertices.ndim == 2 and vertices.dtype == torch.float32 and vertices.device.type == "cpu":
            means, quats = carry(vertices, self.faces, self.triangle_ids, self.barycentrics, self.local_quats)
        else:
            turns = matrix_to_quat(triangle_frames(vertices, self.faces))
            means, quats = self.interpolate(vertices), quat_multiply(rows(turns, self.triangle_ids), self.local_quats)
        if self.normal_offsets is not None:
            normals = triangle_frames(vertices, self.faces)[..., 2]
            means = means + self.normal_offsets[:, None] * rows(normals, self.triangle_ids)
        return means, quats

    def stretch(self, shapes: torch.Tensor, bind_shapes: torch.Tensor) -> torch.Tensor:
        """Factors (...,N,3) by which the Gaussians' scales grow with their triangles, each within `STRETCH_RANGE`.

        With both frames along the first edge, the map F from bind triangle to posed one is upper triangular (the R of a
        QR decomposition), and |F^T a| is how far a round Gaussian reaches along a tangent axis a after it. Shear
        between the axes is left out. Normals keep their length; the bind pose has exactly 1.

        Args:
            shapes: (...,F,3) posed triangles, from `in_plane_shapes`.
            bind_shapes: (F,3) the same in bind pose.
        """
        (length, along, across), (length0, along0, across0) = shapes.unbind(-1), bind_shapes.unbind(-1)
        grown = length / length0
        sheared = (along - along0 * grown) / across0
        raised = across / across0
        x, y, z = quat_to_matrix(self.local_quats).unbind(-2)  # of the Gaussian's axes in the triangle's frame
        own = (..., self.triangle_ids, None)
        reach = (grown[own] * x) ** 2 + (sheared[own] * x + raised[own] * y) ** 2 + z**2
        return (reach / (x**2 + y**2 + z**2)).sqrt().clamp(*STRETCH_RANGE)
