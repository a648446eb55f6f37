"""The kernels called in order, on arrays: projection and compositing, each there and back.

Everything is contiguous float32 unless said otherwise. `autograd` makes torch operations of these passes; who needs
no graph calls them alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..view import View
from . import composite, composite_backward, projection, projection_backward, tiles
from .composite import CHANNELS_MIN, TileInputs, TileOutputs
from .footprint import LAYOUT, RECORD, TILE_PIXELS
from .projection import Projected
from .projection_backward import GaussianGradients, ProjectedGradients
from .simd import WIDE_LANES

_NONE = np.zeros(0, np.float32)


class Composed(NamedTuple):
    """A picture, and what its way back reads; `given` channels of it were asked for."""

    inputs: TileInputs
    lists: tiles.TileLists
    drawn: TileOutputs
    given: int

    @property
    def image(self) -> np.ndarray:
        """(C,X,H,W) channels over the background."""
        return self.drawn.image[:, : self.given]

    @property
    def alphas(self) -> np.ndarray:
        """(C,H,W)."""
        return self.drawn.alphas


class Shapes(NamedTuple):
    """N Gaussians: means (N,3), quats (N,4), scales (N,3)."""

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray


class Cameras(NamedTuple):
    """C of them, and how they draw: viewmats (C,4,4), Ks (C,3,3)."""

    viewmats: np.ndarray
    Ks: np.ndarray
    view: View

    @property
    def frustum(self) -> projection.Frustum:
        view = self.view
        planes = float(view.near_plane), float(view.far_plane)
        clip = float(view.radius_clip), float(view.eps2d)
        return projection.Frustum(view.width, view.height, *planes, *clip, view.ortho, view.antialiased)


def project(shapes: Shapes, opacities: np.ndarray, cameras: Cameras) -> Projected:
    """Gaussians as the cameras see them, each array (C,N,...) but the flat splats."""
    size = len(cameras.viewmats), len(shapes.means)
    # covs2d in float64: its gradient's component along a needle is a small difference of large numbers
    kinds = (((2,), np.float32), ((3,), np.float64), ((), np.float32), ((), np.float32), ((3,), np.float32))
    outputs = [np.zeros((*size, *rest), kind) for rest, kind in (*kinds, ((2,), np.int32))]
    outputs.append(np.zeros(size[0] * size[1] * RECORD, np.float64))
    projection.project_forward(
        *(a.reshape(-1) for a in (*shapes, opacities)),
        cameras.viewmats,
        cameras.Ks,
        cameras.frustum,
        Projected(*(a.reshape(-1) for a in outputs)),
    )
    return Projected(*outputs)


def project_back(
    shapes: Shapes, cameras: Cameras, radii: np.ndarray, gradients: ProjectedGradients, with_cameras: bool = False
) -> tuple[Shapes, np.ndarray]:
    """Gradients of the shapes, and (C,12) float64 of the cameras' rotations, row-major, and translations, or zeros.

    `radii` are those of `project`; `gradients` of any shape, or empty where nothing came back.
    """
    count = len(shapes.means)
    found = Shapes(*(np.empty(a.shape, np.float32) for a in shapes))
    chunks = -(-count // projection_backward.CHUNK) if with_cameras else 0
    views = np.zeros((chunks, len(cameras.viewmats), 12, WIDE_LANES), np.float64)
    projection_backward.project_backward(
        *(a.reshape(-1) for a in shapes),
        cameras.viewmats,
        cameras.Ks,
        cameras.frustum,
        radii.reshape(-1),
        ProjectedGradients(*(a.reshape(-1) for a in gradients)),
        GaussianGradients(*(a.reshape(-1) for a in (*found, views))),
    )
    return found, views.sum((0, 3))


def compose(
    splats: np.ndarray, keys: np.ndarray, features: np.ndarray, backgrounds: np.ndarray | None, view: View
) -> Composed:
    """Draw features (C,N,X) of projected Gaussians, the least of the `keys` (C,N) in front, over (C,X') or zeros."""
    cameras, count, given = features.shape
    used = given + view.expected_depth  # expected depth is depth over coverage, and coverage a channel of ones
    channels = max(used, CHANNELS_MIN)
    padded = features
    if channels > given:
        padded = np.zeros((cameras, count, channels), np.float32)
        padded[..., :given] = features
        padded[..., given:used] = 1
    behind = np.zeros((cameras, channels), np.float32)
    if backgrounds is not None:
        behind[:, : backgrounds.shape[1]] = backgrounds
    lists = tiles.list_tiles(splats, keys, view.width, view.height)
    inputs = TileInputs(
        splats,
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
    return Composed(inputs, lists, drawn, given)


def compose_back(
    composed: Composed, opacities: np.ndarray, g_image: np.ndarray, strides: tuple[int, ...], g_alphas: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of means2d (C,N,2), covs2d (C,N,3) float64, opacities (C,N), features (C,N,X) and backgrounds (C,X).

    `opacities` (C,N) are those that were drawn, `g_image` the flat memory of (C,H,W,X) whose `strides` are in floats,
    `g_alphas` (C,H,W).
    """
    inputs, lists, drawn, given = composed
    cameras, count = opacities.shape
    width = composite_backward.row_width(inputs.backgrounds.shape[1])
    rows = np.empty(len(lists.ids) * width, np.float32)
    g_behind = np.zeros((len(lists.schedule), given * 16), np.float32)
    composite_backward.composite_backward(inputs, drawn, g_image, strides, g_alphas, g_behind, rows)
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
    size = cameras, count
    g_backgrounds = g_behind.reshape(cameras, -1, given, 16).sum((1, 3))
    return (
        g_means2d.reshape(*size, 2),
        g_covs2d.reshape(*size, 3),
        g_opacities.reshape(size),
        g_features.reshape(*size, given),
        g_backgrounds,
    )


def gradients_of_shapes(
    shapes: Shapes, cameras: Cameras, projected: Projected, g_means2d: np.ndarray, g_covs2d: np.ndarray
) -> Shapes:
    """Gradients of the shapes from those of where they are in the picture."""
    return project_back(shapes, cameras, projected.radii, ProjectedGradients(g_means2d, g_covs2d, _NONE, _NONE))[0]
