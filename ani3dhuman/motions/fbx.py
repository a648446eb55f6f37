"""Motions from FBX files, which Blender reads for us."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..blender.program import run_script
from .gltf import read_gltf_motion
from .motion import Motion, motion_error


def read_fbx(path: Path, clip: str | None = None, blender: str | None = None) -> Motion:
    """A clip of an FBX file. Raises `Ani3DError` ``motion.file``, ``blender.missing``, ``blender.failed``."""
    if not path.is_file():
        raise motion_error(path, "it cannot be read", "Check the path.")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "motion.glb"
        run_script("fbx_to_glb", {"source": path.resolve(), "target": target}, blender)
        found = read_gltf_motion(target, clip)
    return Motion(path, found.names, found.parents, found.rest, found.points, found.turns, found.frame_time)
