"""One picture of a fit drawn, on whatever device its Gaussians are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ...device import Compute
from ...rendering.cpu.passes import Cameras, Shapes, compose, compose_back, gradients_of_shapes, project
from ...rendering.draw import BLUR, SAMPLES, sampled
from ...rendering.view import View
from .surfels import Placed
from .targets import Target

COARSE_BLUR = 0.05  # of pixels of one sample, which see less of what is small


def blur_of(samples: int) -> float:
    """By what pixels of so many samples along each side widen Gaussians, as `draw.BLUR`."""
    return BLUR if samples >= SAMPLES else COARSE_BLUR


def draw_target(
    gaussians: Sequence[Tensor], target: Target, backdrop: Tensor, compute: Compute, samples: int = SAMPLES
) -> tuple[Tensor, Tensor]:
    """Gaussians as the target's camera sees them over a `backdrop` (3,): colours (1,H,W,3) and alphas (1,H,W,1).

    `gaussians` are means (N,3), quats (N,4), scales (N,3), opacities (N,) and colours (N,3), sRGB-encoded; a pixel has
    `samples` along each side.
    """
    height, width = target.alpha.shape
    return sampled(
        gaussians,
        compute.tensor(target.viewmat)[None],
        compute.tensor(target.K)[None],
        samples,
        width=width,
        height=height,
        eps2d=blur_of(samples),
        backgrounds=backdrop[None],
    )


class Samples:
    """The samples that a picture is the mean of, on the CPU: `samples` times as many pixels along each side.

    Nothing is checked and no graph is kept.

    Attributes:
        image, alphas: (3,S*H,S*W) and (S*H,S*W).
    """

    def __init__(
        self, placed: Placed, colors: np.ndarray, target: Target, backdrop: np.ndarray, samples: int = SAMPLES
    ) -> None:
        """`colors` (n,3) of Gaussians over a `backdrop` (3,), float32."""
        height, width = target.alpha.shape
        view = View(samples * width, samples * height, eps2d=samples**2 * blur_of(samples))
        K = target.K * np.array([[samples], [samples], [1]], np.float32)
        self._shapes = Shapes(placed.means, placed.quats, placed.scales)
        self._cameras = Cameras(np.ascontiguousarray(target.viewmat[None]), K[None], view)
        self._opacities = placed.opacities[None]
        self._projected = project(self._shapes, placed.opacities, self._cameras)
        own = self._projected.splats, self._projected.depths
        self._composed = compose(*own, np.ascontiguousarray(colors[None]), backdrop[None], view)
        self.image, self.alphas = self._composed.image[0], self._composed.alphas[0]

    def back(self, on_image: np.ndarray, on_alphas: np.ndarray) -> tuple[Placed, np.ndarray]:
        """Gradients of the Gaussians and of their colours (n,3) from those of `image` and `alphas`, contiguous."""
        _, height, width = on_image.shape
        strides = on_image.size, width, 1, height * width
        on_means2d, on_covs2d, on_opacities, on_colors, _ = compose_back(
            self._composed, self._opacities, on_image.reshape(-1), strides, on_alphas[None]
        )
        shapes = gradients_of_shapes(self._shapes, self._cameras, self._projected, on_means2d, on_covs2d)
        return Placed(*shapes, on_opacities[0]), on_colors[0]
