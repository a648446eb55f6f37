"""One view of the scene: its cameras, and the part of its restored video around the garment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..storage.frames_on_disk import Frames
from .problem import RestoredView

TILE = 16  # windows are whole tiles of the rasteriser


@dataclass(frozen=True)
class Window:
    """Part of a picture in pixels, the far ends excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """The window of `picture` (H,W,...)."""
        return picture[self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class FitView:
    """Tensors of one view; frames are read through its methods, with a leading batch axis of 1.

    Attributes:
        viewmats: (T,4,4) world to camera; Ks: (T,3,3) pixels, of the whole picture.
        ortho: whether the cameras are orthographic.
        windows: one per frame, h x w pixels around what is compared.
        targets: (3,h,w) for each frame, of the type the view came in; alphas: (1,h,w) likewise, or None.
        masks: (1,h,w) for each frame, how much each pixel counts.
        all_colors: (T,N,3) in the order of the avatar; order: (N,) its Gaussians as the scene has them.
    """

    viewmats: Tensor
    Ks: Tensor
    ortho: bool
    windows: tuple[Window, ...]
    targets: tuple[Tensor, ...]
    alphas: tuple[Tensor, ...] | None
    masks: tuple[Tensor, ...]
    all_colors: np.ndarray | Frames
    order: np.ndarray

    def to(self, device: str) -> FitView:
        """The same on a device, colours of all Gaussians excepted, which come frame by frame."""
        cuts: dict[str, Any] = {n: tuple(part.to(device) for part in getattr(self, n)) for n in ("targets", "masks")}
        alphas = None if self.alphas is None else tuple(part.to(device) for part in self.alphas)
        return replace(self, viewmats=self.viewmats.to(device), Ks=self.Ks.to(device), alphas=alphas, **cuts)

    @property
    def seen(self) -> tuple[int, ...]:
        """Frames where anything can be compared."""
        return tuple(t for t, mask in enumerate(self.masks) if mask.any())

    def target(self, frame: int) -> Tensor:
        """(1,3,h,w) the restored picture, sRGB 0..1."""
        return _as_float(self.targets[frame])[None]

    def target_alpha(self, frame: int) -> Tensor | None:
        """(1,1,h,w) its coverage 0..1, or None where it has none."""
        return None if self.alphas is None else _as_float(self.alphas[frame])[None]

    def mask(self, frame: int) -> Tensor:
        """(1,1,h,w) 0..1, how much each pixel counts."""
        return self.masks[frame][None]

    def colors(self, frame: int) -> Tensor:
        """(N,3) sRGB of the scene's Gaussians."""
        return torch.from_numpy(np.asarray(self.all_colors[frame][self.order], np.float32)).to(self.Ks.device)

    def intrinsics(self, frame: int) -> Tensor:
        """(3,3) K of the frame's window, pixels."""
        window, K = self.windows[frame], self.Ks[frame].clone()
        K[0, 2] -= window.left
        K[1, 2] -= window.top
        return K


def build_view(view: RestoredView, margin: int, order: np.ndarray, check_cancelled: Callable[[], None]) -> FitView:
    """Tensors of `view`; `margin` pixels around the garment mask are compared too, `order` as in `FitView`.

    `check_cancelled` is called before every frame and may raise, to stop.
    """
    windows, masks = [], []
    for garment in view.garment_mask:
        check_cancelled()
        mask = _widened(np.array(garment, np.float32), margin)
        windows.append(window_of(mask > 0))
        masks.append(torch.from_numpy(windows[-1].cut(mask)[None].copy()))
    alphas = None
    if view.target_alpha is not None:
        alphas = _cut_all(view.target_alpha[..., None], windows, check_cancelled)
    return FitView(
        viewmats=torch.from_numpy(np.array(view.cameras.viewmats, np.float32)),
        Ks=torch.from_numpy(np.array(view.cameras.Ks, np.float32)),
        ortho=view.cameras.camera_type == "orthographic",
        windows=tuple(windows),
        targets=_cut_all(view.target, windows, check_cancelled),
        alphas=alphas,
        masks=tuple(masks),
        all_colors=view.colors,
        order=order,
    )


def window_of(mask: np.ndarray) -> Window:
    """The smallest box of whole tiles around `mask` (H,W); one tile where nothing is seen."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return Window(0, 0, min(TILE, width), min(TILE, height))
    left, top = columns[0] // TILE * TILE, rows[0] // TILE * TILE
    right = min(-(-(columns[-1] + 1) // TILE) * TILE, width)
    bottom = min(-(-(rows[-1] + 1) // TILE) * TILE, height)
    return Window(int(left), int(top), int(right), int(bottom))


def _cut_all(pictures: np.ndarray, windows: list[Window], check_cancelled: Callable[[], None]) -> tuple[Tensor, ...]:
    """Windows (C,h,w) of pictures (T,H,W,C), copied in the type they have."""
    cuts = []
    for picture, window in zip(pictures, windows, strict=True):
        check_cancelled()
        cuts.append(torch.from_numpy(window.cut(picture).transpose(2, 0, 1).copy()))
    return tuple(cuts)


def _widened(mask: np.ndarray, margin: int) -> np.ndarray:
    """The largest value of `mask` (H,W) within a square of `margin` pixels to each side."""
    whole = torch.from_numpy(mask)[None]
    whole = functional.max_pool2d(whole, (2 * margin + 1, 1), 1, (margin, 0))
    return functional.max_pool2d(whole, (1, 2 * margin + 1), 1, (0, margin))[0].numpy()


def _as_float(values: Tensor) -> Tensor:
    return values.float() / 255 if values.dtype == torch.uint8 else values.float()
