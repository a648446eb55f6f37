"""The pose as control models read it: OpenPose's coloured stick figure, drawn from the real skeleton.

Order, limbs and colours are OpenPose's COCO layout (Cao et al., 2017); how it is painted follows DWPose (Yang et al.,
2023), whose drawings video control models were trained on: limbs are ellipses at 60 % brightness, later ones over
earlier ones, with full-colour discs on the joints; hands are thin lines of running hue with blue discs, the face white
dots.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError

from .keypoints import BODY, FACE_KEYPOINTS, LEFT_HAND, RIGHT_HAND, KeypointMap
from .occlusion import occluded

# sRGB of body keypoint k, and of limb k: a wheel of 18 hues, 20 degrees apart, rounded as OpenPose rounds them
COLORS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
    (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
# indices into `ani3dhuman.pose.keypoints.BODY_KEYPOINTS`; right side first, as in OpenPose
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10),
    (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
HAND_LINES = tuple((0 if i % 4 == 0 else i, i + 1) for i in range(20))
LIMB_BRIGHTNESS = 0.6
HAND_DOT, FACE_DOT = (0, 0, 255), (255, 255, 255)
REFERENCE_SIDE = 512  # pixels; sizes below are for a picture whose short side has this length
_SHIFT = 4  # OpenCV draws at sixteenths of a pixel

Occlusion = Literal["estimate", "keep", "dim", "drop"]


@dataclass(frozen=True)
class PoseStyle:
    """How the pose is drawn.

    Attributes:
        occlusion: what happens to keypoints behind a surface. ``"estimate"``, the default, does what a pose estimator
            does to them: joints of the body stay, since estimators are trained with covered joints labelled and go on
            predicting them behind a skirt or an arm; nose, eyes and ears go when the head turns away, and a hand goes
            when most of it is covered. ``"keep"`` draws everything, ``"dim"`` darkens what is hidden, ``"drop"`` leaves
            it out.
        hands, landmarks: whether fingers and face landmarks are drawn where the rig has them.
        width: half the thickness of a limb and the radius of a joint, pixels at a short side of 512.
        hidden_brightness: for ``"dim"``, 0 to 1.
        channel_order: ``"rgb"``, or ``"bgr"`` for models trained on drawings with red and blue exchanged.
    """

    occlusion: Occlusion = "estimate"
    hands: bool = True
    landmarks: bool = True
    width: float = 4.0
    hidden_brightness: float = 0.35
    channel_order: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        if self.occlusion not in ("estimate", "keep", "dim", "drop") or self.channel_order not in ("rgb", "bgr"):
            raise Ani3DError(
                "pose.style",
                f"Pose style has occlusion '{self.occlusion}' and channel order '{self.channel_order}'.",
                "Choose estimate, keep, dim or drop, and rgb or bgr.",
            )
        if not 0 < self.width <= 64 or not 0 <= self.hidden_brightness <= 1:
            raise Ani3DError(
                "pose.style",
                f"Pose style has width {self.width} and hidden brightness {self.hidden_brightness}.",
                "Give a width above 0 up to 64 pixels and a brightness from 0 to 1.",
            )


STYLES = {
    "dwpose": PoseStyle(),
    "vace": PoseStyle(hands=False, width=2.0, channel_order="bgr"),
}
"""Styles by name: as DWPose draws, and as VACE's own annotator does (docs/conditions.md)."""


def draw_pose(
    mapping: KeypointMap,
    bone_pose: np.ndarray,
    cameras: CameraPath,
    frame: int,
    *,
    depth: np.ndarray | None = None,
    alpha: np.ndarray | None = None,
    vertices: np.ndarray | None = None,
    style: PoseStyle | None = None,
) -> np.ndarray:
    """Draw one frame of the pose on black.

    Args:
        mapping: where the keypoints sit on the rig.
        bone_pose: (B,4,4) posed bones of this frame, world metres.
        cameras: the camera path.
        frame: index into `cameras`.
        depth: (H,W) metres, what the camera sees of the character; without it nothing counts as hidden.
        alpha: (H,W) coverage 0..1 that belongs to `depth`.
        vertices: (V,3) mesh of this frame, world metres, for face landmarks.
        style: None is `PoseStyle()`.

    Returns:
        (H,W,3) uint8 sRGB. Keypoints behind the camera are left out.

    Raises:
        Ani3DError: ``pose.depth_size``: a depth or alpha that has not the cameras' size.
    """
    style = style or PoseStyle()
    points = mapping.positions(bone_pose)
    pixels, depths = cameras.project(np.nan_to_num(points), frame)
    lost = np.isnan(points[:, 0]) | (depths <= 0.01)
    hidden = occluded(pixels, depths, mapping.radii, depth, alpha, (cameras.height, cameras.width)) & ~lost
    strength = np.where(lost, 0.0, _strength(hidden, style))
    canvas = np.zeros((cameras.height, cameras.width, 3), np.uint8)
    unit = style.width / 4 * min(cameras.width, cameras.height) / REFERENCE_SIDE
    _draw_body(canvas, pixels[BODY], strength[BODY], unit)
    if style.hands:
        for hand in (LEFT_HAND, RIGHT_HAND):
            _draw_hand(canvas, pixels[hand], strength[hand], unit)
    if style.landmarks and vertices is not None and len(mapping.landmarks):
        spots, away = cameras.project(vertices[mapping.landmarks], frame)
        radii = np.full(len(spots), mapping.radii[FACE_KEYPOINTS[0]])
        covered = occluded(spots, away, radii, depth, alpha, (cameras.height, cameras.width))
        seen = np.where(away <= 0.01, 0.0, _brightness(covered, style))
        for spot, bright in zip(spots, seen, strict=True):
            _disc(canvas, spot, 3 * unit, FACE_DOT, bright)
    return canvas if style.channel_order == "rgb" else np.ascontiguousarray(canvas[..., ::-1])


