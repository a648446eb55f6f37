"""A studio floor under the character: a backdrop with a soft shadow, for pictures people look at.

Only presentation uses it. Restoration and fitting work on the plain background, since a shadow there
would be one more thing for them to explain.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ani3d_formats.camera import CameraPath

CELL = 0.02  # metres per shadow cell
REACH = 1.6  # metres of floor around the character that can hold shadow
STRENGTH = 0.5


def shadow_map(vertices: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Soft occlusion of the floor by points above it.

    Args:
        vertices: (V,3) world metres.
        floor: height of the floor, metres.

    Returns:
        (S,S) float32 occlusion 0..1 and the world xy of its first cell (2,).
    """
    center = vertices[:, :2].mean(0)
    size = int(2 * REACH / CELL)
    origin = center - REACH
    shadow: np.ndarray = np.zeros((size, size), np.float32)
    height = np.maximum(vertices[:, 2] - floor, 0)
    cells = np.clip(((vertices[:, :2] - origin) / CELL).astype(int), 0, size - 1)
    for below, blur in ((0.12, 1.5), (0.5, 5.0), (2.5, 14.0)):  # contact, shins and hem, the whole figure
        layer: np.ndarray = np.zeros_like(shadow)
        chosen = height < below
        layer[cells[chosen, 1], cells[chosen, 0]] = 1
        layer = cv2.dilate(layer, np.ones((3, 3), np.uint8), iterations=2)
        layer = cv2.GaussianBlur(layer, (0, 0), blur)
        shadow = 1 - (1 - shadow) * (1 - 0.6 * np.clip(layer, 0, 1))
    return shadow, origin


@dataclass(frozen=True)
class Floor:
    """Where the rays of a picture's pixels meet the floor.

    Attributes:
        points: (H,W,2) world metres.
        hit: (H,W) bool, whether they do.
    """

    points: np.ndarray
    hit: np.ndarray

    @classmethod
    def seen(cls, cameras: CameraPath, frame: int, height: float) -> Floor:
        """Through the camera of a frame; the floor is at a `height`, metres."""
        origins, directions = _rays(cameras, frame)
        down = directions[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (height - origins[..., 2]) / down
        hit = (down < -1e-4) & (distance > 0)
        distance = np.where(hit, distance, 0)
        return cls(origins[..., :2] + distance[..., None] * directions[..., :2], hit)


def studio(seen: Floor, vertices: np.ndarray, background: np.ndarray, floor: float) -> np.ndarray:
    """The empty set as the camera sees it: floor with shadow running into the background.

    Args:
        seen: of the camera.
        vertices: (V,3) character at this frame, world metres.
        background: (3,) sRGB 0..1.
        floor: height of the floor, metres.

    Returns:
        (H,W,3) float32 sRGB 0..1.
    """
    shadow, first = shadow_map(vertices, floor)
    cells = (seen.points * (1 / CELL) - (first / CELL + 0.5)).astype(np.float32)
    on_floor = cv2.remap(shadow, cells[..., 0], cells[..., 1], cv2.INTER_LINEAR, borderValue=0)
    fade = np.where(seen.hit, 1 - np.float32(STRENGTH) * on_floor, np.float32(1))
    return np.asarray(background, np.float32) * fade[..., None]


def _rays(cameras: CameraPath, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Origins and directions (H,W,3) of pixel rays in world space."""
    K, view = cameras.Ks[frame].astype(np.float64), cameras.viewmats[frame].astype(np.float64)
    x, y = ((np.arange(n) + 0.5 - K[i, 2]) / K[i, i] for i, n in enumerate((cameras.width, cameras.height)))
    plane = np.stack(np.meshgrid(x, y), axis=-1)
    rotation = view[:3, :3].T
    center = -rotation @ view[:3, 3]
    if cameras.camera_type == "orthographic":
        origins = center + plane @ rotation[:, :2].T
        return origins, np.broadcast_to(rotation[:, 2], origins.shape)
    directions = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1) @ rotation.T
    return np.broadcast_to(center, directions.shape), directions


def compose(rgb: np.ndarray, alpha: np.ndarray, background: np.ndarray, backdrop: np.ndarray) -> np.ndarray:
    """Swap the plain background of a picture for a backdrop.

    Args:
        rgb: (H,W,3) uint8 sRGB over `background` (3,).
        alpha: (H,W) coverage 0..1.
        backdrop: (H,W,3) sRGB 0..1.

    Returns:
        (H,W,3) uint8.
    """
    see_through = (1 - alpha.astype(np.float32))[..., None]
    picture = rgb + 255 * see_through * (backdrop - np.asarray(background, np.float32))
    return (np.clip(picture, 0, 255) + np.float32(0.5)).astype(np.uint8)
