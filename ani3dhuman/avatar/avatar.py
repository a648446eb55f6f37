"""The avatar: Gaussians in the bind pose, bound to the surface of a rigged mesh."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..device import CPU, Compute
from ..mesh.corner_normals import CornerNormals
from ..mesh.kernels import point_normals
from ..mesh.raster import OPAQUE, Cutouts
from ..mesh.vectors import unit
from .binding import SurfaceBinding


@dataclass(frozen=True)
class Avatar:
    """Canonical Gaussians of one character.

    Attributes:
        binding: where each Gaussian sits on the mesh and how it is turned there.
        scales: (N,3) linear standard deviations, metres; the third axis is the surface normal.
        opacities: (N,) 0..1.
        albedo: (N,3) linear 0..1, without lighting.
        region_ids: (N,) indices into `ani3d_formats.regions.REGIONS`.
        is_lit: the light that the Gaussians were seen in is part of `albedo`, and no other falls on them.
        gloss: (N,3) roughness, metallic and specular level as in `ani3d_formats.shot_meta.Material`; None for matte.
        tones: (N,2) angle and soft edge of toon shaders, radians, zeros of others; None where there is none.
        corners: the normals that the mesh is shaded by; None where it is smooth.
        cutouts: where the mesh is clear and lets light through.
        harmonics: (N,K,3) spherical harmonics of the sRGB colour by view, as of `splats.splats.Splats.sh`, in each
            Gaussian's own axes; None where the colour is the same from all sides. Only of lit ones.
        lifts: (N,) metres by which each is drawn nearer to the eye, as of `lifts.lifts_of`; None for 0.
    """

    binding: SurfaceBinding
    scales: np.ndarray
    opacities: np.ndarray
    albedo: np.ndarray
    region_ids: np.ndarray
    gloss: np.ndarray | None = None
    is_lit: bool = False
    tones: np.ndarray | None = None
    corners: CornerNormals | None = None
    cutouts: Cutouts = OPAQUE
    harmonics: np.ndarray | None = None
    lifts: np.ndarray | None = None

    @property
    def count(self) -> int:
        return len(self.scales)

    def scaled(self, factor: float) -> Avatar:
        """The same Gaussians on a mesh `factor` times as large."""
        sized = {name: getattr(self.binding, name) for name in ("offsets", "rest_shapes")}
        binding = replace(self.binding, **{name: each * factor for name, each in sized.items() if each is not None})
        lifts = None if self.lifts is None else self.lifts * np.float32(factor)
        return replace(self, binding=binding, scales=self.scales * np.float32(factor), lifts=lifts)

    @property
    def fibres(self) -> np.ndarray:
        """(n,) numbers of the Gaussians that are parts of hair strands: round, where those of surfaces are flat."""
        if self.binding.offsets is not None:  # a captured person's lie anyhow
            return np.zeros(0, np.int64)
        return np.flatnonzero(np.isclose(self.scales[:, 1], self.scales[:, 2], rtol=1e-4))

    def per_vertex(self, values: np.ndarray) -> np.ndarray:
        """Carry vertex values (V,k) or (V,) to the Gaussians by barycentric interpolation."""
        corners = values[self.binding.faces.numpy()[self.binding.triangle_ids.numpy()]]
        weights = self.binding.barycentrics.numpy()
        return np.einsum("nc,nc...->n...", weights, corners)

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """(N,3) unit normals that the mesh on `vertices` (V,3) is shaded by at the Gaussians."""
        faces, triangles = self.binding.faces.numpy(), self.binding.triangle_ids.numpy()
        if self.corners is None:
            found = self.per_vertex(point_normals(vertices, faces))
        else:
            weights = self.binding.barycentrics.numpy()
            found = np.einsum("nc,nck->nk", weights, self.corners.at(vertices, faces)[triangles])
        return unit(found)

    def within(self, vertices: np.ndarray) -> np.ndarray:
        """(N,3) places on the mesh on `vertices` (V,3) next to the Gaussians, whose own may lie beside their triangles,
        under or over the surface."""
        weights = self.binding.barycentrics.numpy().clip(0)
        corners = vertices[self.binding.faces.numpy()[self.binding.triangle_ids.numpy()]]
        return np.einsum("nc,nck->nk", weights / np.einsum("nc->n", weights)[:, None], corners)

    def planes(self, vertices: np.ndarray) -> np.ndarray:
        """(N,3) unit normals of the Gaussians' triangles on `vertices` (V,3); zeros where one has no area."""
        a, b, c = (vertices[corner] for corner in self.binding.faces.numpy().T)
        return unit(np.cross(b - a, c - a), 1e-20)[self.binding.triangle_ids.numpy()]

    def placed(self, vertices: np.ndarray, compute: Compute = CPU) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Means (N,3), quats (N,4) and scales (N,3) on mesh vertices (V,3), on a device."""
        points, binding = compute.tensor(vertices), self.binding.to(compute.device)
        means, quats = binding.pose(points)
        return means, *binding.stretch(points, quats, compute.tensor(self.scales))

    def pose(self, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means (T,N,3) and quats (T,N,4) for mesh vertices (T,V,3), frame by frame to bound memory."""
        means = np.empty((len(vertices), self.count, 3), np.float32)
        quats = np.empty((len(vertices), self.count, 4), np.float32)
        with torch.no_grad():
            for t, frame in enumerate(vertices):
                m, q = self.binding.pose(torch.from_numpy(np.array(frame)))
                means[t], quats[t] = m.numpy(), q.numpy()
        return means, quats
