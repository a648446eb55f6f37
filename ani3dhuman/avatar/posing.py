"""An avatar on a deformed mesh: what the rasteriser draws."""

from __future__ import annotations

import numpy as np
import torch

from ani3d_formats.camera import CameraPath
from ani3d_formats.gaussians import GaussianFrames

from ..rendering.light_sources import Lighting
from .appearance import apply_appearance, check_appearance
from .avatar import Avatar
from .shading import shade


def pose_avatar(
    avatar: Avatar,
    vertices: np.ndarray,
    lighting: Lighting,
    cameras: CameraPath,
    appearance: np.ndarray | None = None,
    scales: np.ndarray | None = None,
) -> GaussianFrames:
    """Posed, lit Gaussians of T frames.

    Args:
        avatar: canonical Gaussians bound to the mesh.
        vertices: (T,V,3) deformed mesh, world metres.
        lighting: the scene's lights.
        cameras: T cameras; thin cloth is lit on the side they see.
        appearance: (T,V,5) what refinement adds to scales, opacities and lit colours, see `avatar.appearance`; or
            None.
        scales: (N,3) or (T,N,3) metres, instead of the avatar's own.

    Raises:
        Ani3DError: ``appearance.shape`` for that of another mesh or other frames, or one that is not finite.
    """
    if appearance is not None:
        check_appearance(appearance, *vertices.shape[:2])
    means, quats = avatar.pose(vertices)
    colors = shade(avatar, vertices, lighting, cameras.positions())
    scales = np.broadcast_to(avatar.scales if scales is None else scales, (len(vertices), *avatar.scales.shape))
    if appearance is None:
        return GaussianFrames(means, quats, scales, avatar.opacities, colors)
    opacities, scales = np.empty(colors.shape[:2], np.float32), np.array(scales)
    with torch.no_grad():
        for t, frame in enumerate(appearance):
            given = (torch.from_numpy(np.array(values)) for values in (frame, scales[t], avatar.opacities, colors[t]))
            scales[t], opacities[t], colors[t] = (part.numpy() for part in apply_appearance(avatar.binding, *given))
    return GaussianFrames(means, quats, scales, opacities, colors)
