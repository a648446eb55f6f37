"""An avatar on a deformed mesh: what the rasteriser draws."""

from __future__ import annotations

import numpy as np

from ..camera import CameraPath
from ..gaussians import GaussianFrames
from .avatar import Avatar
from .shading import Lighting, shade


def pose_avatar(avatar: Avatar, vertices: np.ndarray, lighting: Lighting, cameras: CameraPath) -> GaussianFrames:
    """Posed, lit Gaussians of T frames.

    Args:
        avatar: canonical Gaussians bound to the mesh.
        vertices: (T,V,3) deformed mesh, world metres.
        lighting: the scene's lights.
        cameras: T cameras; thin cloth is lit on the side they see.
    """
    means, quats = avatar.pose(vertices)
    colors = shade(avatar, vertices, lighting, cameras.positions())
    return GaussianFrames(means, quats, avatar.posed_scales(vertices), avatar.opacities, colors)
