"""Gaussian avatars: canonical Gaussians, how they hang on the mesh, and what they look like."""

from .avatar import Avatar
from .from_mesh import avatar_from_shot
from .posing import pose_avatar
from .shading import shade

__all__ = ["Avatar", "avatar_from_shot", "pose_avatar", "shade"]