def _brightness(hidden: np.ndarray, style: PoseStyle) -> np.ndarray:
    """Brightness of keypoints that the style does not keep when hidden."""
    return np.where(hidden, {"keep": 1.0, "dim": style.hidden_brightness}.get(style.occlusion, 0.0), 1.0)


def _strength(hidden: np.ndarray, style: PoseStyle) -> np.ndarray:
    """Brightness 0..1 of the 60 keypoints, given which are hidden."""
    strength = _brightness(hidden, style)
    if style.occlusion == "estimate":
        strength[BODY] = 1.0
        strength[list(FACE_KEYPOINTS)] = ~hidden[list(FACE_KEYPOINTS)]
        for hand in (LEFT_HAND, RIGHT_HAND):
            strength[hand] = float(hidden[hand].mean() <= 0.5)
    return strength


def _draw_body(canvas: np.ndarray, pixels: np.ndarray, strength: np.ndarray, unit: float) -> None:
    """Ellipses between joints, darkened, then discs on the joints."""
    for (a, b), color in zip(LIMBS, COLORS, strict=False):
        bright = LIMB_BRIGHTNESS * min(strength[a], strength[b])
        if bright > 0 and _drawable(canvas, pixels[a], pixels[b]):
            outline = _ellipse(pixels[a], pixels[b], 4 * unit)
            cv2.fillConvexPoly(canvas, _fixed(outline), _shade(color, bright), cv2.LINE_AA, _SHIFT)
    for point, color, bright in zip(pixels, COLORS, strength, strict=True):
        _disc(canvas, point, 4 * unit, color, bright)


def _draw_hand(canvas: np.ndarray, pixels: np.ndarray, strength: np.ndarray, unit: float) -> None:
    """Lines from wrist to finger tips, hue running over the 20 of them, then discs; no fingers, no hand."""
    if not strength[1:].any():
        return
    for i, (a, b) in enumerate(HAND_LINES):
        bright = min(strength[a], strength[b])
        if bright > 0 and _drawable(canvas, pixels[a], pixels[b]):
            hue = tuple(255 * c for c in colorsys.hsv_to_rgb(i / len(HAND_LINES), 1, 1))
            ends = _fixed(np.stack([pixels[a], pixels[b]]))
            thickness = max(1, round(2 * unit))
            cv2.line(canvas, ends[0].tolist(), ends[1].tolist(), _shade(hue, bright), thickness, cv2.LINE_AA, _SHIFT)
    for point, bright in zip(pixels, strength, strict=True):
        _disc(canvas, point, 4 * unit, HAND_DOT, bright)


def _disc(canvas: np.ndarray, point: np.ndarray, radius: float, color: tuple[int, ...], bright: float) -> None:
    if bright > 0 and _drawable(canvas, point):
        size = max(1, round(radius * 2**_SHIFT))
        cv2.circle(canvas, _fixed(point).tolist(), size, _shade(color, bright), -1, cv2.LINE_AA, _SHIFT)


def _ellipse(a: np.ndarray, b: np.ndarray, half_width: float) -> np.ndarray:
    """Outline (64,2) of the ellipse with `a` and `b` at the ends of its long axis, pixels."""
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)[:, None]
    along = (b - a) / 2
    across = np.array([-along[1], along[0]]) / max(float(np.linalg.norm(along)), 1e-9) * half_width
    return (a + b) / 2 + np.cos(turn) * along + np.sin(turn) * across


def _drawable(canvas: np.ndarray, *points: np.ndarray) -> bool:
    """Whether coordinates are near enough to the picture for OpenCV's fixed point numbers."""
    return all(np.abs(point).max() < 8 * max(canvas.shape) for point in points)


def _fixed(points: np.ndarray) -> np.ndarray:
    """Pixels with centres at +0.5 as OpenCV's fixed point, whose centres are whole."""
    return np.round((points - 0.5) * 2**_SHIFT).astype(np.int32)


def _shade(color: tuple[float, ...], bright: float) -> tuple[int, ...]:
    return tuple(int(c * bright) for c in color)
