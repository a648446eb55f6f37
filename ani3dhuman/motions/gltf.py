"""Motions from clips of glTF files, as Mixamo, game engines and Blender write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ani3d_formats.skinning import nearest_rotations

from ..gltf.animation import Clip, choose_clip, world_matrices
from ..gltf.document import Document, sound_gltf
from .motion import Motion, motion_error

CLIP_FPS = 30.0  # frames a second of a clip whose keys do not say it
RATES = (8.0, 240.0)  # what keys may say


def read_gltf_motion(path: Path, clip: str | None = None, fps: float | None = None) -> Motion:
    """A clip of a `.glb` or `.gltf`: its joints, or all its nodes where no mesh is skinned.

    The rest pose is the bind pose of the skin; of nodes without skin the pose that the file stands in.

    Args:
        clip: name or number; None takes the first.
        fps: frames a second to read it at; None: as its keys follow one another, else 30.

    Raises:
        Ani3DError: ``gltf.malformed``, ``gltf.missing``, ``gltf.clip``; ``motion.file`` where nothing moves.
    """
    path = Path(path)
    with sound_gltf(path):
        document = Document.read(path)
        chosen = choose_clip(document, clip)
        if chosen is None:
            raise motion_error(path, "no clip in it moves anything", "Export it with its animation.")
        first, last = chosen.span
        fps = fps or _rate(chosen)
        times = first + np.arange(int((last - first) * fps + 1e-6) + 1) / fps
        world = world_matrices(document, chosen, times)
        rest = world_matrices(document, None, np.zeros(1))[0]
        for skin in reversed(document.rows("skins")):
            if "inverseBindMatrices" in skin:
                bind = document.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
                rest[skin["joints"]] = np.linalg.inv(bind.astype(np.float64))
        skinned = {int(joint) for skin in document.rows("skins") for joint in skin["joints"]}
        kept = [node for node, _ in document.tree() if not skinned or node in skinned]
        parents = dict(document.tree())
        rows = {node: row for row, node in enumerate(kept)}
        above = [_nearest(parents, node, rows) for node in kept]
        turns = nearest_rotations((world[:, kept, :3, :3] @ np.linalg.inv(rest[kept, :3, :3])).reshape(-1, 3, 3))
        names = tuple(str(document.data["nodes"][node].get("name", "")) for node in kept)
        return Motion(
            path,
            names,
            np.array(above),
            rest[kept, :3, 3],
            world[:, kept][..., :3, 3],
            turns.reshape(len(times), len(kept), 3, 3),
            1 / fps,
        )


def _rate(clip: Clip) -> float:
    """Frames a second at which the clip with most keys has them."""
    times = max((times for times, _, _ in clip.channels.values()), key=len)
    rate = 1 / max(float(np.median(np.diff(times))) if len(times) > 1 else 1.0, 1e-9)
    return rate if RATES[0] <= rate <= RATES[1] else CLIP_FPS


def _nearest(parents: dict[int, int], node: int, rows: dict[int, int]) -> int:
    """The row of the nearest node above that has one."""
    above = parents[node]
    while above >= 0 and above not in rows:
        above = parents[above]
    return rows.get(above, -1)
