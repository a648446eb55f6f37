"""The checks of a shot that need several of its arrays at once."""

from __future__ import annotations

import numpy as np

from .shot_meta import ShotMeta, bad


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
    counts = (
        ("bones", len(meta.bones), len(arrays["bone_rest"])),
        ("objects", meta.objects[-1].rows.stop, len(arrays["vertices"])),
    )
    for name, said, there in counts:
        if said != there:
            what = "bones" if name == "bones" else "vertices"
            raise bad("bad_meta", f"In the shot, meta.{name} has {said} {what}, the arrays have {there}.")
    for number, material in enumerate(meta.materials):
        if material.texture >= textures:
            what = f"{material.texture}; the shot has {textures} textures"
            raise bad("bad_index", f"In the shot, meta.materials[{number}].texture is {what}.")
    unweighted = np.flatnonzero(np.abs(arrays["weight_values"].sum(1) - 1) > 1e-3)
    if len(unweighted):
        where = next(o.name for o in meta.objects if unweighted[0] < o.rows.stop)
        raise bad(
            "unweighted_vertices",
            f"{len(unweighted)} vertices have no bone weights, the first is vertex {unweighted[0]} in '{where}'.",
            "Paint weights for them or run Normalize All, then export again.",
        )
    linear = arrays["bone_pose"][..., :3, :3]
    lengths = np.linalg.norm(linear, axis=-2)
    uneven = lengths.max(-1) > lengths.min(-1) * 1.001 + 1e-9
    if uneven.any():
        frame, bone = np.argwhere(uneven)[0]
        raise bad(
            "non_uniform_bone_scale",
            f"Bone '{meta.bones[bone]}' is scaled unevenly at frame {meta.frame_start + frame}.",
            "Use the same scale on all three axes of the bone.",
        )
    _check_preserve_volume(meta, arrays)
    if np.abs(np.linalg.det(arrays["viewmats"][:, :3, :3]) - 1).max() > 1e-3:
        raise bad("bad_camera", "A camera matrix is not a rotation.", "Remove scale from the camera and its parents.")


def _check_preserve_volume(meta: ShotMeta, arrays: dict[str, np.ndarray]) -> None:
    """What dual quaternion skinning needs, where objects ask for it."""
    for item in meta.objects:
        if not item.preserve_volume:
            continue
        rows = item.rows
        bones = np.unique(arrays["weight_indices"][rows][arrays["weight_values"][rows] > 0])
        pose, rest = (np.linalg.det(arrays[k][..., bones, :3, :3]) for k in ("bone_pose", "bone_rest"))
        if (pose * rest < 0).any():
            frame, column = np.argwhere(pose * rest < 0)[0]
            bone = bones[column]
            raise bad(
                "mirrored_bone",
                f"Bone '{meta.bones[bone]}' is mirrored at frame {meta.frame_start + frame}, and "
                f"'{item.name}' preserves volume.",
                "Scale the bone by a positive number, or turn Preserve Volume off in the Armature modifier.",
            )
