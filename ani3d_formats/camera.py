"""Camera paths: one OpenCV camera per frame (x right, y down, z forward)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CameraPath:
    """Cameras of a shot.

    Attributes:
        viewmats: (T,4,4) float32, world to camera, metres; world is Blender's (Z up).
        Ks: (T,3,3) float32 pixel intrinsics, pixel centres at +0.5.
        width, height: picture size in pixels.
        camera_type: ``"perspective"`` or ``"orthographic"``; an orthographic K maps metres to pixels.
    """

    viewmats: np.ndarray
    Ks: np.ndarray
    width: int
    height: int
    camera_type: str = "perspective"

    @classmethod
    def around(
        cls,
        aim: np.ndarray,
        azimuth: np.ndarray,
        elevation: float,
        distance: np.ndarray,
        fov: float,
        width: int,
        height: int,
    ) -> CameraPath:
        """Upright cameras that look at moving points.

        Args:
            aim: (T,3) world metres, in the middle of the picture.
            azimuth: (T,) radians about Z; 0 stands on the -Y side, and grows towards +X.
            elevation: radians above the level of `aim`; not straight up or down.
            distance: (T,) metres.
            fov: vertical field of view, radians.
            width, height: pixels.
        """
        away = np.stack(
            [
                np.cos(elevation) * np.sin(azimuth),
                -np.cos(elevation) * np.cos(azimuth),
                np.sin(elevation) + 0 * azimuth,
            ],
            axis=1,
        )
        eye = aim + distance[:, None] * away
        forward = -away
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right, axis=1, keepdims=True)
        R = np.stack([right, np.cross(forward, right), forward], axis=1)
        viewmats = np.zeros((len(aim), 4, 4), np.float32)
        viewmats[:, :3, :3], viewmats[:, 3, 3] = R, 1
        viewmats[:, :3, 3] = -np.einsum("tij,tj->ti", R, eye)
        focal = height / 2 / np.tan(fov / 2)
        K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
        return cls(viewmats, np.repeat(K[None], len(aim), 0), width, height)

    def __len__(self) -> int:
        return len(self.viewmats)

    def taken(self, frames: np.ndarray) -> CameraPath:
        """The cameras of `frames` (N,), in their order."""
        return CameraPath(self.viewmats[frames], self.Ks[frames], self.width, self.height, self.camera_type)

    def resized(self, width: int, height: int) -> CameraPath:
        """The same cameras for another picture size (the field of view is kept, each axis scaled by itself)."""
        scale = np.array([width / self.width, height / self.height, 1.0], np.float32)
        return CameraPath(self.viewmats, self.Ks * scale[:, None], width, height, self.camera_type)

    def reframed(self, width: int, height: int) -> CameraPath:
        """The same cameras for another picture size and shape, with pixels as square as they are.

        The field of view is kept along the longer side, as in Blender with the sensor fitted to it; the other side
        sees more or less.
        """
        scale = max(width, height) / max(self.width, self.height)
        Ks = self.Ks.copy()
        Ks[:, :2] *= scale
        Ks[:, 0, 2] += (width - scale * self.width) / 2
        Ks[:, 1, 2] += (height - scale * self.height) / 2
        return CameraPath(self.viewmats, Ks, width, height, self.camera_type)

    def scaled(self, factor: float) -> CameraPath:
        """The same pictures of a world `factor` times as large."""
        viewmats, Ks = self.viewmats.copy(), self.Ks.copy()
        viewmats[:, :3, 3] *= np.float32(factor)
        if self.camera_type == "orthographic":
            Ks[:, :2, :2] /= np.float32(factor)
        return CameraPath(viewmats, Ks, self.width, self.height, self.camera_type)

    def moved(self, offset: np.ndarray) -> CameraPath:
        """The same pictures of a world moved by `offset` (3,), metres."""
        viewmats = self.viewmats.astype(np.float64)
        viewmats[:, :3, 3] -= viewmats[:, :3, :3] @ offset
        return CameraPath(viewmats.astype(np.float32), self.Ks, self.width, self.height, self.camera_type)

    def positions(self) -> np.ndarray:
        """(T,3) camera centres in world space, metres."""
        rotations, translations = self.viewmats[:, :3, :3], self.viewmats[:, :3, 3]
        return -np.einsum("tji,tj->ti", rotations, translations)

    def project(self, points: np.ndarray, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Project world `points` (P,3) at frame index `frame`: pixels (P,2) and depths (P,) in metres."""
        view, K = self.viewmats[frame], self.Ks[frame]
        local = points @ view[:3, :3].T + view[:3, 3]
        depth = local[:, 2]
        plane = local[:, :2] if self.camera_type == "orthographic" else local[:, :2] / np.maximum(depth, 1e-6)[:, None]
        return plane @ K[:2, :2].T + K[:2, 2], depth
