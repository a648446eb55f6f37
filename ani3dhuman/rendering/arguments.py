"""What `rasterize` refuses, and how it says so."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from ani3d_formats.errors import Ani3DError

from .view import BACKENDS_OF, Backend, CameraModel, RasterizeMode, RenderMode, Tensors, View

RENDER_MODES, RASTERIZE_MODES, CAMERA_MODELS = map(get_args, (RenderMode, RasterizeMode, CameraModel))
BACKENDS = (None, *get_args(Backend))
MAX_CHANNELS = 32
OPACITY_SLACK = 1e-3  # what rounding may add to an opacity of 0 or 1


def check_arguments(given: Tensors, view: View, backend: str | None) -> None:
    """Raise Ani3DError for the first argument of `rasterize` that cannot be drawn."""
    _check_options(view)
    tensors = {name: tensor for name, tensor in given._asdict().items() if name != "backgrounds" or tensor is not None}
    _check_kind(tensors)
    _check_backend(given.means, backend)
    _check_shapes(tensors, view.sh_degree, view.has_colors)
    _check_values(tensors)


def _fail(code: str, message: str, hint: str = "") -> None:
    raise Ani3DError(f"rasterize.{code}", message, hint)


def _check_options(view: View) -> None:
    for name, size in (("width", view.width), ("height", view.height)):
        if not isinstance(size, int) or not 1 <= size <= 32768:
            _fail("size", f"{name} is {size!r}.", f"Pass {name} as an int from 1 to 32768 pixels.")
    if not view.near_plane < view.far_plane:
        _fail("planes", f"near_plane {view.near_plane} does not lie before far_plane {view.far_plane}.")
    if view.camera_model == "pinhole" and not view.near_plane > 0:
        _fail("planes", f"near_plane is {view.near_plane}; a pinhole camera cannot draw at depth 0 or behind itself.")
    if not view.radius_clip >= 0:
        _fail("radius_clip", f"radius_clip is {view.radius_clip}; it is a radius in pixels and must be >= 0.")
    if not view.eps2d >= 0:
        _fail("eps2d", f"eps2d is {view.eps2d}; it is a variance in pixels squared and must be >= 0.")
    if view.sh_degree not in (None, 0, 1, 2, 3):
        _fail("sh_degree", f"sh_degree is {view.sh_degree!r}.", "Pass None, 0, 1, 2 or 3.")
    for name, value, allowed in (
        ("render_mode", view.render_mode, RENDER_MODES),
        ("rasterize_mode", view.rasterize_mode, RASTERIZE_MODES),
        ("camera_model", view.camera_model, CAMERA_MODELS),
    ):
        if value not in allowed:
            _fail(name, f"{name} is {value!r}.", f"Pass one of {', '.join(allowed)}.")


def _check_kind(tensors: dict[str, Tensor]) -> None:
    first = next(iter(tensors.values()))
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            _fail("type", f"{name} is a {type(tensor).__name__}, not a torch.Tensor.")
        if not tensor.dtype.is_floating_point:
            _fail("dtype", f"{name} is {tensor.dtype}.", "Pass floating-point tensors, float32 as a rule.")
        if tensor.dtype != first.dtype:
            _fail(
                "dtype",
                f"{name} is {tensor.dtype} but means is {first.dtype}.",
                "Pass all tensors in one dtype.",
            )
        if tensor.device != first.device:
            _fail(
                "device",
                f"{name} is on {tensor.device} but means is on {first.device}.",
                "Move all to one device.",
            )


def _check_backend(means: Tensor, backend: str | None) -> None:
    if backend not in BACKENDS:
        _fail("backend", f"backend is {backend!r}.", "Pass None, 'cpu', 'cuda' or 'reference'.")
    if backend == "reference":
        return
    own = BACKENDS_OF.get(means.device.type)
    if own == "reference" and backend is None:
        return
    if backend is not None and backend != own:
        _fail(
            "backend",
            f"backend {backend!r} cannot draw tensors on {means.device}.",
            f"Move them to {backend}.",
        )
    if own is None:
        _fail(
            "device",
            f"means is on {means.device}.",
            "Move the tensors to cpu or cuda, or use backend='reference'.",
        )
    if means.dtype != torch.float32:
        _fail(
            "dtype",
            f"means is {means.dtype}; the fast backends draw float32.",
            "Call .float() on all tensors, or use backend='reference'.",
        )


def _check_shapes(tensors: dict[str, Tensor], sh_degree: int | None, color_mode: bool) -> None:
    means, colors, viewmats = tensors["means"], tensors["colors"], tensors["viewmats"]
    _expect("means", means, "(N,3)", means.dim() == 2 and means.shape[1] == 3)
    count = len(means)
    _expect("quats", tensors["quats"], f"({count},4) for {count} means", tensors["quats"].shape == (count, 4))
    _expect("scales", tensors["scales"], f"({count},3) for {count} means", tensors["scales"].shape == (count, 3))
    _expect(
        "opacities",
        tensors["opacities"],
        f"({count},) for {count} means",
        tensors["opacities"].shape == (count,),
    )
    _expect(
        "viewmats",
        viewmats,
        "(C,4,4)",
        viewmats.dim() == 3 and viewmats.shape[1:] == (4, 4) and len(viewmats) > 0,
    )
    cameras = len(viewmats)
    _expect("Ks", tensors["Ks"], f"({cameras},3,3) for {cameras} viewmats", tensors["Ks"].shape == (cameras, 3, 3))
    if sh_degree is None:
        expected = f"({count},D) or ({cameras},{count},D) with D from 1 to {MAX_CHANNELS}"
        leading, channels = colors.shape[:-1], colors.shape[-1] if colors.dim() else 0
        good = leading in ((count,), (cameras, count)) and 1 <= channels <= MAX_CHANNELS
    else:
        bases = (sh_degree + 1) ** 2
        expected = f"({count},K,3) or ({cameras},{count},K,3) with K >= {bases} for sh_degree {sh_degree}"
        leading, channels = colors.shape[:-2], 3
        good = colors.dim() >= 3 and leading in ((count,), (cameras, count))
        good = good and colors.shape[-1] == 3 and colors.shape[-2] >= bases
    _expect("colors", colors, expected, good)
    if "backgrounds" in tensors and color_mode:
        backgrounds = tensors["backgrounds"]
        expected = f"({cameras},{channels}) for {cameras} viewmats and {channels} channels"
        _expect("backgrounds", backgrounds, expected, backgrounds.shape == (cameras, channels))


def _expect(name: str, tensor: Tensor, expected: str, good: bool) -> None:
    if not good:
        _fail("shape", f"{name} has shape {tuple(tensor.shape)}.", f"Expected {expected}.")


@torch.no_grad()
def _check_values(tensors: dict[str, Tensor]) -> None:
    """All conditions are computed first and read back at once: one wait for a GPU, not a dozen."""
    viewmats, Ks = tensors["viewmats"], tensors["Ks"]
    # NaN goes through minima and maxima, so these two numbers also tell whether all others are finite
    ranges = {name: tensor.aminmax() for name, tensor in tensors.items() if tensor.numel()}
    finite = [(low.abs() + high.abs()).isfinite() for low, high in ranges.values()]
    rotations = viewmats[:, :3, :3]
    bottom = torch.zeros_like(viewmats[:, 3])
    bottom[:, 3] = 1
    skew = torch.stack([Ks[:, 0, 1], Ks[:, 1, 0], Ks[:, 2, 0], Ks[:, 2, 1], Ks[:, 2, 2] - 1], -1)
    fine = torch.ones((), dtype=torch.bool, device=viewmats.device)
    (scales, _), (least, most), quats = (
        ranges.get("scales", (fine, fine)),
        ranges.get("opacities", (fine, fine)),
        tensors["quats"].abs().amax(-1).amin() if "quats" in ranges else fine,
    )
    conditions = [
        scales >= 0,
        (least >= -OPACITY_SLACK) & (most <= 1 + OPACITY_SLACK),
        quats > 1e-12,
        (torch.linalg.det(rotations.double()).abs() > 1e-8).all(),
        ((viewmats[:, 3] - bottom).abs() < 1e-5).all(),
        ((Ks[:, 0, 0] > 0) & (Ks[:, 1, 1] > 0)).all(),
        (skew.abs() < 1e-5).all(),
    ]
    verdicts = torch.stack(finite + conditions).tolist()
    for name, good in zip(ranges, verdicts[: len(finite)], strict=True):
        tensor = tensors[name]
        if not good and not bool(tensor.isfinite().all()):
            bad = ~tensor.isfinite()
            where = bad.nonzero()[0].tolist()
            count = f"{int(bad.sum())} NaN or infinite numbers, the first at {where}"
            message = f"{name} of shape {tuple(tensor.shape)} has {count}."
            _fail("not_finite", message, "All parameters must be finite; look at the step that made them.")
    positive, opaque, turned, invertible, affine, focal, plain = verdicts[len(finite) :]
    shape = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if not positive:
        _fail(
            "scales",
            f"scales of shape {shape['scales']} has negative numbers.",
            "Pass linear scales >= 0, not logs.",
        )
    if not opaque:
        _fail(
            "opacities",
            f"opacities of shape {shape['opacities']} has numbers outside 0..1.",
            "Pass opacities after the sigmoid, 0..1.",
        )
    if not turned:
        _fail(
            "quats",
            f"quats of shape {shape['quats']} has a zero quaternion.",
            "Pass wxyz quaternions; (1,0,0,0) turns nothing.",
        )
    if not invertible:
        _fail(
            "viewmats",
            f"viewmats of shape {shape['viewmats']} has a singular matrix.",
            "Pass world-to-camera 4x4 matrices.",
        )
    if not affine:
        _fail(
            "viewmats",
            f"viewmats of shape {shape['viewmats']} has a last row other than (0,0,0,1).",
            "Pass world-to-camera matrices for column vectors; a transposed matrix does this.",
        )
    if not focal:
        _fail(
            "Ks",
            f"Ks of shape {shape['Ks']} has a focal length <= 0.",
            "Pass pixel intrinsics with positive fx and fy.",
        )
    if not plain:
        _fail(
            "Ks",
            f"Ks of shape {shape['Ks']} has skew or a last row other than (0,0,1).",
            "Pass [[fx,0,cx],[0,fy,cy],[0,0,1]].",
        )
