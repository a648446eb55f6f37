"""Unit quaternions wxyz and rotation matrices, in torch."""

from __future__ import annotations

import torch


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
