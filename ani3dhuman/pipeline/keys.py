"""What each stage reads of a shot and which version its code has: together with its inputs they name its result."""

from __future__ import annotations

from typing import Any

from ani3d_formats.shot import Shot
from ani3d_formats.shot_lights import LIGHT_ARRAYS
from ani3d_formats.shot_scene import SCENE_ARRAYS

from .. import __version__
from ..storage.stage_store import content_key

# A number goes up when that code makes something else of the same input, so that stored results are not taken for new.
METHODS = {
    "avatar": 7,
    "fit": 15,
    "rigid": 2,
    "cloth": 29,
    "render": 15,
    "restore": 4,
    "limits": 5,
    "conditions": 1,
    "refine": 15,
}

SKIN = ("vertices", "weight_indices", "weight_values", "bone_rest")
SURFACE = ("vertices", "faces", "region_ids", "face_uvs", "face_materials", "vertex_tints", "corner_normals")
READS = {
    "avatar": SURFACE,
    "fit": (*SKIN, "bone_parents", *SURFACE[1:]),
    "rigid": (*SKIN, "bone_pose", "recorded_vertices"),
    "cloth": ("vertices", "faces", "region_ids", *SCENE_ARRAYS),
    "render": LIGHT_ARRAYS,
    "restore": ("vertices", "region_ids"),
    "conditions": (*SKIN, "region_ids", "bone_pose", "bone_lengths", "bone_parents"),
    "refine": (*SKIN, "faces", "region_ids", "bone_pose"),
}


def stage_key(stage: str, shot: Shot, *inputs: Any) -> str:
    """Names a stage's result, by what it reads of the shot, its code's version, and `inputs`.

    `inputs` are arrays, JSON values and the keys of the stages that it goes on from.
    """
    read = {name: shot.arrays.get(name) for name in READS[stage]}
    return content_key(__version__, stage, METHODS[stage], read, *inputs)
