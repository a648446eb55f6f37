"""How a picture is drawn: everything of a `rasterize` call that is not a tensor, as all backends read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Required, TypedDict

from torch import Tensor

RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]
RasterizeMode = Literal["classic", "antialiased"]
CameraModel = Literal["pinhole", "ortho"]
Backend = Literal["cpu", "cuda", "reference"]
BACKENDS_OF: dict[str, Backend] = {"cpu": "cpu", "cuda": "cuda"}  # what draws by itself, by type of device


class Tensors(NamedTuple):
    """What a backend draws; shapes as in `ani3dhuman.rendering.rasterize`."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor
    viewmats: Tensor
    Ks: Tensor
    backgrounds: Tensor | None


class Options(TypedDict, total=False):
    """What `rasterize` takes by name; those that are left out have the values of `View`."""

    width: Required[int]
    height: Required[int]
    near_plane: float
    far_plane: float
    radius_clip: float
    eps2d: float
    sh_degree: int | None
    backgrounds: Tensor | None
    render_mode: RenderMode
    rasterize_mode: RasterizeMode
    camera_model: CameraModel
    backend: Backend | None


@dataclass(frozen=True)
class View:
    """Picture size and options; names and units as in `ani3dhuman.rendering.rasterize`."""

    width: int
    height: int
    near_plane: float = 0.01
    far_plane: float = 1e10
    radius_clip: float = 0.0
    eps2d: float = 0.3
    sh_degree: int | None = None
    render_mode: RenderMode = "RGB"
    rasterize_mode: RasterizeMode = "classic"
    camera_model: CameraModel = "pinhole"

    @property
    def has_colors(self) -> bool:
        return self.render_mode.startswith("RGB")

    @property
    def has_depth(self) -> bool:
        return self.render_mode.endswith("D")

    @property
    def expected_depth(self) -> bool:
        """Whether the depth channel is divided by coverage."""
        return self.render_mode.endswith("ED")

    @property
    def ortho(self) -> bool:
        return self.camera_model == "ortho"

    @property
    def antialiased(self) -> bool:
        return self.rasterize_mode == "antialiased"
