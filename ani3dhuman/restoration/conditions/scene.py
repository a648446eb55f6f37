"""Inputs of a video diffusion prior besides the coarse clip: all known from the scene, nothing estimated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3d_formats.regions import REGIONS
from ani3d_formats.shot import Shot

from ...pose.drawing import PoseStyle
from ...pose.keypoints import KeypointMap, map_keypoints
from ...pose.video import pose_video
from ...rendering.control_maps import depth_picture, normal_picture, normals_from_depth
from ...rendering.layers import LayerRender
from .reference import fit_reference, load_picture

ControlKind = Literal["pose", "depth", "normal"]

# To let cloth move, its cause (the body), its lag and its folds are named; light and ground are named to stay.
MOVING = {"garment": "the clothes", "hair": "the strands of hair"}
NEGATIVE_PROMPT = (
    "stiff cloth like plastic or tin, frozen folds, clothes glued to the legs, cloth passing through the body, "
    "hair as one solid piece, changed face, changed clothes, changing pattern, extra limbs, missing fingers, "
    "flicker, jerks, motionless picture, blur, noise, compression artefacts, oversaturated colours, text, watermark"
)


def default_prompt(shot: Shot) -> str:
    """An English prompt for a shot: a person, and what of garment and hair there is swings and folds."""
    present = set(np.unique(shot["region_ids"]).tolist())
    loose = " and ".join(words for name, words in MOVING.items() if REGIONS.index(name) in present)
    swing = (
        f" With every movement of the body {loose} swing, lag behind and settle again, light and soft, with fine folds."
        if loose
        else ""
    )
    return (
        f"A photorealistic video of a person moving naturally.{swing} Sharp focus, even soft light, "
        "a plain still background, the same face and the same clothes throughout."
    )


@dataclass(frozen=True)
class SceneConditions:
    """Conditions of one clip.

    Attributes:
        control: (T,H,W,3) uint8, what `kind` says: "pose" stick figures on black, "depth" grey with near white,
            "normal" colours of camera-space normals.
        kind: which of them.
        preserve: (T,H,W) float32, 1 where body or face is seen and must stay as it is, else 0.
        reference: (H,W,3) uint8 sRGB, the person.
        prompt, negative_prompt: English.
        notes: what a user should know, e.g. which keypoints the rig does not give.
    """

    control: np.ndarray
    kind: ControlKind
    preserve: np.ndarray
    reference: np.ndarray
    prompt: str
    negative_prompt: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PoseInputs:
    """What a pose drawing can be given besides the shot.

    Attributes:
        keypoints: None finds them by the bones' names.
        style: of the drawing.
        vertices: (T,V,3) mesh, world metres, for face landmarks.
    """

    keypoints: KeypointMap | None = None
    style: PoseStyle | None = None
    vertices: np.ndarray | None = None


def scene_conditions(
    shot: Shot,
    cameras: CameraPath,
    layer: LayerRender,
    *,
    kind: ControlKind = "pose",
    pose: PoseInputs | None = None,
    reference: np.ndarray | Path | str | None = None,
    prompt: str | None = None,
    negative_prompt: str = NEGATIVE_PROMPT,
) -> SceneConditions:
    """Make the conditions of a clip from the scene.

    Args:
        shot: T frames.
        cameras: T cameras at picture size.
        layer: the coarse layer through `cameras`.
        kind: of the control video.
        pose: of a control video of kind "pose"; None is `PoseInputs()`.
        reference: a picture or its file, fitted to the clip; None takes the layer's first frame. `canonical_reference`
            renders the bind pose.
        prompt: None is `default_prompt`.
        negative_prompt: may be empty.

    Returns:
        The conditions.

    Raises:
        Ani3DError: ``conditions.kind``, ``conditions.size`` (layer, cameras and shot do not fit together),
            ``conditions.reference``, ``conditions.prompt``.
    """
    if kind not in get_args(ControlKind):
        raise Ani3DError(
            "conditions.kind", f"There is no control video of kind '{kind}'.", "Choose pose, depth or normal."
        )
    _check_sizes(shot, cameras, layer)
    prompt = default_prompt(shot) if prompt is None else prompt
    if not prompt.strip():
        raise Ani3DError(
            "conditions.prompt", "The prompt is empty.", "Describe the person and the cloth, or leave the prompt out."
        )
    notes: tuple[str, ...] = ()
    if kind == "pose":
        pose = pose or PoseInputs()
        mapping = pose.keypoints or map_keypoints(shot)
        control = pose_video(shot, mapping, cameras, layer, pose.vertices, pose.style)
        notes = (f"pose: {mapping.describe()}",)
    elif kind == "depth":
        control = depth_picture(np.asarray(layer.depth), np.asarray(layer.alpha))
    else:
        frames = range(len(cameras))
        control = np.stack(
            [normal_picture(normals_from_depth(layer.depth[t], layer.alpha[t], cameras, t)) for t in frames]
        )
    picture = load_picture(reference) if isinstance(reference, str | Path) else reference
    return SceneConditions(
        control,
        kind,
        preserve_mask(layer),
        fit_reference(
            layer.rgb[0] if picture is None else picture,
            cameras.width,
            cameras.height,
            shot.background_srgb,
        ),
        prompt.strip(),
        negative_prompt.strip(),
        notes,
    )


def preserve_mask(layer: LayerRender) -> np.ndarray:
    """(T,H,W) float32: 1 where more than half of a pixel shows body or face, else 0.

    Hard, because the mask is pooled by maximum: a faint rim would grow to whole latents.
    """
    return (np.asarray(layer.preserve, np.float32) > 0.5).astype(np.float32)


def chosen_mask(given: np.ndarray | None, layer: LayerRender) -> np.ndarray:
    """The mask (T,H,W) 0..1 that a user gave, else `preserve_mask`. Raises `Ani3DError` ``restoration.mask_size``."""
    seen = preserve_mask(layer)
    if given is None or given.shape == seen.shape:
        return seen if given is None else given
    raise Ani3DError(
        "restoration.mask_size",
        f"The preserve mask is {given.shape}, the clip {seen.shape}.",
        "Give a mask for every frame of the clip at the clip's size, or none.",
    )


def _check_sizes(shot: Shot, cameras: CameraPath, layer: LayerRender) -> None:
    expected = (shot.frames, cameras.height, cameras.width)
    fits = len(cameras) == shot.frames and layer.rgb.shape == (*expected, 3)
    if not fits or any(a.shape != expected for a in (layer.alpha, layer.depth, layer.preserve)):
        raise Ani3DError(
            "conditions.size",
            f"The layer has pictures {layer.rgb.shape}, the path {len(cameras)} cameras of {cameras.width} x "
            f"{cameras.height}, the shot {shot.frames} frames.",
            "Render the layer of this shot through these cameras.",
        )
