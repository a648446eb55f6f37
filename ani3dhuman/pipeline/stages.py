"""Each stage of a job as a pure function of arrays; `animate` decides what has to run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ani3d_formats.camera import CameraPath
from ani3d_formats.color import linear_to_srgb
from ani3d_formats.errors import Ani3DError
from ani3d_formats.pins import pin_weights
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot

from ..avatar import Avatar, Lighting, avatar_from_shot, pose_avatar
from ..avatar.binding import SurfaceBinding
from ..avatar.from_mesh import DETAIL
from ..cloth.fabrics import FABRICS
from ..cloth.simulate import simulate_character
from ..mesh.nearest import nearest_points
from ..pose.drawing import STYLES
from ..pose.keypoints import KeypointMap
from ..pose.video import pose_video
from ..rendering.layers import LayerRender, render_layer
from .settings import Settings

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Scene:
    """What restoration and refinement look at.

    Attributes:
        shot, avatar, cameras: the scene at picture size.
        rigid, coarse: (T,V,3) vertices of those layers, world metres.
        base: (T,V,3) what restoration and refinement move: `coarse` itself, or a sound layer where that is repaired.
        pins: (V,) pin weights.
        keypoints: where the rig has what pose drawings show.
        appearance: (T,V,5) that the coarse layer has in later rounds of refinement, see `avatar.appearance`; or None.
    """

    shot: Shot
    avatar: Avatar
    rigid: np.ndarray
    coarse: np.ndarray
    base: np.ndarray
    pins: np.ndarray
    cameras: CameraPath
    keypoints: KeypointMap
    appearance: np.ndarray | None = None


def picture_size(shot: Shot, scale: float) -> tuple[int, int]:
    """Width and height of the shot's pictures scaled, in whole pixels."""
    width, height = (max(8, round(side * scale)) for side in (shot.meta["width"], shot.meta["height"]))
    return width, height


def build_avatar(shot: Shot, settings: Settings, progress: Progress) -> Arrays:
    """Canonical Gaussians as arrays."""
    avatar = avatar_from_shot(shot, settings.gaussians, DETAIL, settings.seed)
    progress.advance(progress.total)
    return {
        "triangle_ids": avatar.binding.triangle_ids.numpy(),
        "barycentrics": avatar.binding.barycentrics.numpy(),
        "local_quats": avatar.binding.local_quats.numpy(),
        "scales": avatar.scales,
        "opacities": avatar.opacities,
        "albedo": avatar.albedo,
        "region_ids": avatar.region_ids,
    }


def avatar_of(shot: Shot, arrays: Arrays) -> Avatar:
    """The avatar that `build_avatar` stored."""
    faces = torch.from_numpy(shot["faces"].astype(np.int64))
    parts = (torch.from_numpy(np.array(arrays[k])) for k in ("triangle_ids", "barycentrics", "local_quats"))
    loose = (np.array(arrays[k]) for k in ("scales", "opacities", "albedo", "region_ids"))
    return Avatar(SurfaceBinding(faces, *parts), *loose)


def simulate_cloth(shot: Shot, rigid: np.ndarray, coarse: str, fabric: str, progress: Progress) -> Arrays:
    """The coarse layer: vertices (T,V,3) world metres, and pin weights (V,).

    By `coarse`: "physics": garment and hair swing, the rest stays as `rigid` (T,V,3) has it; "rigid": all
    does; "evaluated": what Blender showed, body and face included. `fabric` is the garment's.

    Raises:
        Ani3DError: ``shot.not_evaluated``, see `evaluated_layer`.
    """
    pins = pin_weights(shot.arrays, nearest_points)
    if coarse != "physics":
        vertices = rigid if coarse == "rigid" else evaluated_layer(shot)
        progress.advance(progress.total)
        return {"vertices": vertices, "pins": pins}
    vertices = simulate_character(
        rigid, shot["faces"], shot["vertices"], shot["region_ids"], pins, float(shot.meta["fps"]),
        FABRICS[fabric], FABRICS["hair"], progress,
    )  # fmt: skip
    return {"vertices": vertices, "pins": pins}


def evaluated_layer(shot: Shot) -> np.ndarray:
    """Vertices (T,V,3) as Blender showed them, world metres.

    Raises:
        Ani3DError: ``shot.not_evaluated``: the shot was exported without them.
    """
    if "evaluated_vertices" not in shot.arrays:
        raise Ani3DError(
            "shot.not_evaluated",
            f"The shot '{shot.name}' does not hold the meshes as Blender shows them.",
            "Set Coarse to Evaluated mesh in Blender and export the shot again, or choose another coarse layer.",
        )
    return shot["evaluated_vertices"]


def background_srgb(shot: Shot) -> np.ndarray:
    """The scene's background colour (3,) as displayed."""
    return linear_to_srgb(shot["background"]).astype(np.float32)


def render_gaussians(
    shot: Shot,
    avatar: Avatar,
    vertices: np.ndarray,
    cameras: CameraPath,
    progress: Progress,
    appearance: np.ndarray | None = None,
) -> Arrays:
    """A layer's pictures as arrays; see `rendering.layers.LayerRender`, and `pose_avatar` for `appearance`."""
    gaussians = pose_avatar(avatar, vertices, Lighting.of(shot), cameras, appearance)
    layer = render_layer(gaussians, avatar.region_ids, cameras, background_srgb(shot), progress)
    return vars(layer)


def draw_skeletons(scene: Scene, layer: Arrays, settings: Settings) -> np.ndarray:
    """(T,H,W,3) uint8 drawings of the pose: a human's as control models read it, any other rig's bone by bone.

    `layer` holds the arrays of `render_gaussians`, whose depth tells which keypoints are hidden.
    """
    layers = LayerRender(**layer)
    return pose_video(scene.shot, scene.keypoints, scene.cameras, layers, style=STYLES[settings.pose_style])


def keypoint_names(settings: Settings) -> dict[str, Any] | None:
    """The map from keypoints to bones in the settings' file, or None where there is none.

    Raises:
        Ani3DError: ``keypoints.file``: it is not a JSON object.
    """
    if not settings.keypoint_map:
        return None
    try:
        names = json.loads(Path(settings.keypoint_map).read_text(encoding="utf-8"))
        if not isinstance(names, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError) as error:
        raise Ani3DError(
            "keypoints.file",
            f"The keypoint map {settings.keypoint_map} cannot be read ({error}).",
            'Write it as JSON, such as {"left_wrist": "paw.L", "left_ear": null}.',
        ) from error
    return {key: tuple(value) if isinstance(value, list) else value for key, value in names.items()}
