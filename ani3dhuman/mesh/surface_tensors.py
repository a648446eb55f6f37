"""`kernels.heights_over` in tensors, for devices that compiled kernels do not reach: the same walk, of all points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..device import Compute
from .kernels import UNDER
from .surface import Surface

STEPS = 12  # of the walk at most
AT_ONCE = 1 << 22  # distances from points to vertices that are held at once


@dataclass(frozen=True)
class SurfaceTensors:
    """A surface in one frame, on a device; P vertices, K triangles at a vertex at most.

    Attributes:
        points, normals: (P,3) world metres, unit.
        faces: (F,3) int64.
        around: (P,K) int64 triangles at each vertex, the last one repeated.
    """

    points: Tensor
    normals: Tensor
    faces: Tensor
    around: Tensor

    @classmethod
    def of(cls, surface: Surface, compute: Compute) -> SurfaceTensors:
        starts, triangles = surface.around
        widest = int(np.diff(starts).max())
        spots = np.minimum(starts[:-1, None] + np.arange(widest), starts[1:, None] - 1)
        around = compute.integers(triangles[spots])
        return cls(
            compute.tensor(surface.points), compute.tensor(surface.normals), compute.integers(surface.faces), around
        )

    @torch.no_grad()
    def heights(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Signed distances (Q,) of `places` (Q,3), metres, negative inside; unit directions (Q,3) of growth."""
        vertex = torch.cat([self._nearest(part) for part in places.split(max(AT_ONCE // len(self.points), 1))])
        best = torch.full_like(places[:, 0], 1e30)
        triangle, weights = torch.zeros_like(vertex), torch.zeros_like(places)
        for _ in range(STEPS):
            tried = self.around[vertex]
            squared, shares = self._closest(places, tried)
            nearest = squared.argmin(1, keepdim=True)
            squared, shares = (
                squared.gather(1, nearest)[:, 0],
                shares.gather(1, nearest[..., None].expand(-1, -1, 3))[:, 0],
            )
            closer = squared < best * 0.999999
            best = torch.where(closer, squared, best)
            triangle = torch.where(closer, tried.gather(1, nearest)[:, 0], triangle)
            weights = torch.where(closer[:, None], shares, weights)
            corner = self.faces[triangle].gather(1, weights.argmax(1, keepdim=True))[:, 0]
            corner = torch.where(closer, corner, vertex)
            if bool((corner == vertex).all()):
                break
            vertex = corner
        return self._signed(places, best, triangle, weights)

    def _nearest(self, places: Tensor) -> Tensor:
        """(Q,) the vertex nearest to each place."""
        return torch.cdist(places, self.points, compute_mode="donot_use_mm_for_euclid_dist").argmin(1)

    def _closest(self, places: Tensor, triangles: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances (Q,K) to `triangles` (Q,K), and the weights (Q,K,3) of corners at the nearest points."""
        a, b, c = self.points[self.faces[triangles]].unbind(2)
        e, f, q = b - a, c - a, places[:, None] - a
        ee, ff, ef, qe, qf = ((u * v).sum(-1) for u, v in ((e, e), (f, f), (e, f), (q, e), (q, f)))
        area = ee * ff - ef * ef
        fine = area > 1e-7 * ee * ff
        safe = torch.where(fine, area, 1)
        u, w = (ff * qe - ef * qf) / safe, (ee * qf - ef * qe) / safe
        inside = fine & (u >= 0) & (w >= 0) & (u + w <= 1)
        zero = torch.zeros_like(u)

        def along(of: Tensor, way: Tensor) -> Tensor:
            length = (way * way).sum(-1)
            t = ((of * way).sum(-1) / torch.where(length > 1e-20, length, 1)).clamp(0, 1)
            return torch.where(length > 1e-20, t, 0)

        s, t, r = along(q, e), along(q, f), along(q - e, f - e)
        ways = torch.stack(
            [torch.stack([u, w], -1)] + [torch.stack(pair, -1) for pair in ((s, zero), (zero, t), (1 - r, r))], 2
        )
        apart = (q[:, :, None] - ways[..., :1] * e[:, :, None] - ways[..., 1:] * f[:, :, None]).square().sum(-1)
        apart = torch.cat([torch.where(inside, apart[..., 0], 1e30)[..., None], apart[..., 1:]], -1)
        pick = torch.where(inside, 0, 1 + apart[..., 1:].argmin(-1))[..., None]
        chosen = ways.gather(2, pick[..., None].expand(*pick.shape, 2))[:, :, 0]
        shares = torch.cat([1 - chosen.sum(-1, keepdim=True), chosen], -1)
        return apart.gather(2, pick)[..., 0], shares

    def _signed(self, places: Tensor, squared: Tensor, triangle: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """As `kernels.heights_over`."""
        corners = self.faces[triangle]
        normals = (weights[..., None] * self.normals[corners]).sum(1)
        away = places - (weights[..., None] * self.points[corners]).sum(1)
        distance, length = squared.sqrt(), normals.norm(dim=1)
        over = (away * normals).sum(1)
        no_side = (length < 1e-6) | ((over < 0) & (over > -UNDER * distance * length))
        a, b, c = self.points[corners].unbind(1)
        own = torch.linalg.cross(b - a, c - a)
        under = ((places - a) * own).sum(1) < -UNDER * distance * own.norm(dim=1)
        no_side &= ~(under & (distance > 1e-4))
        sign = torch.where((over >= 0) | no_side, 1.0, -1.0)
        outward = (sign / distance.clamp(min=1e-30))[:, None] * away
        plain = normals / torch.where(length > 0, length, 1)[:, None]
        return sign * distance, torch.where((distance > 1e-4)[:, None], outward, plain)
