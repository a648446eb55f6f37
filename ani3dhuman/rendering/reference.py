"""The rasteriser in plain torch: short, slow, differentiable by autograd alone, the oracle of the fast backends.

Read this to learn what `rasterize` computes. Each 16x16 tile is a dense table of Gaussians by pixels; tiles are
recomputed in the backward pass (checkpointing), so 50,000 Gaussians fit in memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ani3d_formats.gaussians import SH_C0

from .view import Tensors, View

TILE = 16
ALPHA_MIN = 1 / 255
ALPHA_MAX = 0.999
TRANSMITTANCE_MIN = 1e-4
SIGMA_EXTENT = 3.33


def rasterize_reference(tensors: Tensors, view: View) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render (C,H,W,X) channels over the background, (C,H,W,1) alphas, and meta."""
    means, quats, scales, opacities, colors, viewmats, Ks, backgrounds = tensors
    images, alphas, metas = [], [], []
    for camera in range(len(viewmats)):
        meta = project(means, quats, scales, opacities, viewmats[camera], Ks[camera], view)
        channels = []
        if view.has_colors:
            own = colors[camera] if colors.dim() == (3 if view.sh_degree is None else 4) else colors
            if view.sh_degree is not None:
                centre = torch.linalg.inv(viewmats[camera])[:3, 3]
                own = (evaluate_harmonics(view.sh_degree, means - centre, own) + 0.5).clamp(min=0)
            channels.append(own)
        if view.has_depth:
            channels.append(meta["depths"][:, None])
        image, alpha = composite(meta, torch.cat(channels, -1), view.width, view.height)
        parts = list(image.split([features.shape[-1] for features in channels], -1))
        if backgrounds is not None:
            parts[0] = parts[0] + (1 - alpha) * backgrounds[camera]
        if view.expected_depth:
            parts[-1] = parts[-1] / alpha.clamp(min=1e-10)
        image = torch.cat(parts, -1)
        images.append(image)
        alphas.append(alpha)
        metas.append(meta)
    return torch.stack(images), torch.stack(alphas), {k: torch.stack([m[k] for m in metas]) for k in metas[0]}


def rotation_matrices(quats: Tensor) -> Tensor:
    """(N,3,3) rotations of (N,4) wxyz quaternions, which need not be unit."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).reshape(-1, 3, 3)


def project(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    viewmat: Tensor,
    K: Tensor,
    view: View,
) -> dict[str, Tensor]:
    """means2d (N,2), conics (N,3), depths (N,), radii (N,2) and effective opacities (N,) for one camera.

    Source: EWA Splatting (Zwicker et al. 2002): the covariance is pushed through the camera's Jacobian at the mean.
    """
    world_to_camera = viewmat[:3, :3]
    x, y, depths = (means @ world_to_camera.T + viewmat[:3, 3]).unbind(-1)
    z = torch.where((depths >= view.near_plane) & (depths <= view.far_plane), depths, torch.ones_like(depths))
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    zero = torch.zeros_like(z)
    if view.ortho:
        means2d = torch.stack([fx * x + cx, fy * y + cy], -1)
        jacobian = torch.stack([fx + zero, zero, zero, zero, fy + zero, zero], -1).reshape(-1, 2, 3)
    else:
        means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)
        # far outside the picture the linearisation explodes, so it is taken no further than 15 % beyond the edge
        slope_x = (x / z).clamp(-cx / fx - 0.15 * view.width / fx, (view.width - cx) / fx + 0.15 * view.width / fx)
        slope_y = (y / z).clamp(-cy / fy - 0.15 * view.height / fy, (view.height - cy) / fy + 0.15 * view.height / fy)
        jacobian = torch.stack([fx / z, zero, -fx * slope_x / z, zero, fy / z, -fy * slope_y / z], -1).reshape(-1, 2, 3)
    factor = rotation_matrices(quats) * scales[:, None, :]
    flat = jacobian @ world_to_camera @ factor
    covariance = flat @ flat.transpose(-1, -2)
    a, b, c = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    sharp = a * c - b * b
    a, c = a + view.eps2d, c + view.eps2d
    determinant = a * c - b * b
    valid = (depths >= view.near_plane) & (depths <= view.far_plane) & (determinant > 1e-30)
    determinant = torch.where(valid, determinant, torch.ones_like(determinant))
    conics = torch.stack([c, -b, a], -1) / determinant[:, None]
    if view.antialiased:
        opacities = opacities * (sharp / determinant).clamp(min=1e-12).sqrt()
    with torch.no_grad():
        # where alpha falls below 1/255, but no further than 3.33 standard deviations
        extent = (2 * (opacities * 255).clamp(min=1).log()).sqrt().clamp(max=SIGMA_EXTENT)
        radii = torch.stack([(extent * a.sqrt()).ceil(), (extent * c.sqrt()).ceil()], -1)
        size = torch.tensor([view.width, view.height], dtype=means2d.dtype, device=means2d.device)
        inside = ((means2d + radii > 0) & (means2d - radii < size)).all(-1)
        seen = valid & inside & (opacities * 255 >= 1) & (radii > view.radius_clip).any(-1)
        radii = torch.where(seen[:, None], radii, torch.zeros_like(radii)).int()
    return {"means2d": means2d, "conics": conics, "depths": depths, "radii": radii, "opacities": opacities}


def evaluate_harmonics(degree: int, directions: Tensor, coefficients: Tensor) -> Tensor:
    """(N,3) sums of real spherical harmonics at (N,3) directions with (N,K,3) coefficients, in 3DGS's order."""
    x, y, z = torch.nn.functional.normalize(directions, dim=-1).unbind(-1)
    basis = [torch.full_like(x, SH_C0)]
    if degree >= 1:
        basis += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree >= 2:
        basis += [
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (2 * z * z - x * x - y * y),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
        ]
    if degree >= 3:
        basis += [
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (4 * z * z - x * x - y * y),
            0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y),
            -0.4570457994644658 * x * (4 * z * z - x * x - y * y),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    return torch.einsum("kn,nkc->nc", torch.stack(basis), coefficients[:, : len(basis)])


