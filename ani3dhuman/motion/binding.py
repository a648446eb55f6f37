"""Gaussians carried by a mesh: each one sits on a triangle and turns with it.

Any deformation that moves mesh vertices (skinning, cloth, the residual field, Blender's own
modifiers) moves the Gaussians too, so every layer of motion speaks in vertex positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .carrying import carry

STRETCH_RANGE = (0.5, 2.0)  # of a Gaussian's scales; beyond it, crumpled or torn triangles would make dust or blots


def rows(values: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Rows (...,*ids,k) of values (...,V,k), as ``values[..., ids, :]``, which takes three times as long."""
    flat = ids.reshape(-1, 1).expand(*values.shape[:-2], -1, values.shape[-1])
    return torch.gather(values, -2, flat).unflatten(-2, ids.shape)


def triangle_frames(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Orthonormal frames of triangles: columns tangent (along the first edge), bitangent, normal.

    Args:
        vertices: (...,V,3).
        faces: (F,3) long.

    Returns:
        (...,F,3,3) rotation matrices, triangle-local to world.
    """
    a, b, c = (rows(vertices, faces[:, k]) for k in range(3))
    tangent = torch.nn.functional.normalize(b - a, dim=-1, eps=1e-12)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1, eps=1e-12)
    return torch.stack([tangent, torch.linalg.cross(normal, tangent), normal], dim=-1)


def in_plane_shapes(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Triangles in their own planes: length of the first edge, and the third corner along and across it.

    Args:
        vertices: (...,V,3).
        faces: (F,3) long.

    Returns:
        (...,F,3) metres, in the axes of `triangle_frames`.
    """
    a, b, c = (rows(vertices, faces[:, k]) for k in range(3))
    length = torch.linalg.vector_norm(b - a, dim=-1).clamp_min(1e-12)
    along = ((c - a) * (b - a)).sum(-1) / length
    across = torch.linalg.vector_norm(torch.linalg.cross(b - a, c - a), dim=-1) / length
    return torch.stack([length, along, across.clamp_min(1e-12)], dim=-1)


def matrix_to_quat(R: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (...,3,3) to unit quaternions wxyz (...,4); differentiable, stable for any angle."""
    m = R.flatten(-2)
    xx, xy, xz, yx, yy, yz, zx, zy, zz = m.unbind(-1)
    # four candidates, each exact up to its own scale; the one with the largest leading term is well conditioned
    candidates = torch.stack(
        [
            torch.stack([1 + xx + yy + zz, zy - yz, xz - zx, yx - xy], -1),
            torch.stack([zy - yz, 1 + xx - yy - zz, yx + xy, xz + zx], -1),
            torch.stack([xz - zx, yx + xy, 1 - xx + yy - zz, zy + yz], -1),
            torch.stack([yx - xy, xz + zx, zy + yz, 1 - xx - yy + zz], -1),
        ],
        -2,
    )
    w, x, y, z = torch.diagonal(candidates, dim1=-2, dim2=-1).detach().unbind(-1)
    best = torch.where(torch.maximum(y, z) > torch.maximum(w, x), 2 + (z > y).long(), (x > w).long())  # their argmax
    chosen = torch.gather(candidates, -2, best[..., None, None].expand(*best.shape, 1, 4)).squeeze(-2)
    return torch.nn.functional.normalize(chosen, dim=-1)


def quat_multiply(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Hamilton product of wxyz quaternions (...,4): rotate by q first, then by p."""
    pw, px, py, pz = p.unbind(-1)
    qw, qx, qy, qz = q.unbind(-1)
    return torch.stack(
        [
            pw * qw - px * qx - py * qy - pz * qz,
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
        ],
        -1,
    )


def quat_to_matrix(quats: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (...,3,3) of unit quaternions wxyz (...,4)."""
    turned_back = quats * quats.new_tensor([1.0, -1.0, -1.0, -1.0])
    axes = torch.eye(4, dtype=quats.dtype, device=quats.device)[1:]
    turned = quat_multiply(quat_multiply(quats[..., None, :], axes), turned_back[..., None, :])
    return turned[..., 1:].transpose(-1, -2)


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


def edges_of(faces: np.ndarray) -> np.ndarray:
    """Unique undirected edges (E,2) of a triangle mesh, sorted."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(pairs, axis=1), axis=0)
