"""Camera paths that hold a person in view: orbits, dollies, still cameras, and the diagonal of the paper."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ani3d_formats.camera import CameraPath

WIDTH, HEIGHT = 240, 416
CAMERAS = ("orbit", "dolly", "still", "diagonal")
DIAGONAL = (-30.0, 30.0, 10.0, 40.0)  # azimuth from and to, elevation, vertical field of view; degrees


def make_camera(rng: np.random.Generator, kind: str, hips: np.ndarray, height: float, heading: float) -> CameraPath:
    """Cameras (T) that follow the smoothed hips.

    Args:
        rng: draws the path.
        kind: one of `CAMERAS`; "diagonal" sweeps -30..+30 degrees of azimuth about the person's front, 10 degrees up.
        hips: (T,3) world metres.
        height: of the person, metres.
        heading: where the person faces at the middle of the clip, radians from -Y towards +X.
    """
    frames = len(hips)
    aim = gaussian_filter1d(hips, 8.0, axis=0, mode="nearest")
    aim[:, 2] = 0.51 * height
    along = np.linspace(-1, 1, frames)
    start, end, elevation, fov = DIAGONAL
    azimuth = np.linspace(start, end, frames) + np.degrees(heading)
    near = np.ones(frames)
    if kind != "diagonal":
        elevation, fov = rng.uniform(-4, 22), rng.uniform(32, 44)
        turn = {"orbit": rng.choice([-1, 1]) * rng.uniform(15, 45), "dolly": rng.uniform(-6, 6), "still": 0.0}[kind]
        azimuth = rng.uniform(0, 360) + turn * along
        if kind == "dolly":
            near = 1 + 0.12 * rng.choice([-1, 1]) * along
    distance = 0.5 * height * rng.uniform(1.24, 1.42) / np.tan(np.radians(fov) / 2) * near
    return CameraPath.around(aim, np.radians(azimuth), np.radians(elevation), distance, np.radians(fov), WIDTH, HEIGHT)
