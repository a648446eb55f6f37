"""Which reader a file of motion needs."""

from __future__ import annotations

from pathlib import Path

from .bvh import read_bvh
from .fbx import read_fbx
from .gltf import read_gltf_motion
from .motion import Motion, motion_error
from .smpl import read_smpl_motion

ENDINGS = (".bvh", ".npz", ".glb", ".gltf", ".fbx")


def read_motion(path: Path, clip: str | None = None, blender: str | None = None) -> Motion:
    """The motion in a BVH, glTF, FBX or AMASS file, by its ending.

    Args:
        clip: of glTF and FBX, by name or number.
        blender: the program that reads FBX; see `blender.find_blender`.

    Raises:
        Ani3DError: ``motion.file``, ``gltf.*``, ``blender.*``.
    """
    ending = path.suffix.lower()
    if ending == ".bvh":
        return read_bvh(path)
    if ending == ".npz":
        return read_smpl_motion(path)
    if ending in (".glb", ".gltf"):
        return read_gltf_motion(path, clip)
    if ending == ".fbx":
        return read_fbx(path, clip, blender)
    raise motion_error(path, "it is no known file of motion", f"Known are {', '.join(ENDINGS)}.")
