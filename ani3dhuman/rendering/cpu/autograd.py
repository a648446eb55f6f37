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
from . import composite, composite_backward, harmonics, projection, projection_backward, tiles
from .composite import CHANNELS_MIN, TileInputs, TileOutputs
from .footprint import LAYOUT, RECORD, TILE_PIXELS
from .projection_backward import GaussianGradients, ProjectedGradients
from .simd import WIDE_LANES


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


def _frustum(view: View) -> projection.Frustum:
    planes = float(view.near_plane), float(view.far_plane)
    clip = float(view.radius_clip), float(view.eps2d)
    return projection.Frustum(view.width, view.height, *planes, *clip, view.ortho, view.antialiased)


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
        cameras, count = len(viewmats), len(means)
        # covs2d in float64: its gradient's component along a needle is a small difference of large numbers
        kinds = (((2,), np.float32), ((3,), np.float64), ((), np.float32), ((), np.float32), ((3,), np.float32))
        outputs = [np.zeros((cameras, count, *rest), kind) for rest, kind in (*kinds, ((2,), np.int32))]
        outputs.append(np.zeros(cameras * count * RECORD, np.float64))
        projection.project_forward(
            *(a.reshape(-1) for a in _arrays(means, quats, scales, opacities)),
            *_arrays(viewmats, Ks),
            _frustum(view),
            projection.Projected(*(a.reshape(-1) for a in outputs)),
        )
        ctx.set_materialize_grads(False)
        ctx.saved = (means, quats, scales, viewmats, Ks, view, outputs[5])
        tensors = tuple(torch.from_numpy(a) for a in outputs)
        ctx.mark_non_differentiable(*tensors[4:])
        return tensors

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        means, quats, scales, viewmats, Ks, view, radii = ctx.saved
        cameras, count = len(viewmats), len(means)
        g_means2d, g_covs2d, g_depths, g_compensations = (
            np.zeros(0 if k > 1 else (cameras, count, 2 + k), np.float64 if k == 1 else np.float32)
            if g is None
            else _array(g)
            for k, g in enumerate(gradients[:4])
        )
        found = [np.empty(t.shape, np.float32) for t in (means, quats, scales)]
        chunks = -(-count // projection_backward.CHUNK) if ctx.needs_input_grad[4] else 0
        g_views = np.zeros((chunks, cameras, 12, WIDE_LANES), np.float64)
        projection_backward.project_backward(
            *(a.reshape(-1) for a in _arrays(means, quats, scales)),
            *_arrays(viewmats, Ks),
            _frustum(view),
            radii.reshape(-1),
            ProjectedGradients(*(a.reshape(-1) for a in (g_means2d, g_covs2d, g_depths, g_compensations))),
            GaussianGradients(*(a.reshape(-1) for a in (*found, g_views))),
        )
        total = g_views.sum((0, 3))
        g_viewmats = np.zeros(viewmats.shape, np.float32)
        g_viewmats[:, :3, :3] = total[:, :9].reshape(-1, 3, 3)
        g_viewmats[:, :3, 3] = total[:, 9:]
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
        cameras, count, given = features.shape
        used = given + view.expected_depth  # expected depth is depth over coverage, and coverage a channel of ones
        channels = max(used, CHANNELS_MIN)
        padded = _array(features)
        if channels > given:
            padded = np.zeros((cameras, count, channels), np.float32)
            padded[..., :given] = _array(features)
            padded[..., given:used] = 1
        behind = np.zeros((cameras, channels), np.float32)
        if backgrounds is not None:
            behind[:, : backgrounds.shape[1]] = _array(backgrounds)
        splats_ = splats.numpy()
        lists = tiles.list_tiles(splats_, _array(depths), view.width, view.height)
        inputs = TileInputs(
            splats_,
            padded.reshape(-1),
            lists.tile_starts,
            lists.ids,
            lists.slots,
            lists.schedule,
            LAYOUT,
            behind,
            given - 1 if view.expected_depth else -1,
        )
        size, blocks = (view.height, view.width), len(lists.schedule) * TILE_PIXELS
        drawn = TileOutputs(
            np.empty((cameras, channels, *size), np.float32),
            np.empty((cameras, *size), np.float32),
            np.empty(blocks, np.float32),
            np.empty(blocks, np.float32),
            np.empty(len(lists.ids), np.uint64),
        )
        composite.composite_forward(inputs, drawn)
        ctx.saved = (inputs, lists, drawn, _array(opacities), features.shape, backgrounds)
        return torch.from_numpy(drawn.image)[:, :given].permute(0, 2, 3, 1), torch.from_numpy(drawn.alphas)[..., None]

    @staticmethod
    def backward(ctx: Any, g_image: Tensor, g_alphas: Tensor) -> Any:
        inputs, lists, drawn, opacities, shape, backgrounds = ctx.saved
        cameras, count, given = shape
        width = composite_backward.row_width(inputs.backgrounds.shape[1])
        rows = np.empty(len(lists.ids) * width, np.float32)
        g_behind = np.zeros((len(lists.schedule), given * 16), np.float32)
        g_pixels = (_memory(g_image), g_image.stride(), _array(g_alphas[..., 0]))
        composite_backward.composite_backward(inputs, drawn, *g_pixels, g_behind, rows)
        total = cameras * count
        g_means2d = np.empty((total, 2), np.float32)
        g_covs2d = np.empty((total, 3), np.float64)
        g_opacities = np.empty(total, np.float32)
        g_features = np.empty((total, given), np.float32)
        composite_backward.gather_gradients(
            inputs.splats,
            opacities.reshape(-1),
            lists.slot_starts,
            rows,
            width,
            g_means2d,
            g_covs2d,
            g_opacities,
            g_features,
        )
        g_backgrounds = None
        if backgrounds is not None:
            by_channel = g_behind.reshape(cameras, -1, given, 16).sum((1, 3))
            g_backgrounds = torch.from_numpy(by_channel[:, : backgrounds.shape[1]].copy())
        return (
            torch.from_numpy(g_means2d.reshape(cameras, count, 2)),
            torch.from_numpy(g_covs2d.reshape(cameras, count, 3)),
            torch.from_numpy(g_opacities.reshape(cameras, count)),
            torch.from_numpy(g_features.reshape(shape)),
            g_backgrounds,
            *(None,) * 3,
        )
