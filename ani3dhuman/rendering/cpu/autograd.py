"""The numba kernels as three differentiable torch operations: project, shade, composite.

Kernels work on contiguous float32 numpy views of the tensors; nothing is copied that is already contiguous.
Without gradients (torch.no_grad) autograd drops all that an operation saved as soon as it returns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..view import Tensors, View
from . import harmonics, passes
from .passes import Cameras, Shapes
from .projection_backward import ProjectedGradients


def rasterize_cpu(tensors: Tensors, view: View) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render (C,H,W,X) channels over the background, (C,H,W,1) alphas, and meta; float32 CPU tensors."""
    means, quats, scales, opacities, colors, viewmats, Ks, backgrounds = tensors
    means2d, covs2d, depths, compensations, conics, radii, splats = Project.apply(
        means, quats, scales, opacities, viewmats, Ks, view
    )
    cameras, count = depths.shape
    seen = opacities.expand(cameras, count)
    if view.antialiased:
        seen = seen * compensations
    channels = []
    if view.has_colors:
        if view.sh_degree is not None:
            centres = torch.linalg.inv(viewmats)[:, :3, 3]
            channels.append(Shade.apply(means, centres, colors, radii, view.sh_degree))
        else:
            channels.append(colors.expand(cameras, -1, -1))
    if view.has_depth:
        channels.append(depths[..., None])
    features = channels[0] if len(channels) == 1 else torch.cat(channels, -1)
    image, alphas = Composite.apply(means2d, covs2d, seen, features, backgrounds, depths.detach(), splats, view)
    return image, alphas, {"means2d": means2d, "conics": conics, "depths": depths, "radii": radii, "opacities": seen}


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _arrays(*tensors: Tensor) -> Any:
    return [_array(tensor) for tensor in tensors]


def _memory(tensor: Tensor) -> np.ndarray:
    """The memory that a tensor of any strides spans, as one flat array."""
    extent = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.detach().as_strided((extent,), (1,), tensor.storage_offset()).numpy()


class Project(torch.autograd.Function):
    """means, quats, scales, cameras -> means2d (C,N,2), covs2d (C,N,3), depths (C,N), compensations (C,N), and
    without gradients conics (C,N,3), radii (C,N,2) and splat records (C*N*8,)."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        quats: Tensor,
        scales: Tensor,
        opacities: Tensor,
        viewmats: Tensor,
        Ks: Tensor,
        view: View,
    ) -> tuple[Tensor, ...]:
        shapes, cameras = Shapes(*_arrays(means, quats, scales)), Cameras(_array(viewmats), _array(Ks), view)
        projected = passes.project(shapes, _array(opacities), cameras)
        ctx.set_materialize_grads(False)
        ctx.saved = (shapes, cameras, projected.radii)
        tensors = tuple(torch.from_numpy(a) for a in projected)
        ctx.mark_non_differentiable(*tensors[4:])
        return tensors

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        shapes, cameras, radii = ctx.saved
        size = len(cameras.viewmats), len(shapes.means)
        given = ProjectedGradients(
            *(
                np.zeros(0 if k > 1 else (*size, 2 + k), np.float64 if k == 1 else np.float32)
                if g is None
                else _array(g)
                for k, g in enumerate(gradients[:4])
            )
        )
        found, views = passes.project_back(shapes, cameras, radii, given, ctx.needs_input_grad[4])
        g_viewmats = np.zeros(cameras.viewmats.shape, np.float32)
        g_viewmats[:, :3, :3] = views[:, :9].reshape(-1, 3, 3)
        g_viewmats[:, :3, 3] = views[:, 9:]
        return (*map(torch.from_numpy, found), None, torch.from_numpy(g_viewmats), None, None)


class Shade(torch.autograd.Function):
    """Spherical-harmonics coefficients (N,K,3) or (C,N,K,3) -> colours (C,N,3) as each camera sees them."""

    @staticmethod
    def forward(ctx: Any, means: Tensor, centres: Tensor, coefficients: Tensor, radii: Tensor, degree: int) -> Tensor:
        table = coefficients if coefficients.dim() == 4 else coefficients[None]
        colors = np.zeros((len(centres), len(means), 3), np.float32)
        harmonics.colors_forward(degree, _array(means), _array(centres), _array(table), _array(radii), colors)
        ctx.saved = (means, centres, coefficients, radii, degree, colors)
        return torch.from_numpy(colors)

    @staticmethod
    def backward(ctx: Any, g_colors: Tensor) -> Any:
        means, centres, coefficients, radii, degree, colors = ctx.saved
        table = coefficients if coefficients.dim() == 4 else coefficients[None]
        g_means = np.zeros(means.shape, np.float32)
        g_table = np.zeros(table.shape, np.float32)
        chunks = -(-len(means) // harmonics.CHUNK)
        g_centres = np.zeros((chunks, len(centres), 3), np.float64)
        harmonics.colors_backward(
            degree,
            *_arrays(means, centres, table, radii),
            colors,
            _array(g_colors),
            g_means,
            g_centres,
            g_table,
        )
        return (
            torch.from_numpy(g_means),
            torch.from_numpy(g_centres.sum(0).astype(np.float32)),
            torch.from_numpy(g_table.reshape(coefficients.shape)),
            None,
            None,
        )


class Composite(torch.autograd.Function):
    """Projected Gaussians and their channels (C,N,X) -> image (C,H,W,X), a view of planes, and alphas (C,H,W,1)."""

    @staticmethod
    def forward(
        ctx: Any,
        means2d: Tensor,
        covs2d: Tensor,
        opacities: Tensor,
        features: Tensor,
        backgrounds: Tensor | None,
        depths: Tensor,
        splats: Tensor,
        view: View,
    ) -> tuple[Tensor, Tensor]:
        behind = None if backgrounds is None else _array(backgrounds)
        composed = passes.compose(splats.numpy(), _array(depths), _array(features), behind, view)
        ctx.saved = (composed, _array(opacities), backgrounds)
        return torch.from_numpy(composed.image).permute(0, 2, 3, 1), torch.from_numpy(composed.alphas)[..., None]

    @staticmethod
    def backward(ctx: Any, g_image: Tensor, g_alphas: Tensor) -> Any:
        composed, opacities, backgrounds = ctx.saved
        pixels = _memory(g_image), g_image.stride(), _array(g_alphas[..., 0])
        *found, behind = map(torch.from_numpy, passes.compose_back(composed, opacities, *pixels))
        return (*found, None if backgrounds is None else behind[:, : backgrounds.shape[1]].clone(), *(None,) * 3)
