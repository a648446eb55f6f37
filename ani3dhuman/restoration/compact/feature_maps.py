"""The clip as the compact prior sees it: a window that follows the cloth, with geometry instead of colours.

Each frame of the rigid layer is drawn small through a camera cropped to garment and hair, in channels that say
what is there, how far, how it faces and how it moves. What moved the cloth already (physics, or a fault) is no
condition: it enters as the latents that sampling starts from. Texture is left out on purpose: it says nothing about
how cloth falls, and a prior that never saw it works on any character.

Vectors are given in the levelled camera frame (right, away, up): gravity always points down in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from ani3d_formats.camera import CameraPath
from ani3d_formats.regions import GARMENT, HAIR, is_loose

from ...avatar.posing import Posed
from ...clip import CoarseClip
from ...device import to_numpy
from ...rendering.draw import draw_tensors
from ...side_by_side import for_frames
from ...storage.frames_on_disk import Computed, Frames

GRID = (64, 48)  # rows and columns of the map
CHANNELS = 14
RIGHTWARD = (5, 8, 11)  # channels that change sign in a mirror
SPEED = 0.05  # metres a frame at 24 fps that count as 1
CHANGE = 0.01  # metres a frame, each frame, at 24 fps that count as 1
RELIEF = 0.4  # metres of depth about the middle of the cloth that count as 1
REFERENCE_FPS = 24.0
NEAR = 0.1  # metres before the lens from which on cloth is followed
SMALLEST_CELL = 1e-3  # metres
AT_ONCE = 4  # frames drawn beside each other
_BLUR = 0.3  # of Gaussians in the maps that the network was trained on


@dataclass(frozen=True)
class SurfaceMaps:
    """The rigid layer on the map's grid.

    Attributes:
        cameras: T cropped cameras of grid size.
        conditions: (T,CHANNELS,h,w) float32: garment, hair, body coverage; freedom; depth; normal (3); velocity (3);
            acceleration (3). Premultiplied by coverage.
        axes: (T,3,3) rows right, away, up: world to levelled camera frame.
        depths: (T,h,w) of the nearest garment or hair, metres, whatever hides it; 0 where there is none.
        offsets: of each layer that was asked for, (T,3,h,w) metres from the rigid one to where it has the cloth, in the
            levelled camera frame, mean over a cell; 0 in cells without cloth.
    """

    cameras: CameraPath
    conditions: np.ndarray
    axes: np.ndarray
    depths: np.ndarray
    offsets: tuple[np.ndarray, ...]

    @property
    def coverage(self) -> np.ndarray:
        """(T,1,h,w) 0..1, how much of a cell shows garment or hair."""
        return self.conditions[:, :2].sum(1, keepdims=True)


def levelled_axes(viewmats: np.ndarray) -> np.ndarray:
    """(T,3,3) rows right, away, up of upright frames that look where the cameras (T,4,4) look."""
    right = viewmats[:, 0, :3].astype(np.float64) * [1, 1, 0]
    length = np.linalg.norm(right, axis=1, keepdims=True)
    right = np.where(length > 1e-3, right / np.maximum(length, 1e-3), [1.0, 0.0, 0.0])
    up = np.broadcast_to([0.0, 0.0, 1.0], right.shape)
    return np.stack([right, np.cross(up, right), up], axis=1).astype(np.float32)


def follow_cloth(cameras: CameraPath, points: np.ndarray | Frames, grid: tuple[int, int] = GRID) -> CameraPath:
    """Crop the cameras to moving `points` (T,P,3): centred on them, a fixed number of metres wide.

    Centre and zoom are smoothed over time, so the window glides; it is wide enough for every frame. Points that the
    camera has behind it or right before its lens do not count; where all are, the picture's middle stands for them.
    """
    rows, columns = grid
    low, high = np.empty((len(cameras), 2)), np.empty((len(cameras), 2))
    metres_to_pixels = np.empty(len(cameras))
    for t in range(len(cameras)):
        pixels, depth = cameras.project(points[t], t)
        focal = cameras.Ks[t, 0, 0]
        if cameras.camera_type == "orthographic":
            metres_to_pixels[t] = focal
        else:
            before = depth > NEAR
            pixels, depth = pixels[before], depth[before]
            metres_to_pixels[t] = focal / (depth.mean() if len(depth) else 1.0)
        if len(pixels) == 0:
            pixels = np.array([[cameras.width, cameras.height]]) / 2
        low[t], high[t] = pixels.min(0), pixels.max(0)
    centre = gaussian_filter1d((high + low) / 2, 3.0, axis=0, mode="nearest")
    zoom = gaussian_filter1d(metres_to_pixels, 3.0, mode="nearest")
    reach = np.maximum(high - centre, centre - low) / zoom[:, None]
    cell = max(1.04 * (2 * reach / [columns, rows]).max(), SMALLEST_CELL)  # metres a cell
    scale = 1.0 / (cell * zoom)
    Ks = cameras.Ks.astype(np.float64).copy()
    Ks[:, :2] *= scale[:, None, None]
    Ks[:, :2, 2] += np.array([columns, rows]) / 2 - centre * scale[:, None]
    return CameraPath(cameras.viewmats, Ks.astype(np.float32), columns, rows, cameras.camera_type)


def surface_maps(clip: CoarseClip, grid: tuple[int, int] = GRID, layers: Sequence[np.ndarray] = ()) -> SurfaceMaps:
    """Draw a clip's maps; see `SurfaceMaps`. Of all frames no more than a few are posed at once.

    `layers` are vertices (T,V,3) of layers whose offsets from the rigid one are drawn.
    """
    avatar, compute = clip.avatar, clip.compute
    posed, others = _Unlit(clip, clip.rigid_vertices), [_Unlit(clip, vertices) for vertices in layers]
    loose = is_loose(avatar.region_ids)
    followed = loose if loose.any() else np.ones_like(loose)  # the maps of a character without cloth are empty
    kept, cloth = (compute.integers(np.flatnonzero(which)) for which in (followed, loose))
    places = Computed((clip.frames, len(kept), 3), np.float32, lambda t: to_numpy(posed.places(t)[kept]))
    window = follow_cloth(clip.cameras, places, grid)
    axes = levelled_axes(clip.cameras.viewmats)
    labels = np.stack([avatar.region_ids == GARMENT, avatar.region_ids == HAIR, ~loose], axis=1)
    fixed = compute.tensor(np.concatenate([labels, avatar.per_vertex(clip.freedom)[:, None]], axis=1))
    moving = compute.tensor(loose[:, None])
    conditions = np.empty((clip.frames, CHANNELS, *grid), np.float32)
    depths = np.zeros((clip.frames, *grid), np.float32)
    offsets = tuple(np.empty((clip.frames, 3, *grid), np.float32) for _ in layers)
    rate = clip.fps / REFERENCE_FPS

    def draw(t: int) -> None:
        gaussians, levelled = posed.frame(t), compute.tensor(axes[t])
        depth = gaussians.means @ compute.tensor(window.viewmats[t, 2, :3]) + float(window.viewmats[t, 2, 3])
        velocity = posed.velocity(t)
        vectors = [
            posed.facing(window, t),
            velocity * (rate / SPEED),
            ((velocity - posed.velocity(t - 1)) * (rate**2 / CHANGE)).clamp(-4, 4),
        ]
        relief = (depth - depth[kept].mean())[:, None] / RELIEF
        features = torch.cat([fixed, relief, *(v @ levelled.T for v in vectors)], 1)
        conditions[t] = _drawn(gaussians, features, window, t)[0].transpose(2, 0, 1)
        for offset, other in zip(offsets, others, strict=True):
            moved = (other.places(t) - gaussians.means) @ levelled.T
            covered, *parts = _drawn(gaussians, torch.cat([moving, moving * moved], 1), window, t)[0].transpose(2, 0, 1)
            offset[t] = np.where(covered > 0.02, np.stack(parts) / np.maximum(covered, 0.02), 0)
        drawn, alpha = _drawn(gaussians.chosen(cloth), depth[cloth][:, None], window, t)
        depths[t] = np.where(alpha > 0.05, drawn[..., 0] / np.maximum(alpha, 0.05), 0)

    for_frames(draw, clip.frames, AT_ONCE, clip.compute.on_cpu)
    return SurfaceMaps(window, conditions, axes, depths, offsets)


def _drawn(gaussians: Posed, features: Tensor, window: CameraPath, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Channels (h,w,D) and alpha (h,w) on the map's grid."""
    channels, alpha = draw_tensors(gaussians, features, window, frame, blur=_BLUR, samples=1)
    return to_numpy(channels), to_numpy(alpha)


