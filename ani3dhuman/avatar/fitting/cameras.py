"""Where an avatar is looked at from while it is fitted: all around, everything about as often, details from nearer."""

from __future__ import annotations

import numpy as np

from ani3d_formats.camera import CameraPath

from ...mesh.kernels import point_normals

WIDTH, HEIGHT = 256, 384  # pixels
FAR = 2.0  # distance over the character's height
FINE = 700  # pixels that the character's height has
CLOSER, CLOSE = 2.5, 0.3  # how many times finer some pictures are, and their share
SIDE, UP, DOWN = np.radians([50, 30, 15])  # how far a camera stands off the normal of what it looks at


def cameras_around(
    poses: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[CameraPath, np.ndarray]:
    """`count` upright cameras that look at the character in the `poses` (M,V,3), and (count,) the pose of each.

    What fewer of them saw is looked at next; the closer ones look most where there are most faces.
    """
    height = float(np.ptp(poses[0], axis=0).max())
    corners = poses[0][faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    near = np.floor(np.arange(1, count + 1) * CLOSE) > np.floor(np.arange(count) * CLOSE)
    looked_at = {False: np.zeros(len(faces)), True: np.zeros(len(faces))}
    centres = [pose[faces].mean(1) for pose in poses]
    normals = [point_normals(np.ascontiguousarray(pose, np.float32), faces)[faces].mean(1) for pose in poses]
    paths, pose_of = [], np.arange(count) % len(poses)
    for pose, close in zip(pose_of, near.tolist(), strict=True):
        weights = (1.0 if close else area) / (1 + looked_at[close]) ** 3
        aim = rng.choice(len(faces), p=weights / weights.sum())
        outward = normals[pose][aim]
        path = CameraPath.around(
            centres[pose][aim][None],
            np.arctan2(outward[:1], -outward[1:2]) + rng.uniform(-SIDE, SIDE),
            rng.uniform(-DOWN, UP),
            np.array([FAR * height]),
            float(2 * np.arctan(HEIGHT / (2 * FINE * FAR * (CLOSER if close else 1)))),
            WIDTH,
            HEIGHT,
        )
        pixels, _ = path.project(centres[pose], 0)
        within = (pixels > 0) & (pixels < [WIDTH, HEIGHT])
        facing = np.einsum("fk,fk->f", path.positions() - centres[pose], normals[pose]) > 0
        looked_at[close] += within[:, 0] & within[:, 1] & facing
        paths.append(path)
    viewmats, Ks = (np.concatenate([getattr(path, name) for path in paths]) for name in ("viewmats", "Ks"))
    return CameraPath(viewmats, Ks, WIDTH, HEIGHT), pose_of
