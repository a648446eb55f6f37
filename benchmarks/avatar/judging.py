"""How alike our picture of a character and Blender's are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ani3d_formats.camera import CameraPath
from ani3d_formats.regions import FACE
from ani3d_formats.shot import Shot
from ani3dhuman.avatar import Avatar, pose_avatar
from ani3dhuman.rendering.draw import draw
from ani3dhuman.rendering.light_sources import Lighting
from ani3dhuman.similarity.lpips import load_perceptual

BACKDROP = 0.8  # sRGB-encoded, behind both pictures
INSIDE = 0.98  # alpha of Blender's


@dataclass(frozen=True)
class Scene:
    """P pictures by Blender of a shot's character: its vertices (P,V,3), P cameras, the shot's frame of each picture's
    light (P,), and the pictures (H,W,4), straight sRGB."""

    shot: Shot
    vertices: np.ndarray
    cameras: CameraPath
    frames: Sequence[int]
    pictures: Sequence[np.ndarray]


def judge(scene: Scene, avatar: Avatar) -> tuple[dict[str, list[float]], list[np.ndarray]]:
    """Figures by name, each a list over pictures, and our pictures over the backdrop."""
    lighting = Lighting.of(scene.shot)
    face = np.flatnonzero(scene.shot["region_ids"] == FACE)
    figures: dict[str, list[float]] = {name: [] for name in ("psnr", "face", "sharpness", "iou", "lpips")}
    shown = []
    for t, reference in enumerate(scene.pictures):
        camera = CameraPath(
            scene.cameras.viewmats[t : t + 1], scene.cameras.Ks[t : t + 1], scene.cameras.width, scene.cameras.height
        )
        # alone, since light is steadied over frames that follow each other
        posed = pose_avatar(avatar, scene.vertices[t : t + 1], lighting.taken(np.array([scene.frames[t]])), camera)
        image, alpha = draw(posed, posed.colors[0], camera, 0)
        ours = np.clip(image + (1 - alpha[..., None]) * BACKDROP, 0, 1)
        theirs = over(reference)
        inside = cv2.erode((reference[..., 3] > INSIDE).astype(np.uint8), np.ones((3, 3))) > 0
        error = np.square(ours - theirs).mean(-1)
        figures["psnr"].append(_decibel(error[inside]))
        if len(face):
            x, y = scene.cameras.project(scene.vertices[t][face], t)[0].T
            crop = np.zeros_like(inside)
            crop[max(int(y.min()), 0) : int(y.max()) + 1, max(int(x.min()), 0) : int(x.max()) + 1] = True
            figures["face"].append(_decibel(error[inside & crop]))
        figures["sharpness"].append(float(_edges(ours)[inside].mean() / _edges(theirs)[inside].mean()))
        both, either = ((alpha > 0.5) & (reference[..., 3] > 0.5)), ((alpha > 0.5) | (reference[..., 3] > 0.5))
        figures["iou"].append(float(both.sum() / either.sum()))
        pair = [torch.from_numpy(each.astype(np.float32)).permute(2, 0, 1)[None] for each in (ours, theirs)]
        figures["lpips"].append(float(load_perceptual()(*pair)[0].numpy()[inside].mean()))
        shown.append(ours)
    return figures, shown


def read_picture(path: str) -> np.ndarray:
    """(H,W,4) straight sRGB, or (H,W,3)."""
    picture = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    return picture[..., [2, 1, 0, 3][: picture.shape[2]]] / np.iinfo(picture.dtype).max


def write_picture(path: str, picture: np.ndarray) -> None:
    pixels = (picture[..., ::-1].clip(0, 1) * 255 + 0.5).astype(np.uint8)
    cv2.imwrite(path, pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])


def over(picture: np.ndarray) -> np.ndarray:
    """A picture over the backdrop."""
    return picture[..., :3] * picture[..., 3:] + (1 - picture[..., 3:]) * BACKDROP


def _decibel(error: np.ndarray) -> float:
    return float(-10 * np.log10(error.mean()))


def _edges(picture: np.ndarray) -> np.ndarray:
    return np.hypot(*np.gradient(picture.mean(-1)))
