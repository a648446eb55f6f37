"""Cameras that look at the character from other sides than the user's camera."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ani3d_formats.camera import CameraPath

FIELD_OF_VIEW = np.radians(38.0)
ELEVATION = np.radians(8.0)
AIM_SMOOTHING = 8.0  # sigma in frames
MARGIN = 1.05  # of the distance at which the character just fits


def side_cameras(vertices: np.ndarray, cameras: CameraPath, azimuth: float) -> CameraPath:
    """Perspective cameras of the same picture size that hold the whole character, from one side of it all along.

    Args:
        vertices: (T,V,3) world metres, what is to be seen.
        cameras: the user's, T of them.
        azimuth: degrees about Z from the side on which the user's cameras stand on average; positive is
            counter-clockwise seen from above.
    """
    target = gaussian_filter1d(
        (vertices.min(1) + vertices.max(1)).astype(np.float64) / 2, AIM_SMOOTHING, axis=0, mode="nearest"
    )
    to_camera = cameras.positions() - target
    horizontal = to_camera[:, :2] / np.maximum(np.linalg.norm(to_camera[:, :2], axis=1, keepdims=True), 1e-9)
    x, y = horizontal.sum(0)
    radius = max(float(np.linalg.norm(frame - target[t], axis=1).max()) for t, frame in enumerate(vertices))
    half_angle = np.arctan(np.tan(FIELD_OF_VIEW / 2) * min(1.0, cameras.width / cameras.height))
    per_frame = np.ones(len(target))
    return CameraPath.around(
        target,
        (np.arctan2(x, -y) + np.radians(azimuth)) * per_frame,
        float(ELEVATION),
        MARGIN * radius / np.sin(half_angle) * per_frame,
        float(FIELD_OF_VIEW),
        cameras.width,
        cameras.height,
    )
