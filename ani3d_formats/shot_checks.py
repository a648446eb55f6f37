"""The checks of a shot that need several of its arrays at once."""

from __future__ import annotations

import numpy as np

from .shot_lights import check_lights
from .shot_meta import RECORDED, ObjectRange, ShotMeta, bad
from .shot_scene import check_scene

_FLAT = 1e-7  # smallest over largest axis of a matrix that float32 cannot invert
_MOST = np.iinfo(np.int32).max


def check_content(meta: ShotMeta, arrays: dict[str, np.ndarray], textures: int) -> None:
    """The checks that need several arrays at once."""
    if meta.frames != len(arrays["bone_pose"]):
        raise bad("bad_array", f"'bone_pose' has {len(arrays['bone_pose'])} frames, the frame range {meta.frames}.")
    if len(arrays["faces"]) == 0:
        raise bad("no_faces", "The character's meshes have no faces.", "Bind a mesh with faces.")
    limits = (
        ("faces", len(arrays["vertices"])),
        ("weight_indices", len(arrays["bone_rest"])),
        ("face_materials", len(meta.materials)),
        ("region_ids", len(meta.regions)),
    )
    for name, limit in limits:
        if arrays[name].size and not (arrays[name].min() >= 0 and arrays[name].max() < limit):
            raise bad("bad_index", f"'{name}' points outside 0..{limit - 1}.")
    corners = arrays["vertices"][arrays["faces"]].astype(np.float64)
    if not np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).any():
        raise bad(
            "no_area",
            "The character's meshes have no area in the rest pose: each of their faces is a line or a point.",
            "Give the meshes a scale other than zero, or bind meshes with whole faces.",
        )
    counts = (
        ("bones", len(meta.bones), len(arrays["bone_rest"])),
        ("objects", meta.objects[-1].rows.stop, len(arrays["vertices"])),
    )
    for name, said, there in counts:
        if said != there:
            what = "bones" if name == "bones" else "vertices"
            raise bad("bad_meta", f"In the shot, meta.{name} has {said} {what}, the arrays have {there}.")
    for number, material in enumerate(meta.materials):
        for entry, value in (("texture", material.texture), ("gloss", material.gloss)):
            if value >= textures:
                what = f"{value}; the shot has {textures} textures"
                raise bad("bad_index", f"In the shot, meta.materials[{number}].{entry} is {what}.")
    unweighted = np.flatnonzero(np.abs(arrays["weight_values"].sum(1) - 1) > 1e-3)
    if len(unweighted):
        where = next(o.name for o in meta.objects if unweighted[0] < o.rows.stop)
        raise bad(
            "unweighted_vertices",
            f"{len(unweighted)} vertices have no bone weights, the first is vertex {unweighted[0]} in '{where}'.",
            "Paint weights for them or run Normalize All, then export again.",
        )
    if "view_table" in arrays and len(arrays["view_table"]) < 2:
        raise bad("bad_array", "'view_table' has fewer than 2 entries along its sides.")
    _check_bones(meta, arrays)
    _check_recorded(meta, arrays)
    check_lights(arrays)
    check_scene(meta.colliders, meta.forces, len(meta.objects), arrays)
    for number, item in enumerate(meta.objects):
        if item.strands:
            _check_strands(number, item, arrays["faces"])
    if np.abs(np.linalg.det(arrays["viewmats"][:, :3, :3]) - 1).max() > 1e-3:
        raise bad("bad_camera", "A camera matrix is not a rotation.", "Remove scale from the camera and its parents.")


def _check_bones(meta: ShotMeta, arrays: dict[str, np.ndarray]) -> None:
    parents = arrays["bone_parents"]
    if not (parents.min() >= -1 and parents.max() < len(parents)):
        raise bad("bad_index", f"'bone_parents' points outside -1..{len(parents) - 1}.")
    sizes = np.linalg.svd(arrays["bone_rest"][:, :3, :3].astype(np.float64), compute_uv=False)
    flat = np.flatnonzero(sizes[:, 2] <= _FLAT * sizes[:, 0])
    if len(flat):
        raise bad(
            "flat_rest_bone",
            f"Bone '{meta.bones[flat[0]]}' has size zero along an axis in the rest pose.",
            "Give the armature and its parents a scale other than zero where the character is bound.",
        )


def _check_recorded(meta: ShotMeta, arrays: dict[str, np.ndarray]) -> None:
    expected = sum(item.vertex_count for item in meta.objects if item.motion == RECORDED)
    there = arrays["recorded_vertices"].shape[1] if "recorded_vertices" in arrays else 0
    if expected != there:
        what = f"meta.objects has {expected} vertices of recorded objects, 'recorded_vertices' has {there}"
        raise bad("bad_meta", f"In the shot, {what}.")


def _check_strands(number: int, item: ObjectRange, faces: np.ndarray) -> None:
    """Two triangles for each segment of each strand, and none that leaves its segment."""
    inside = (faces >= item.rows.start) & (faces < item.rows.stop)
    own = faces[inside.any(1)] - item.rows.start
    points = own // 2
    segments, strands = points.min(1, initial=_MOST), points // item.strands
    expected = item.vertex_count // (2 * item.strands) * (item.strands - 1)
    whole = (
        inside.any(1).sum() == inside.all(1).sum()
        and (points.max(1, initial=0) == segments + 1).all()
        and (strands.min(1, initial=_MOST) == strands.max(1, initial=0)).all()
        and np.array_equal(np.unique(segments, return_counts=True)[1], np.full(expected, 2))
    )
    if not whole:
        what = f"the faces of '{item.name}' are not two triangles for each segment of its strands"
        raise bad("bad_meta", f"In the shot, meta.objects[{number}].strands is {item.strands}; {what}.")
