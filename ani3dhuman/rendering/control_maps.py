"""Depth and normals as pictures in the encodings of control models."""

from __future__ import annotations

import cv2
import numpy as np

from ani3d_formats.camera import CameraPath

DEPTH_FLOOR = 0.2  # grey of the farthest point that is seen; black is the background, infinitely far
PINHOLE = 5  # pixels; far spots smaller than this in a near surface are gaps between Gaussians
SMOOTHING = (9, 0.02, 3.0)  # of depth before normals: neighbourhood in pixels, metres of depth, pixels


def depth_picture(depth: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Depth as depth estimators for control models give it: inverse, stretched once over the clip, near is white.

    One stretch for all frames keeps a character that walks towards the camera growing brighter, where a stretch a
    frame would make the picture pump.

    Args:
        depth: (T,H,W) metres, above 0 where something is seen.
        alpha: (T,H,W) coverage 0..1, by which edges fade to the black background.

    Returns:
        (T,H,W,3) uint8 grey.
    """
    depth, alpha = depth.astype(np.float32), alpha.astype(np.float32)
    seen = (alpha > 0.5) & (depth > 0)
    inverse = np.where(depth > 0, 1 / np.maximum(depth, 1e-6), 0)
    far, near = np.percentile(inverse[seen], [0.1, 99.9]) if seen.any() else (0.0, 1.0)
    nearness = np.clip((inverse - far) / max(near - far, 1e-9), 0, 1) if near > far else np.ones_like(inverse)
    grey = np.where(depth > 0, DEPTH_FLOOR + (1 - DEPTH_FLOOR) * nearness, 0) * np.clip(alpha, 0, 1)
    return np.repeat((grey * 255 + 0.5).astype(np.uint8)[..., None], 3, axis=-1)


def normals_from_depth(depth: np.ndarray, alpha: np.ndarray, cameras: CameraPath, frame: int) -> np.ndarray:
    """Surface normals of one frame, from differences of neighbouring points of the depth picture.

    Depth is evened out first: single Gaussians, gaps between them and 16-bit depth are rougher than the surface. Along
    each axis the neighbour nearer in depth is taken, so that an edge does not bend the surface beside it.

    Args:
        depth: (H,W) metres along the view axis.
        alpha: (H,W) coverage 0..1.
        cameras: the camera path, of the pictures' size.
        frame: index into `cameras`.

    Returns:
        (H,W,3) unit vectors in OpenCV's camera frame (x right, y down, z forward), towards the camera; (0,0,-1) where
        at most half of a pixel is covered or no neighbour is.
    """
    seen = (alpha > 0.5) & (depth > 0)
    if not seen.any():
        return np.broadcast_to((0.0, 0.0, -1.0), (*depth.shape, 3)).copy()
    behind = float(depth[seen].max()) + 1  # metres; not farther, OpenCV tabulates its kernel over the range of depths
    depth = _even(np.where(seen, depth, behind).astype(np.float32)).astype(np.float64)
    K = cameras.Ks[frame].astype(np.float64)
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]] + 0.5
    plane = np.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1]], -1)
    rays = 1.0 if cameras.camera_type == "orthographic" else depth[..., None]
    points = np.concatenate([plane * rays, depth[..., None]], -1)
    across, down = (_step(points, seen, axis) for axis in (1, 0))
    normals = np.cross(down, across)
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    usable = seen[..., None] & np.isfinite(length) & (length > 0)
    return np.where(usable, normals / np.where(usable, length, 1), (0.0, 0.0, -1.0))


def _even(depth: np.ndarray) -> np.ndarray:
    """Depth (H,W) with pinholes closed, then averaged over neighbours within 2 cm or so of depth."""
    closed = cv2.morphologyEx(depth, cv2.MORPH_OPEN, np.ones((PINHOLE, PINHOLE), np.uint8))
    return cv2.bilateralFilter(closed, *SMOOTHING)


def _step(points: np.ndarray, seen: np.ndarray, axis: int) -> np.ndarray:
    """(H,W,3) from each point to its next along `axis`; NaN where neither neighbour is seen."""
    step = np.diff(points, axis=axis)
    both = np.take(seen, range(1, seen.shape[axis]), axis) & np.take(seen, range(seen.shape[axis] - 1), axis)
    step = np.where(both[..., None], step, np.nan)
    edge = np.full_like(np.take(points, [0], axis), np.nan)
    after, before = np.concatenate([step, edge], axis), np.concatenate([edge, step], axis)
    bends_less = np.abs(after[..., 2:]) <= np.abs(before[..., 2:])
    return np.where(np.isnan(before[..., 2:]) | bends_less, after, before)


def normal_picture(normals: np.ndarray) -> np.ndarray:
    """Camera-space normals (...,3), OpenCV axes, as colours (...,3) uint8: red right, green up, blue to the camera."""
    colors = (normals * (0.5, -0.5, -0.5) + 0.5) * 255 + 0.5
    return np.clip(colors, 0, 255).astype(np.uint8)
