"""The pose of a whole clip, drawn for a human as control models know it and for anything else bone by bone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.shot import Shot

from ..rendering.layers import LayerRender
from .drawing import PoseStyle, draw_pose
from .keypoints import KeypointMap
from .skeleton import draw_skeleton


def pose_video(
    shot: Shot,
    mapping: KeypointMap,
    cameras: CameraPath,
    layer: LayerRender | None = None,
    vertices: np.ndarray | None = None,
    style: PoseStyle | None = None,
    frames: Sequence[int] | None = None,
) -> np.ndarray:
    """Draw a shot's pose.

    Args:
        shot: T frames of posed bones.
        mapping: where the keypoints sit; a rig that is no human's is drawn by `draw_skeleton` instead.
        cameras: T cameras.
        layer: pictures of the character in those `frames`, whose depth tells what is hidden; None hides nothing.
        vertices: (T,V,3) mesh, world metres, for face landmarks.
        style: of the drawing.
        frames: which ones; None for every frame.

    Returns:
        (T,H,W,3) uint8 sRGB on black.

    Raises:
        Ani3DError: ``pose.depth_size``: a layer of another size than the cameras.
    """
    poses = shot["bone_pose"]
    chosen = range(len(poses)) if frames is None else frames
    if not mapping.is_human:
        bones = list(shot.meta.skeleton)
        lengths = shot["bone_lengths"][bones] / np.linalg.norm(shot["bone_rest"][bones, :3, 1], axis=1)
        parents = shot["bone_parents"][bones]
        return np.stack([draw_skeleton(poses[t][bones], lengths, parents, cameras, t) for t in chosen])
    return np.stack(
        [
            draw_pose(
                mapping, poses[t], cameras, t,
                depth=None if layer is None else np.asarray(layer.depth[place]),
                alpha=None if layer is None else np.asarray(layer.alpha[place]),
                vertices=None if vertices is None else np.asarray(vertices[t]),
                style=style,
            )
            for place, t in enumerate(chosen)
        ]
    )  # fmt: skip
