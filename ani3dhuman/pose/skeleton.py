"""The skeleton as a picture: the pose condition a video prior reads, drawn from the real bones."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from ani3d_formats.camera import CameraPath


def bone_ends(bone_pose: np.ndarray, bone_lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heads and tails (B,3) in world metres of posed bones (B,4,4), which are `bone_lengths` long along their +Y."""
    heads = bone_pose[:, :3, 3]
    return heads, heads + bone_pose[:, :3, 1] * bone_lengths[:, None]


def bone_colors(parents: np.ndarray) -> np.ndarray:
    """One sRGB colour (B,3) uint8 a bone: hue by position in the hierarchy, so that left and right differ."""
    hues = np.arange(len(parents)) / max(len(parents), 1)
    return np.array([[round(255 * c) for c in colorsys.hsv_to_rgb(h, 0.85, 1.0)] for h in hues], np.uint8)


def draw_skeleton(
    bone_pose: np.ndarray, bone_lengths: np.ndarray, parents: np.ndarray, cameras: CameraPath, frame: int
) -> np.ndarray:
    """Draw one frame of the skeleton on black.

    Args:
        bone_pose: (B,4,4) posed bones of this frame, world metres.
        bone_lengths: (B,) in the bones' own units.
        parents: (B,) parent indices.
        cameras: the camera path.
        frame: index into `cameras`.

    Returns:
        (H,W,3) uint8 sRGB; far bones are drawn first, bones behind the camera are left out.
    """
    canvas = np.zeros((cameras.height, cameras.width, 3), np.uint8)
    heads, tails = bone_ends(bone_pose, bone_lengths)
    (a, za), (b, zb) = cameras.project(heads, frame), cameras.project(tails, frame)
    colors = bone_colors(parents)
    unit = max(cameras.height / 416, 0.5)
    for i in np.argsort(-(za + zb)):
        if min(za[i], zb[i]) <= 0.01 or not np.isfinite([a[i], b[i]]).all():
            continue
        p, q = (tuple(int(np.clip(round(float(c) * 16), -(2**30), 2**30)) for c in point) for point in (a[i], b[i]))
        color = tuple(int(c) for c in colors[i])
        cv2.line(canvas, p, q, tuple(int(0.6 * c) for c in color), max(1, round(3 * unit)), cv2.LINE_AA, 4)
        cv2.circle(canvas, p, round(2.5 * unit * 16), color, -1, cv2.LINE_AA, 4)
    return canvas
