"""`rasterize`: checks its arguments, picks a backend by device, adds background and expected depth."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from ani3dhuman.rendering.arguments import check_arguments

RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]
RasterizeMode = Literal["classic", "antialiased"]
CameraModel = Literal["pinhole", "ortho"]
Backend = Literal["cpu", "cuda", "reference"]


def rasterize(
    means: Tensor,
    quats: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    viewmats: Tensor,
    Ks: Tensor,
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    eps2d: float = 0.3,
    sh_degree: int | None = None,
    backgrounds: Tensor | None = None,
    render_mode: RenderMode = "RGB",
    rasterize_mode: RasterizeMode = "classic",
    camera_model: CameraModel = "pinhole",
    backend: Backend | None = None,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Draw N Gaussians as C cameras see them (3D Gaussian Splatting, Kerbl et al. 2023), differentiably.

    Signature and conventions are those of `gsplat.rasterization`. Gradients flow to means, quats, scales, opacities,
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
        near_plane, far_plane: depths outside are not drawn.
        eps2d: variance added to both axes of the projected covariance, pixels squared.
        sh_degree: 0..3 when `colors` are spherical-harmonics coefficients.
        backgrounds: (C,D) drawn behind; a depth channel has none.
        render_mode: "D" is accumulated depth, "ED" expected depth (accumulated over alpha), always the last channel.
        rasterize_mode: "antialiased" dims Gaussians by what eps2d has widened them (Mip-Splatting, Yu et al. 2024).
        camera_model: "pinhole" or "ortho".
        backend: None chooses by device: "cuda" (gsplat) or "cpu" (numba kernels, float32). "reference" is plain torch,
            slow, any float dtype, the oracle of the tests.

    Returns:
        (C,H,W,X) channels, (C,H,W,1) alphas, and meta with "means2d" (C,N,2), "radii" (C,N,2) int32 (zero where
        unseen), "depths" (C,N), "conics" (C,N,3).

    Raises:
        Ani3DError: a wrong shape, dtype, device or option, a number that is not finite, a negative scale, an opacity
            outside 0..1, a zero quaternion, a singular viewmat; the message names the argument.
    """
    check_arguments(
        means,
        quats,
        scales,
        opacities,
        colors,
        viewmats,
        Ks,
        width,
        height,
        near_plane=near_plane,
        far_plane=far_plane,
        eps2d=eps2d,
        sh_degree=sh_degree,
        backgrounds=backgrounds,
        render_mode=render_mode,
        rasterize_mode=rasterize_mode,
        camera_model=camera_model,
        backend=backend,
    )
    chosen = backend or ("cuda" if means.is_cuda else "cpu")
    if chosen == "cuda":
        from ani3dhuman.rendering.cuda import rasterize_cuda

        return rasterize_cuda(
            means,
            quats,
            scales,
            opacities,
            colors,
            viewmats,
            Ks,
            width,
            height,
            near_plane=near_plane,
            far_plane=far_plane,
            eps2d=eps2d,
            sh_degree=sh_degree,
            backgrounds=backgrounds,
            render_mode=render_mode,
            rasterize_mode=rasterize_mode,
            camera_model=camera_model,
        )
    color_mode, depth_mode = render_mode.startswith("RGB"), render_mode.endswith("D")
    ortho, antialiased = camera_model == "ortho", rasterize_mode == "antialiased"
    gaussians = (means, quats, scales, opacities, colors, viewmats, Ks)
    if chosen == "reference":
        from ani3dhuman.rendering.reference import rasterize_reference

        image, alphas, meta = rasterize_reference(
            *gaussians,
            width,
            height,
            near_plane=near_plane,
            far_plane=far_plane,
            eps2d=eps2d,
            sh_degree=sh_degree,
            color_mode=color_mode,
            depth_mode=depth_mode,
            ortho=ortho,
            antialiased=antialiased,
        )
    else:
        from ani3dhuman.rendering.cpu.autograd import View, rasterize_cpu

        view = View(width, height, near_plane, far_plane, eps2d, ortho, antialiased)
        image, alphas, meta = rasterize_cpu(*gaussians, view, sh_degree, depth_mode, color_mode)
    return (
        _finish(image, alphas, backgrounds, color_mode, depth_mode, render_mode.endswith("ED")),
        alphas,
        meta,
    )


def _finish(
    image: Tensor,
    alphas: Tensor,
    backgrounds: Tensor | None,
    color_mode: bool,
    depth_mode: bool,
    expected: bool,
) -> Tensor:
    """Put the background behind the colours and turn accumulated depth into expected depth where asked."""
    if not depth_mode:
        colors, depths = image, None
    else:
        colors, depths = image[..., :-1], image[..., -1:]
    if color_mode and backgrounds is not None:
        colors = colors + (1 - alphas) * backgrounds[:, None, None, :]
    if depths is None:
        return colors
    if expected:
        depths = depths / alphas.clamp(min=1e-10)
    return torch.cat([colors, depths], -1)