def composite(meta: dict[str, Tensor], features: Tensor, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Blend features (N,X) front to back: (H,W,X) and alphas (H,W,1)."""
    means2d, radii = meta["means2d"], meta["radii"]
    order = torch.sort(meta["depths"].detach(), stable=True).indices
    order = order[(radii[order] > 0).all(-1)]
    low, high = (means2d - radii).detach()[order], (means2d + radii).detach()[order]
    rows = []
    for y in range(0, height, TILE):
        row = []
        in_row = (high[:, 1] >= y) & (low[:, 1] <= y + TILE)
        for x in range(0, width, TILE):
            here = order[in_row & (high[:, 0] >= x) & (low[:, 0] <= x + TILE)]
            ys = torch.arange(y, min(y + TILE, height), device=means2d.device, dtype=means2d.dtype) + 0.5
            xs = torch.arange(x, min(x + TILE, width), device=means2d.device, dtype=means2d.dtype) + 0.5
            pixels = torch.cartesian_prod(ys, xs).flip(-1)
            table = (means2d[here], meta["conics"][here], meta["opacities"][here], features[here], pixels)
            blended = checkpoint(blend, *table, use_reentrant=False) if torch.is_grad_enabled() else blend(*table)
            row.append(blended.reshape(len(ys), len(xs), -1))
        rows.append(torch.cat(row, 1))
    image = torch.cat(rows, 0)
    return image[..., :-1], image[..., -1:]


def blend(means2d: Tensor, conics: Tensor, opacities: Tensor, features: Tensor, pixels: Tensor) -> Tensor:
    """(P,X+1) channels and alpha at P pixels (x,y) of Gaussians given nearest first."""
    dx, dy = (pixels[None] - means2d[:, None]).unbind(-1)  # (N,P)
    a, b, c = conics[:, :, None].unbind(1)
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    alpha = (opacities[:, None] * torch.exp(-sigma)).clamp(max=ALPHA_MAX)
    alpha = torch.where((alpha >= ALPHA_MIN) & (sigma >= 0), alpha, torch.zeros_like(alpha))
    # a pixel ends at the first Gaussian that would bring it to 1e-4 or below; that one is not drawn
    drawn = torch.cumprod(1 - alpha.detach(), 0) > TRANSMITTANCE_MIN
    alpha = torch.where(drawn, alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1 - alpha, 0)
    before = torch.cat([torch.ones_like(after[:1]), after[:-1]])
    colors = torch.einsum("np,nx->px", alpha * before, features)
    left = after[-1] if len(after) else torch.ones_like(pixels[:, 0])
    return torch.cat([colors, 1 - left[:, None]], -1)