class _Unlit:
    """Gaussians on vertices, without light: the maps need none. The last few frames are kept for who looks back."""

    def __init__(self, clip: CoarseClip, vertices: np.ndarray) -> None:
        self._posed = clip.posed(vertices, lit=False)
        self.frame = lru_cache(AT_ONCE + 2)(self._posed.frame)

    def places(self, t: int) -> Tensor:
        """(N,3) world metres; nothing else is computed, nor kept."""
        return self._posed.means(t)

    def means(self, t: int) -> Tensor:
        """(N,3) world metres."""
        return self.frame(t).means

    def velocity(self, t: int) -> Tensor:
        """Movement (N,3) into frame t, metres a frame; the first frame, and what lies before it, is like the second."""
        if self._posed.frames == 1:
            return torch.zeros_like(self.means(0))
        return self.means(max(t, 1)) - self.means(max(t, 1) - 1)

    def facing(self, cameras: CameraPath, t: int) -> Tensor:
        """Unit normals (N,3) of flat Gaussians, third axis, on the side that the camera sees."""
        w, x, y, z = self.frame(t).quats.unbind(1)
        normals = torch.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], 1)
        if cameras.camera_type == "orthographic":
            towards = self._posed.compute.tensor(-cameras.viewmats[t, 2, :3]).expand_as(normals)
        else:
            towards = self._posed.compute.tensor(cameras.positions()[t]) - self.means(t)
        return torch.where((normals * towards).sum(1, keepdim=True) < 0, -normals, normals)
