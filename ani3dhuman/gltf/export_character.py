"""A skinned, animated character as GLB: meshes, joints, one clip, colours as textures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from ani3d_formats.shot import Shot
from ani3d_formats.shot_meta import Material

from .skeleton import Y_TO_Z
from .writer import INDEX_BUFFER, GlbWriter

SETS = 4  # influences in one attribute
FLAT_EDGE = 1e-9


@dataclass(frozen=True)
class RiggedMesh:
    """A mesh in bind pose, Z up: `vertices` (V,3) metres, `faces` (F,3), `uvs` (F,3,2) with v upwards, `materials`
    (F,) rows, `joints` and `weights` (V,K); `shapes` (T-1,V,3) are what is added to the vertices in each frame after
    the first, or None."""

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    uvs: np.ndarray
    materials: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    shapes: np.ndarray | None = None


@dataclass(frozen=True)
class Bones:
    """Names, parents (B,), rest (B,4,4) and pose (T,B,4,4) in the world, Z up; frames a second."""

    names: tuple[str, ...]
    parents: np.ndarray
    rest: np.ndarray
    pose: np.ndarray
    fps: float

    @classmethod
    def of(cls, shot: Shot) -> Bones:
        parents = shot["bone_parents"]
        return cls(shot.meta.bones, parents, shot["bone_rest"], shot["bone_pose"], shot.meta.fps)


def meshes_of(shot: Shot) -> list[RiggedMesh]:
    """The objects of a shot."""
    found = []
    for item in shot.meta.objects:
        rows = item.rows
        own = (shot["faces"] >= rows.start).all(1) & (shot["faces"] < rows.stop).all(1)
        found.append(
            RiggedMesh(
                item.name,
                shot["vertices"][rows],
                shot["faces"][own] - rows.start,
                shot["face_uvs"][own],
                shot["face_materials"][own],
                shot["weight_indices"][rows],
                shot["weight_values"][rows],
            )
        )
    return found


def write_rigged(
    path: Path,
    meshes: Sequence[RiggedMesh],
    bones: Bones,
    materials: Sequence[Material],
    textures: Sequence[np.ndarray],
    extras: dict[str, Any] | None = None,
    further: Callable[[GlbWriter, int], None] | None = None,
) -> None:
    """Write a GLB, Y up, that other programs open as a skinned character with a clip "Animation".

    Bones that shear get the nearest place, turn and sizes. More than four influences are written as further sets.

    Args:
        further: adds what else the file is to hold, and is told the number of the skin.

    Raises:
        Ani3DError: ``disk.full``, ``file.unwritable``.
    """
    glb = GlbWriter()
    glb.document |= {"scenes": [{"nodes": []}], "nodes": []}
    if extras:
        glb.document["asset"]["extras"] = extras
    _materials(glb, materials, textures)
    joints = _bones(glb, bones)
    inverse = np.linalg.inv(np.linalg.inv(Y_TO_Z) @ bones.rest.astype(np.float64))
    inverse[:, 3] = 0, 0, 0, 1
    skin = glb.append("skins", {"joints": joints, "inverseBindMatrices": glb.add(inverse, target=None)})
    for mesh in meshes:
        number = glb.append("meshes", {"name": mesh.name, "primitives": _primitives(glb, mesh)})
        node = glb.append("nodes", {"name": mesh.name, "mesh": number, "skin": skin})
        if mesh.shapes is not None:
            _shape_keys(glb, number, node, mesh.shapes, bones.fps)
        glb.document["scenes"][0]["nodes"].append(node)
    if further:
        further(glb, skin)
    glb.write(path)


def _shape_keys(glb: GlbWriter, mesh: int, node: int, shapes: np.ndarray, fps: float) -> None:
    """Say that a mesh has a shape for each frame after the first, and move from one to the next in the clip."""
    keys = len(shapes)
    names = [f"frame {k + 2}" for k in range(keys)]
    glb.document["meshes"][mesh] |= {"weights": [0.0] * keys, "extras": {"targetNames": names}}
    clip = glb.document["animations"][0]
    times = glb.add(np.arange(keys + 1) / fps, target=None, bounds=True)
    weights = glb.add(np.eye(keys + 1)[:, 1:].reshape(-1), target=None)
    clip["channels"].append({"sampler": len(clip["samplers"]), "target": {"node": node, "path": "weights"}})
    clip["samplers"].append({"input": times, "output": weights, "interpolation": "LINEAR"})


def _materials(glb: GlbWriter, materials: Sequence[Material], textures: Sequence[np.ndarray]) -> None:
    numbers: dict[int, int] = {}
    for material in materials:
        surface: dict[str, Any] = {"roughnessFactor": material.roughness, "metallicFactor": material.metallic}
        mode = "OPAQUE"
        if material.texture >= 0:
            picture = textures[material.texture]
            if material.texture not in numbers:
                png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA))[1].tobytes()
                numbers[material.texture] = glb.picture(png)
            surface["baseColorTexture"] = {"index": numbers[material.texture]}
            mode = "BLEND" if picture[..., 3].min() < 255 else mode
        else:
            surface["baseColorFactor"] = [*(float(np.clip(c, 0, 1)) for c in material.base_color), 1.0]
        entry = {"name": material.name, "pbrMetallicRoughness": surface, "doubleSided": True}
        glb.append("materials", entry | ({"alphaMode": mode} if mode != "OPAQUE" else {}))


def _bones(glb: GlbWriter, bones: Bones) -> list[int]:
    """The joints' nodes, and the clip that moves them."""
    parents = np.asarray(bones.parents)
    to_y = np.linalg.inv(Y_TO_Z)
    rest, pose = to_y @ bones.rest.astype(np.float64), to_y @ bones.pose.astype(np.float64)
    above = np.where(parents >= 0, parents, 0)
    base = np.linalg.inv(rest[above])
    base[parents < 0] = np.eye(4)
    moving = np.linalg.inv(pose[:, above])
    moving[:, parents < 0] = np.eye(4)
    still, moved = base @ rest, moving @ pose
    first = len(glb.document["nodes"])
    for row, name in enumerate(bones.names):
        place, quat, size = (each[0] for each in _parts(still[row][None]))
        parts = {"translation": place, "rotation": quat, "scale": size}
        entry: dict[str, Any] = {"name": name, **{what: part.tolist() for what, part in parts.items()}}
        children = [first + int(child) for child in np.flatnonzero(parents == row)]
        glb.append("nodes", entry | ({"children": children} if children else {}))
    roots = [first + int(row) for row in np.flatnonzero(parents < 0)]
    if len(roots) > 1:  # joints of a skin have a node above them all
        roots = [glb.append("nodes", {"name": "Armature", "children": roots})]
    glb.document["scenes"][0]["nodes"] += roots
    times = glb.add(np.arange(len(pose)) / bones.fps, target=None, bounds=True)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    for row in range(len(bones.names)):
        for what, values in zip(("translation", "rotation", "scale"), _parts(moved[:, row]), strict=True):
            if what == "scale" and np.abs(values - 1).max() < 1e-6:
                continue
            channels.append({"sampler": len(samplers), "target": {"node": first + row, "path": what}})
            samplers.append({"input": times, "output": glb.add(values, target=None), "interpolation": "LINEAR"})
    glb.append("animations", {"name": "Animation", "samplers": samplers, "channels": channels})
    return list(range(first, first + len(bones.names)))


