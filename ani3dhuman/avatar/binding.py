"""Gaussians carried by a mesh: each one sits on a triangle and turns with it.

Any deformation that moves mesh vertices (skinning, cloth, the residual field, Blender's own
modifiers) moves the Gaussians too, so every layer of motion speaks in vertex positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..mesh.quaternions import matrix_to_quat, quat_multiply
from ..mesh.topology import rows, triangle_frames
from .carrying import carry
from .folds import bends_of, beyond_rest, narrowed, room_beyond
from .stretching import TINY, lasting, strains_of, stretched


@dataclass(frozen=True)
class SurfaceBinding:
    """Where each Gaussian sits on the mesh.

    Attributes:
        faces: (F,3) int64 vertex indices.
        triangle_ids: (N,) int64, the triangle of each Gaussian.
        barycentrics: (N,3) float32, rows sum to 1.
        local_quats: (N,4) float32 wxyz, rotation of the Gaussian in its triangle's frame.
        offsets: (N,3) float32 metres from that place along the triangle's tangent, bitangent and normal; None for
            Gaussians that lie in the surface.
        rest_shapes: (F,3) of the triangles at rest, as of `stretching.shapes_of`, zeros for those that stretch nothing;
            None where none does.
        rest_bends: (F,3) radians by which the mesh is bent at rest at their edges, as of `folds.bends_of`; None where
            Gaussians do not heed folds.
    """

    faces: torch.Tensor
    triangle_ids: torch.Tensor
    barycentrics: torch.Tensor
    local_quats: torch.Tensor
    offsets: torch.Tensor | None = None
    rest_shapes: torch.Tensor | None = None
    rest_bends: torch.Tensor | None = None

    def to(self, device: torch.device | str) -> SurfaceBinding:
        """The same on another device."""
        return SurfaceBinding(
            self.faces.to(device),
            self.triangle_ids.to(device),
            self.barycentrics.to(device),
            self.local_quats.to(device),
            None if self.offsets is None else self.offsets.to(device),
            None if self.rest_shapes is None else self.rest_shapes.to(device),
            None if self.rest_bends is None else self.rest_bends.to(device),
        )

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
            means = self.interpolate(vertices)
            quats = quat_multiply(rows(turns, self.triangle_ids), self.local_quats)
        return means if self.offsets is None else means + self._away(vertices, self.offsets), quats

    def _away(self, vertices: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """`offsets` (N,3) of the triangles' frames in the world (...,N,3)."""
        frames = triangle_frames(vertices, self.faces).flatten(-2)
        return (rows(frames, self.triangle_ids).unflatten(-1, (3, 3)) @ offsets[:, :, None]).squeeze(-1)

    def chosen(self, keep: torch.Tensor) -> SurfaceBinding:
        """The binding of some of its Gaussians, (N,) bool or indices."""
        offsets = None if self.offsets is None else self.offsets[keep]
        kept = self.triangle_ids[keep], self.barycentrics[keep], self.local_quats[keep]
        return SurfaceBinding(self.faces, *kept, offsets, self.rest_shapes, self.rest_bends)

    def strains(self, vertices: torch.Tensor, sizes: torch.Tensor | None = None) -> torch.Tensor:
        """(F,3) how the triangles deform on a mesh (V,3), as of `stretching.strains_of`.

        What bones make of their `sizes` (V,) is left out of it.
        """
        if self.rest_shapes is None:
            return vertices.new_tensor([1.0, 0.0, 1.0]).expand(len(self.faces), 3).contiguous()
        found = strains_of(self.rest_shapes, vertices, self.faces)
        if sizes is None:
            return found
        size = sizes[self.faces].mean(1).clamp(min=TINY)[:, None]
        return torch.where(lasting(self.rest_shapes)[:, None], found / size, found)

    def stretch(
        self, vertices: torch.Tensor, quats: torch.Tensor, scales: torch.Tensor, sizes: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What `pose` on vertices (V,3) gave as quats (N,4), and scales (N,3), stretched with the triangles.

        Where bones scale a vertex's surroundings by `sizes` (V,), the scales have that in them already.
        """
        if self.rest_shapes is None:
            return quats, scales
        return stretched(self.strains(vertices, sizes), self.triangle_ids, self.local_quats, quats, scales)

    def narrow(
        self,
        vertices: torch.Tensor,
        others: torch.Tensor,
        out: float,
        means: torch.Tensor,
        quats: torch.Tensor,
        scales: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Quats (N,4) and scales (N,3) posed on vertices (V,3), narrower where the mesh is bent more than at rest.

        `others` (F,3) are the faces beyond the edges, as of `neighbours_of`; `out` is as of `folds.outmost`.
        """
        if self.rest_bends is None or self.rest_shapes is None:
            return quats, scales
        bends = beyond_rest(bends_of(vertices, self.faces, others), self.rest_bends)
        bends = bends * lasting(self.rest_shapes)[:, None]  # strands of hair are round
        own = self.triangle_ids, self.local_quats
        return narrowed(vertices, self.faces, room_beyond(bends), out, *own, means, quats, scales)
