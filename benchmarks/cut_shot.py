"""The demo's shot at another length and size, for measurements of whole jobs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ani3d_formats.shot import Shot


def cut_shot(shot: Shot, frames: int, width: int, height: int) -> Shot:
    """`frames` of a shot, forth and back where it is shorter, its pictures `width` x `height` pixels."""
    there_and_back = np.concatenate([np.arange(shot.frames), np.arange(shot.frames - 2, 0, -1)])
    picks = np.resize(there_and_back, frames)
    moving = {name: values[picks] for name, values in shot.arrays.items() if name in ("bone_pose", "viewmats")}
    scale = np.diag([width / shot.meta.width, height / shot.meta.height, 1]).astype(np.float32)
    meta = replace(shot.meta, frame_start=1, frame_end=frames, width=width, height=height)
    return replace(shot, meta=meta, arrays={**shot.arrays, **moving, "Ks": scale @ shot["Ks"][picks]})
