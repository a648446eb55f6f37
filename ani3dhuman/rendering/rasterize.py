"""`rasterize`: checks its arguments, picks a backend by device, watches over its gradients."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import Tensor

from .arguments import check_arguments
from .gradient_guard import guard_inputs, guard_outputs
from .view import BACKENDS_OF, Backend, Options, Tensors, View


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    **options: Unpack[Options],
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Draw N Gaussians as C cameras see them (3D Gaussian Splatting, Kerbl et al. 2023), differentiably.

    Names and conventions are those of `gsplat.rasterization`. Gradients flow to means, quats, scales, opacities,
    colors, viewmats and backgrounds.

    Args:
        means: (N,3) centres, world space.
        quats: (N,4) wxyz; need not be unit.
        scales: (N,3) standard deviations along the axes, linear, >= 0.
        opacities: (N,) 0..1.
        colors: (N,D) or (C,N,D), any D from 1 to 32; with `sh_degree`, coefficients (N,K,3) or (C,N,K,3).
        viewmats: (C,4,4) world to camera, OpenCV axes.
        Ks: (C,3,3) pixel intrinsics without skew, pixel centres at +0.5; for "ortho" fx, fy are pixels per unit.
        width, height: picture size in pixels.
        near_plane, far_plane: depths outside are not drawn; 0.01 and 1e10.
        radius_clip: a Gaussian whose radii in the picture are no larger than this, in pixels, is not drawn; 0.
        eps2d: variance added to both axes of the projected covariance, pixels squared; 0.3.
        sh_degree: 0..3 when `colors` are spherical-harmonics coefficients.
        backgrounds: (C,D) drawn behind; a depth channel has none.
        render_mode: "RGB", "D" accumulated depth, "ED" expected depth (accumulated over alpha), "RGB+D" or "RGB+ED";
            depth is the last channel.
        rasterize_mode: "classic", or "antialiased", which dims Gaussians by what eps2d has widened them (Mip-Splatting,
            Yu et al. 2024).
        camera_model: "pinhole" or "ortho".
        backend: None chooses by device: "cuda" (gsplat) or "cpu" (numba kernels, float32). "reference" is plain torch,
            slow, any float dtype, the oracle of the tests.

    Returns:
        (C,H,W,X) channels and (C,H,W,1) alphas, premultiplied but for the expected depth; on the CPU the channels are a
        view of planes (C,X,H,W). And meta with "means2d" (C,N,2) and "depths" (C,N), which take gradients, "radii"
        (C,N,2) int32 in pixels (zero where unseen), "conics" (C,N,3), "visible_counts" (N,) int32, how many cameras
        see each Gaussian.

    Raises:
        Ani3DError: ``rasterize.*``: a wrong shape, dtype, device or option, a number that is not finite, a negative
            scale, an opacity outside 0..1, a zero quaternion, a singular viewmat; the message names the argument.
            In the backward pass ``rasterize.gradient``: a gradient that is not finite.
    """
    behind, backend = options.pop("backgrounds", None), options.pop("backend", None)
    view = View(**options)  # type: ignore[misc]
    check_arguments(Tensors(means, quats, scales, opacities, colors, viewmats, Ks, behind), view, backend)
    means, quats, scales, opacities, colors, viewmats = guard_inputs(
        means=means, quats=quats, scales=scales, opacities=opacities, colors=colors, viewmats=viewmats
    )
    guarded = Tensors(means, quats, scales, opacities, colors, viewmats, Ks, behind if view.has_colors else None)
    draw = _backend(backend or BACKENDS_OF[means.device.type])
    image, alphas, meta = draw(guarded, view)
    meta["visible_counts"] = (meta["radii"] > 0).all(-1).sum(0, dtype=torch.int32)
    image, alphas = guard_outputs(image=image, alphas=alphas)
    return image, alphas, meta


def _backend(name: Backend) -> Any:
    """The function that draws; each is imported when first asked for, since that costs seconds."""
    if name == "cuda":
        from .cuda import rasterize_cuda

        return rasterize_cuda
    if name == "cpu":
        from .cpu.autograd import rasterize_cpu

        return rasterize_cpu
    from .reference import rasterize_reference

    return rasterize_reference
