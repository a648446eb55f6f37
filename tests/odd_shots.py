"""Shots in which something that a stage works on is missing: cloth, a view of it, area, size, motion."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from synthetic import make_arrays

from ani3d_formats.regions import BODY, GARMENT, HAIR
from ani3d_formats.shot import Shot

FRAMES = 3
Arrays = dict[str, np.ndarray]


def nothing_loose(arrays: Arrays) -> None:
    arrays["region_ids"][arrays["region_ids"] >= HAIR] = BODY


def no_body(arrays: Arrays) -> None:
    arrays["region_ids"][:] = GARMENT


def all_pinned(arrays: Arrays) -> None:
    arrays["pin_weights"] = np.ones(len(arrays["vertices"]), np.float32)


def a_single_loose_vertex(arrays: Arrays) -> None:
    nothing_loose(arrays)
    arrays["region_ids"][-1] = HAIR


def standing_still(arrays: Arrays) -> None:
    arrays["bone_pose"][:] = arrays["bone_pose"][:1]


def behind_the_camera(arrays: Arrays) -> None:
    arrays["viewmats"][:, 2, 3] = -3.0


def beside_the_picture(arrays: Arrays) -> None:
    arrays["viewmats"][:, 0, 3] = 50.0


def in_view_at_first(arrays: Arrays) -> None:
    arrays["viewmats"][1:, 0, 3] = 50.0


def cloth_above_the_picture(arrays: Arrays) -> None:
    """The camera sees the feet alone."""
    arrays["Ks"][:, :2, :2] *= 8
    arrays["viewmats"][:, 1, 3] = 0.1


def camera_in_the_body(arrays: Arrays) -> None:
    arrays["viewmats"][:, :3, 3] = 0, 1.0, 0


def one_face(arrays: Arrays) -> None:
    for name in ("faces", "face_uvs", "face_materials"):
        arrays[name] = arrays[name][:1]


def faces_without_area(arrays: Arrays) -> None:
    arrays["faces"][::3, 2] = arrays["faces"][::3, 0]
    arrays["vertices"][30:35] = arrays["vertices"][30]


def cloth_without_area(arrays: Arrays) -> None:
    loose = (arrays["region_ids"] >= HAIR)[arrays["faces"]].any(1)
    arrays["faces"][loose] = arrays["faces"][loose, :1]


def without_size_at_times(arrays: Arrays) -> None:
    arrays["bone_pose"][1, :, :3, :3] = 0
    arrays["bone_pose"][1, :, :3, 3] = 0.3


def without_size(arrays: Arrays) -> None:
    arrays["bone_pose"][:, :, :3, :3] = 0
    arrays["bone_pose"][:, :, :3, 3] = 0.3


def change_meta(arrays: Arrays, change: Callable[[dict[str, Any]], None]) -> None:
    meta = json.loads(str(arrays["meta"]))
    change(meta)
    arrays["meta"] = np.array(json.dumps(meta))


def strands_of_hair(arrays: Arrays) -> None:
    """The hair's 100 vertices as 10 ribbons of 5 points, 2 mm wide, that hang from the crown."""
    points, start = 5, len(arrays["vertices"]) - 100
    strand, point, side = np.meshgrid(np.arange(10), np.arange(points), np.arange(2), indexing="ij")
    angle, height = 2 * np.pi * strand / 10, 1.72 - 0.08 * point
    places = np.stack([0.15 * np.cos(angle), 0.15 * np.sin(angle), height], -1)
    places += 0.001 * (2 * side - 1)[..., None] * np.stack([-np.sin(angle), np.cos(angle), 0 * angle], -1)
    arrays["vertices"][start:] = places.reshape(-1, 3)
    first = [start + 2 * (s * points + p) for s in range(10) for p in range(points - 1)]
    ribbons = [face for a in first for face in ((a, a + 1, a + 2), (a + 1, a + 3, a + 2))]
    others = np.flatnonzero(arrays["faces"].max(1) < start)
    arrays["faces"] = np.concatenate([arrays["faces"][others], ribbons]).astype(np.int32)
    for name in ("face_uvs", "face_materials"):
        arrays[name] = np.resize(arrays[name], (len(arrays["faces"]), *arrays[name].shape[1:]))
    change_meta(arrays, lambda meta: meta["objects"][2].update(strands=points))


def all_recorded(arrays: Arrays) -> None:
    """As of an armature that moves nothing: what moves was recorded, with a frame in which it is flat."""
    growth = np.array([[1, 1, 1], [1, 1, 0], [1.2, 1.2, 1.2]], np.float32)
    arrays["recorded_vertices"] = arrays["vertices"] * growth[:, None]
    arrays["bone_pose"][:] = arrays["bone_rest"]
    change_meta(arrays, lambda meta: [item.update(motion="recorded") for item in meta["objects"]])


def objects_alone(arrays: Arrays) -> None:
    """No bone: every row is an object that moves as a whole."""
    change_meta(arrays, lambda meta: meta.update(bones=[f"object:{name}" for name in meta["bones"]]))


def bones_of_any_shape(arrays: Arrays) -> None:
    shapes = np.stack([np.diag([0.2, 3, 1, 1]), np.diag([-1, 1, 1, 1]), np.eye(4) + 0.8 * np.eye(4, k=1)])
    shapes[:, :3, 3] = 0
    arrays["bone_pose"][:] = arrays["bone_pose"] @ shapes.astype(np.float32)


def one_frame(arrays: Arrays) -> None:
    for name in ("bone_pose", "viewmats", "Ks"):
        arrays[name] = arrays[name][:1]


KINDS: dict[str, Callable[[Arrays], None]] = {
    change.__name__: change
    for change in (
        nothing_loose,
        no_body,
        all_pinned,
        a_single_loose_vertex,
        standing_still,
        behind_the_camera,
        beside_the_picture,
        in_view_at_first,
        cloth_above_the_picture,
        camera_in_the_body,
        one_face,
        faces_without_area,
        cloth_without_area,
        without_size_at_times,
        without_size,
        strands_of_hair,
        all_recorded,
        objects_alone,
        bones_of_any_shape,
        one_frame,
    )
}


def odd_shot(kind: str) -> Shot:
    """The synthetic character with one thing missing, a name of `KINDS`."""
    frames = 1 if kind == "one_frame" else FRAMES
    arrays = make_arrays(frames, width=48, height=80)
    arrays = {name: np.array(array) for name, array in arrays.items()}
    KINDS[kind](arrays)
    arrays["evaluated_vertices"] = np.tile(arrays["vertices"], (frames, 1, 1))
    return Shot.from_arrays(arrays)
