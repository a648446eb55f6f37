"""A parametric body that moves, as a shot: a stand-in for a person of Gaussians, or a character of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.names import safe_name
from ani3d_formats.regions import BODY, FACE
from ani3d_formats.shot import Shot
from ani3d_formats.shot_meta import Material, ObjectRange, ShotMeta, Source

from ..motions.smpl import Y_TO_Z, SmplPoses, joint_names
from .model import BodyModel, sparse_weights

WIDTH, HEIGHT, FOV = 480, 832, np.radians(40.0)
SKIN = Material("skin", (0.6, 0.42, 0.34), roughness=0.6, specular=0.5)
HEAD = ("head", "jaw", "left_eye_smplhf", "right_eye_smplhf")


def body_shot(model: BodyModel, betas: np.ndarray, poses: SmplPoses | None, name: str) -> Shot:
    """The body in a shot, Z up: bones, weights, and as `evaluated_vertices` what the model's correctives make of them.

    Args:
        betas: (S',) of shape.
        poses: of the same family; None lets it stand at rest for one frame.
        name: of the shot.
    """
    rest, joints = model.shaped(betas)
    turn = np.eye(4)
    turn[:3, :3] = Y_TO_Z
    if poses is None:
        pose, trans, fps = np.zeros((1, model.joints, 3)), np.zeros((1, 3)), 24.0
        to_world = turn
    else:
        pose, trans, fps = poses.fitted(model.joints), poses.trans, poses.fps
        to_world = np.eye(4)  # the world of these files is Z up already
    moved = model.posed(pose, betas, trans=trans) @ to_world[:3, :3].T.astype(np.float32)
    transforms = to_world @ model.transforms(joints, pose, trans) @ np.linalg.inv(turn)
    vertices, heads = rest @ Y_TO_Z.T, joints @ Y_TO_Z.T
    bones, lengths = _bones(heads, model.parents)
    indices, values = sparse_weights(model.weights)
    names = joint_names(model.joints)
    head = [names.index(each) for each in HEAD if each in names]
    face = model.weights[:, head].sum(1) > 0.5
    frames = len(pose)
    low, high = moved.min((0, 1)), moved.max((0, 1))
    size = max(float(high[2] - low[2]), float(high[0] - low[0]) * HEIGHT / WIDTH)
    away = 1.15 * size / 2 / np.tan(FOV / 2) + float(high[1] - low[1]) / 2
    still = np.zeros(frames)
    cameras = CameraPath.around(np.tile((low + high) / 2, (frames, 1)), still, 0.05, still + away, FOV, WIDTH, HEIGHT)
    kind, whole = np.float32, np.int32
    arrays = {
        "vertices": vertices.astype(kind),
        "faces": model.faces.astype(whole),
        "face_uvs": model.uvs.astype(kind),
        "face_materials": np.zeros(len(model.faces), whole),
        "vertex_tints": np.ones(vertices.shape, kind),
        "weight_indices": indices.astype(whole),
        "weight_values": values.astype(kind),
        "region_ids": np.where(face, FACE, BODY).astype(whole),
        "bone_parents": model.parents.astype(whole),
        "bone_rest": bones.astype(kind),
        "bone_lengths": lengths.astype(kind),
        "bone_pose": (transforms @ bones).astype(kind),
        "evaluated_vertices": moved.astype(kind),
        "viewmats": cameras.viewmats,
        "Ks": cameras.Ks,
        "sun_directions": np.array([[0.4, 0.66, -0.64], [-0.87, 0.22, -0.44]], kind),
        "sun_colors": np.array([[2.2, 2.1, 2.0], [0.5, 0.55, 0.65]], kind),
        "ambient": np.array([0.4, 0.42, 0.45], kind),
        "background": np.array([0.6, 0.6, 0.62], kind),
    }
    meta = ShotMeta(
        safe_name(name), fps, 1, frames, WIDTH, HEIGHT, (ObjectRange("Body", 0, len(vertices)),), names, (SKIN,),
        source=Source(model.kind),
    )  # fmt: skip
    return Shot.from_arrays({"meta": meta.to_array(), **arrays})


def _bones(heads: np.ndarray, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrices (J,4,4) of bones whose Y points at their first child, and their lengths (J,)."""
    bones, lengths = np.tile(np.eye(4), (len(heads), 1, 1)), np.full(len(heads), 0.05)
    along = np.tile([0.0, 0.0, 1.0], (len(heads), 1))
    for j, parent in enumerate(parents):
        below = np.flatnonzero(parents == j)
        if parent >= 0:
            along[j] = along[parent]
        if len(below):
            way = heads[below[0]] - heads[j]
            size = float(np.linalg.norm(way))
            if size > 1e-6:
                along[j], lengths[j] = way / size, size
        side = np.cross(along[j], [0.0, -1.0, 0.0] if abs(along[j][1]) < 0.9 else [1.0, 0.0, 0.0])
        side /= np.linalg.norm(side)
        bones[j, :3] = np.stack([side, along[j], np.cross(side, along[j]), heads[j]], axis=1)
    return bones, lengths


def import_body(source: Path, out: Path, motion: Path | None, betas: np.ndarray | None) -> Shot:
    """Write a shot of the model in `source`, moved by a file of poses; without `betas` its shape is that file's.

    Raises:
        Ani3DError: ``body.*``, ``motion.file``; ``disk.full``, ``file.unwritable``.
    """
    model = BodyModel.load(source)
    poses = SmplPoses.load(motion) if motion else None
    if betas is None:
        betas = poses.betas[: model.shapes.shape[2]] if poses is not None else np.zeros(0)
    shot = body_shot(model, betas, poses, out.stem)
    shot.save(out)
    return shot