def _parts(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places (T,3), turns (T,4) xyzw without jumps and sizes (T,3) of matrices (T,4,4)."""
    sizes = np.maximum(np.linalg.norm(matrices[:, :3, :3], axis=1), FLAT_EDGE)
    sizes[np.linalg.det(matrices[:, :3, :3]) < 0] *= -1
    quats = Rotation.from_matrix(matrices[:, :3, :3] / sizes[:, None]).as_quat()
    flips = np.where((quats[1:] * quats[:-1]).sum(1) < 0, -1.0, 1.0)
    quats[1:] *= np.cumprod(flips)[:, None]
    return matrices[:, :3, 3].copy(), quats, sizes


def _primitives(glb: GlbWriter, mesh: RiggedMesh) -> list[dict[str, Any]]:
    """One for each material; vertices are there once for each of their UVs."""
    found = []
    used = int((np.sort(mesh.weights, 1)[:, ::-1] > 0).any(0).sum())
    joints, weights = strongest(mesh, max(used, 1))
    for number in np.unique(mesh.materials):
        own = mesh.materials == number
        corners = np.concatenate([mesh.faces[own].reshape(-1, 1), mesh.uvs[own].reshape(-1, 2)], axis=1)
        rows, indices = np.unique(corners, axis=0, return_inverse=True)
        taken = rows[:, 0].astype(np.int64)
        points = mesh.vertices[taken].astype(np.float64) @ Y_TO_Z[:3, :3]
        attributes = {
            "POSITION": glb.add(points.astype(np.float32), bounds=True),
            "TEXCOORD_0": glb.add((rows[:, 1:] * [1, -1] + [0, 1]).astype(np.float32)),
        }
        attributes |= influences(glb, joints[taken], weights[taken])
        entry: dict[str, Any] = {"attributes": attributes, "material": int(number)}
        if mesh.shapes is not None:
            moved = (shape[taken].astype(np.float64) @ Y_TO_Z[:3, :3] for shape in mesh.shapes)
            entry["targets"] = [{"POSITION": glb.add(each.astype(np.float32), bounds=True)} for each in moved]
        entry["indices"] = glb.add(indices.reshape(-1).astype(np.uint32), target=INDEX_BUFFER)
        found.append(entry)
    return found


def strongest(mesh: RiggedMesh, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints (V,K) and weights (V,K) of each vertex, the largest weights first, `most` at most; joint 0 for none."""
    order = np.argsort(-mesh.weights, axis=1, kind="stable")[:, :most]
    joints, weights = (np.take_along_axis(each, order, 1) for each in (mesh.joints, mesh.weights))
    return np.where(weights > 0, joints, 0), weights


def influences(glb: GlbWriter, joints: np.ndarray, weights: np.ndarray) -> dict[str, int]:
    """Attributes of joints (V,K) and weights (V,K), in sets of four."""
    sets = -(-weights.shape[1] // SETS)
    room = ((0, 0), (0, SETS * sets - weights.shape[1]))
    weights, joints = np.pad(weights.astype(np.float64), room), np.pad(joints, room).astype(np.uint16)
    weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    found: dict[str, int] = {}
    for k in range(sets):
        columns = slice(SETS * k, SETS * (k + 1))
        found |= {f"JOINTS_{k}": glb.add(joints[:, columns]), f"WEIGHTS_{k}": glb.add(weights[:, columns])}
    return found
