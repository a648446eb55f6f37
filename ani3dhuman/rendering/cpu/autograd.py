"""The numba kernels as three differentiable torch operations: project, shade, composite.

Kernels work on contiguous float32 numpy views of the tensors; nothing is copied that is already contiguous.
Without gradients (torch.no_grad) autograd drops all that an operation saved as soon as it returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ani3dhuman.rendering.cpu import composite, harmonics, projection, tiles


@dataclass(frozen=True)
class View:
    """What of a rendering is not a tensor; names as in `ani3dhuman.rendering.rasterize`."""

    width: int
    height: int
    near_plane: float
    far_plane: float
    eps2d: float
    ortho: bool
    antialiased: bool


def rasterize_cpu(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    view: View,
    sh_degree: int | None,
    depth_mode: bool,
    color_mode: bool,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render (C,H,W,X) accumulated channels without background, (C,H,W,1) alphas, and meta; float32 CPU tensors."""
    means2d, conics, depths, compensations, reach, radii = Project.apply(
        means, quats, scales, opacities, viewmats, Ks, view
    )
    cameras, count = depths.shape
    seen = opacities.expand(cameras, count)
    if view.antialiased:
        seen = seen * compensations
    channels = []
    if color_mode:
        if sh_degree is not None:
            centres = torch.linalg.inv(viewmats)[:, :3, 3]
            channels.append(Shade.apply(means, centres, colors, radii, sh_degree))
        else:
            channels.append(colors if colors.dim() == 3 else colors.expand(cameras, *colors.shape))
    if depth_mode:
        channels.append(depths[..., None])
    features = channels[0] if len(channels) == 1 else torch.cat(channels, -1)
    image, alphas = Composite.apply(means2d, conics, seen, features, depths.detach(), reach, view)
    meta = {"means2d": means2d, "conics": conics, "depths": depths, "radii": radii, "opacities": seen}
    return image, alphas, meta


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _arrays(*tensors: Tensor) -> Any:
    return [_array(tensor) for tensor in tensors]


class Project(torch.autograd.Function):
    """means, quats, scales, cameras -> means2d (C,N,2), conics (C,N,3), depths (C,N), compensations (C,N), and without
    gradients reach (C,N,2) and radii (C,N,2)."""

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
        inputs = _arrays(means, quats, scales, opacities, viewmats, Ks)
        cameras, count = len(viewmats), len(means)
        means2d = np.zeros((cameras, count, 2), np.float32)
        conics = np.zeros((cameras, count, 3), np.float32)
        depths = np.zeros((cameras, count), np.float32)
        compensations = np.zeros((cameras, count), np.float32)
        reach = np.zeros((cameras, count, 2), np.float32)
        radii = np.zeros((cameras, count, 2), np.int32)
        projection.project_forward(
            *inputs,
            view.width,
            view.height,
            float(view.near_plane),
            float(view.far_plane),
            float(view.eps2d),
            view.ortho,
            view.antialiased,
            means2d,
            conics,
            depths,
            compensations,
            reach,
            radii,
        )
        ctx.saved = (means, quats, scales, viewmats, Ks, view, conics, compensations, radii)
        outputs = tuple(torch.from_numpy(a) for a in (means2d, conics, depths, compensations, reach, radii))
        ctx.mark_non_differentiable(*outputs[4:])
        return outputs

    @staticmethod
    def backward(ctx: Any, g_means2d: Tensor, g_conics: Tensor, g_depths: Tensor, g_comp: Tensor, *_: Any) -> Any:
        means, quats, scales, viewmats, Ks, view, conics, compensations, radii = ctx.saved
        g_means = np.zeros(means.shape, np.float32)
        g_quats = np.zeros(quats.shape, np.float32)
        g_scales = np.zeros(scales.shape, np.float32)
        chunks = -(-len(means) // projection.CHUNK)
        g_views = np.zeros((chunks, len(viewmats), 12), np.float64)
        projection.project_backward(
            *_arrays(means, quats, scales, viewmats, Ks),
            view.width,
            view.height,
            float(view.eps2d),
            view.ortho,
            view.antialiased,
            conics,
            compensations,
            radii,
            *_arrays(g_means2d, g_conics, g_depths, g_comp),
            g_means,
            g_quats,
            g_scales,
            g_views,
        )
        total = g_views.sum(0)
        g_viewmats = np.zeros(viewmats.shape, np.float32)
        g_viewmats[:, :3, :3] = total[:, :9].reshape(-1, 3, 3)
        g_viewmats[:, :3, 3] = total[:, 9:]
        gradients = (torch.from_numpy(a) for a in (g_means, g_quats, g_scales))
        return (*gradients, None, torch.from_numpy(g_viewmats), None, None)


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
    """Projected Gaussians and their channels (C,N,X) -> image (C,H,W,X) and alphas (C,H,W,1)."""

    @staticmethod
    def forward(
        ctx: Any,
        means2d: Tensor,
        conics: Tensor,
        opacities: Tensor,
        features: Tensor,
        depths: Tensor,
        reach: Tensor,
        view: View,
    ) -> tuple[Tensor, Tensor]:
        means2d_, conics_, opacities_, features_ = _arrays(means2d, conics, opacities, features)
        cameras, channels = features.shape[0], features.shape[2]
        lists = tiles.list_tiles(means2d_, _array(reach), _array(depths), view.width, view.height)
        flat = (
            means2d_.reshape(-1, 2),
            conics_.reshape(-1, 3),
            opacities_.reshape(-1),
            features_.reshape(-1, channels),
        )
        image = np.empty((cameras, view.height, view.width, channels), np.float32)
        transmittance = np.empty((cameras, view.height, view.width), np.float32)
        composite.composite_forward(
            *flat, lists.tile_starts, lists.ids, lists.rows, lists.schedule, image, transmittance
        )
        ctx.saved = (flat, lists, image, transmittance, means2d.shape, features.shape)
        return torch.from_numpy(image), torch.from_numpy(1 - transmittance)[..., None]

    @staticmethod
    def backward(ctx: Any, g_image: Tensor, g_alphas: Tensor) -> Any:
        flat, lists, image, transmittance, shape, features_shape = ctx.saved
        channels = features_shape[2]
        sums = np.zeros((len(lists.ids), composite.MOMENTS + channels), np.float32)
        composite.composite_backward(
            *flat,
            lists.tile_starts,
            lists.ids,
            lists.rows,
            lists.slots,
            lists.schedule,
            image,
            transmittance,
            _array(g_image),
            -_array(g_alphas)[..., 0],
            sums,
        )
        cameras, count = shape[:2]
        g_means2d = np.empty((cameras * count, 2), np.float32)
        g_conics = np.empty((cameras * count, 3), np.float32)
        g_opacities = np.empty(cameras * count, np.float32)
        g_features = np.empty((cameras * count, channels), np.float32)
        composite.gather_gradients(
            flat[1], flat[2], lists.slot_starts, sums, g_means2d, g_conics, g_opacities, g_features
        )
        return (
            torch.from_numpy(g_means2d.reshape(cameras, count, 2)),
            torch.from_numpy(g_conics.reshape(cameras, count, 3)),
            torch.from_numpy(g_opacities.reshape(cameras, count)),
            torch.from_numpy(g_features.reshape(features_shape)),
            None,
            None,
            None,
        )
