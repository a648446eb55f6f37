"""The reference picture: who the person is, at the size of the clip."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3d_formats.shot import Shot

from ...avatar import Avatar
from ...avatar.posing import PosedAvatar
from ...rendering.layers import render_layer
from ...rendering.light_sources import Lighting

MARGIN = 0.06  # of the picture, left free on every side of the avatar


def fit_reference(picture: np.ndarray, width: int, height: int, background: np.ndarray) -> np.ndarray:
    """A picture scaled to fit, its shape kept, in the middle of a plain ground.

    Args:
        picture: (h,w,3) or (h,w,4) uint8 sRGB; a fourth channel is straight alpha over `background`.
        width, height: wanted size in pixels.
        background: (3,) sRGB 0..1 of the ground.

    Returns:
        (height,width,3) uint8; a picture that has that size already comes back as it is. Odd pixels of padding go to
        the right and below.

    Raises:
        Ani3DError: ``conditions.reference``: no such picture; ``conditions.size``: a size below one pixel.
    """
    if picture.ndim != 3 or picture.shape[2] not in (3, 4) or picture.dtype != np.uint8 or 0 in picture.shape:
        raise Ani3DError(
            "conditions.reference",
            f"The reference picture is {picture.dtype} {picture.shape}, expected uint8 (H,W,3) or (H,W,4).",
            "Give an 8-bit colour picture.",
        )
    if width < 1 or height < 1:
        raise Ani3DError("conditions.size", f"A picture of {width} x {height} pixels is empty.", "Give a size above 0.")
    ground = np.round(np.clip(background, 0, 1) * 255)
    if picture.shape[2] == 4:
        alpha = picture[..., 3:] / 255
        picture = np.round(picture[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8)
    scale = min(width / picture.shape[1], height / picture.shape[0])
    columns, rows = (max(1, round(side * scale)) for side in (picture.shape[1], picture.shape[0]))
    if (rows, columns) != picture.shape[:2]:
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        picture = cv2.resize(picture, (columns, rows), interpolation=method)
    out = np.empty((height, width, 3), np.uint8)
    out[:] = ground
    top, left = (height - rows) // 2, (width - columns) // 2
    out[top : top + rows, left : left + columns] = picture
    return out


def load_picture(path: Path | str) -> np.ndarray:
    """Read a picture file as (H,W,3|4) uint8 sRGB. Raises `Ani3DError` ``conditions.reference``."""
    path = Path(path)
    if not path.is_file():
        raise Ani3DError("conditions.reference", f"There is no reference picture at {path}.", "Check the path.")
    data = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED) if path.stat().st_size else None
    if data is None or data.dtype != np.uint8:
        raise Ani3DError(
            "conditions.reference",
            f"{path} is not a picture of 8 bits a channel that OpenCV can read.",
            "Save it as PNG or JPEG.",
        )
    if data.ndim == 2:
        return np.repeat(data[..., None], 3, axis=-1)
    return cv2.cvtColor(data, cv2.COLOR_BGRA2RGBA if data.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def canonical_reference(shot: Shot, avatar: Avatar, forward: np.ndarray, width: int, height: int) -> np.ndarray:
    """The avatar in bind pose, facing the camera, filling the picture: the look without the motion.

    Args:
        shot: mesh in bind pose, lights, background, and the lens of the first frame.
        avatar: its Gaussians.
        forward: (3,) the way the character faces in bind pose, world (`KeypointMap.forward`).
        width, height: pixels.

    Returns:
        (height,width,3) uint8 sRGB.
    """
    camera = portrait_camera(shot, forward, width, height)
    posed = PosedAvatar(avatar, shot["vertices"][None], Lighting.of(shot), camera)
    return render_layer(posed.drawn, avatar.region_ids, camera, shot.background_srgb).rgb[0]


def portrait_camera(shot: Shot, forward: np.ndarray, width: int, height: int) -> CameraPath:
    """One camera that looks level at the front of the bind pose, with the first frame's field of view."""
    level = np.array([forward[0], forward[1], 0.0])
    towards = (
        -level / max(float(np.linalg.norm(level)), 1e-9) if np.linalg.norm(level) > 1e-3 else np.array([0, 1.0, 0])
    )
    down = np.array([0, 0, -1.0])
    rotation = np.stack([np.cross(down, towards), down, towards])
    points = shot["vertices"] @ rotation.T
    low, high = points.min(0), points.max(0)
    half, middle = np.maximum((high - low) / 2, 1e-3), (low + high) / 2
    own = shot.cameras.reframed(width, height)
    room = (1 - 2 * MARGIN) / 2 * np.array([width, height])
    K = np.array([[1.0, 0, width / 2], [0, 1.0, height / 2], [0, 0, 1]], np.float32)
    if own.camera_type == "orthographic":
        focal, distance = float((room / half[:2]).min()), 2 * half[2] + 1
    else:
        focal = float(own.Ks[0, 1, 1])
        distance = float((focal * half[:2] / room).max()) + half[2]  # the nearest side of the bounding box fits
    K[0, 0] = K[1, 1] = focal
    view = np.eye(4, dtype=np.float32)
    view[:3, :3] = rotation
    view[:3, 3] = np.array([0, 0, distance]) - middle
    return CameraPath(view[None], K[None], width, height, own.camera_type)
