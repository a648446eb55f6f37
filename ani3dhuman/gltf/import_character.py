"""A rigged character in glTF as a shot, without Blender: meshes, skins, one clip, colours and what they mirror."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.camera import CameraPath
from ani3d_formats.errors import Ani3DError
from ani3d_formats.names import safe_name
from ani3d_formats.regions import REGIONS
from ani3d_formats.shot import Shot
from ani3d_formats.shot_meta import OBJECT_ROW, ObjectRange, ShotMeta, Source

from .animation import choose_clip, world_matrices
from .document import Document, sound_gltf
from .materials import Materials
from .skeleton import Y_TO_Z, Skeleton

WIDTH, HEIGHT = 480, 832
FOV, ROOM = np.radians(40.0), 1.15  # of the camera that a file without one gets
SUNS = np.array([[0.45, 0.75, -0.75], [-0.8, 0.2, -0.4]]), np.array([[2.2, 2.1, 2.0], [0.5, 0.55, 0.65]])
AMBIENT, BACKGROUND = (0.4, 0.42, 0.45), (0.6, 0.6, 0.62)
GAUSSIANS = "KHR_gaussian_splatting"
_MODES = {4, 5, 6}  # triangles, strips, fans


def read_character(
    path: Path, *, clip: str | None = None, fps: float = 24.0, regions: Mapping[str, str] | None = None
) -> Shot:
    """A `.glb` or `.gltf` as a shot, in frames 1 and on.

    Meshes that neither a skin nor a joint moves are left out where there are skinned ones. Shape keys stay at rest.

    Args:
        clip: name or number; None takes the first, or the pose that the file stands in.
        fps: frames a second of the shot.
        regions: object's or material's name -> region; all else is body.

    Raises:
        Ani3DError: ``gltf.malformed``, ``gltf.missing``, ``gltf.clip``; ``gltf.region`` for a name that is not there;
            ``gltf.no_mesh``; ``shot.*``.
    """
    with sound_gltf(path):
        document = Document.read(path)
        chosen = choose_clip(document, clip)
        first, last = chosen.span if chosen else (0.0, 0.0)
        times = first + np.arange(int((last - first) * fps + 1e-6) + 1) / fps
        world, still = world_matrices(document, chosen, times), world_matrices(document, None, np.zeros(1))[0]
        skeleton = Skeleton.of(document, world, still)
        materials = Materials(document)
        meshes = [mesh for mesh in _meshes(document, skeleton, materials, world, still) if mesh is not None]
        if not meshes:
            raise Ani3DError("gltf.no_mesh", f"{path.name} has no mesh of triangles.", "Export the character's meshes.")
        return _shot(path, meshes, skeleton, materials, fps, _known(regions or {}, meshes, materials))


def _known(regions: Mapping[str, str], meshes: list[dict[str, Any]], materials: Materials) -> Mapping[str, str]:
    names = {mesh["name"] for mesh in meshes} | {row.name for row in materials.rows}
    for name, region in regions.items():
        if name not in names or region not in REGIONS:
            what = f"region '{region}'" if name in names else f"object or material '{name}'"
            hint = f"There are {', '.join(sorted(names))}; regions are {', '.join(REGIONS)}."
            raise Ani3DError("gltf.region", f"There is no {what}.", hint)
    return regions


def _meshes(
    document: Document, skeleton: Skeleton, materials: Materials, world: np.ndarray, still: np.ndarray
) -> list[dict[str, Any] | None]:
    """The parts of each node with triangles: name, vertices, faces, uvs, materials, tints, joints, weights."""
    found: list[dict[str, Any] | None] = []
    above = dict(document.tree())
    used: set[str] = set()
    for node in above:
        entry = document.data["nodes"][node]
        if "mesh" not in entry:
            continue
        mesh = document.data["meshes"][entry["mesh"]]
        skin = entry.get("skin")
        joint = node
        while joint >= 0 and joint not in skeleton.of_joint:
            joint = above[joint]
        if skin is None and joint < 0 and skeleton.binds:
            continue
        parts = [
            _primitive(document, primitive, materials)
            for primitive in mesh["primitives"]
            if primitive.get("mode", 4) in _MODES and GAUSSIANS not in primitive.get("extensions", {})
        ]
        parts = [part for part in parts if len(part["faces"])]
        if not parts:
            continue
        name = str(entry.get("name") or mesh.get("name") or f"mesh {node}")
        number, free = 1, name
        while free in used:
            number += 1
            free = f"{name} {number}"
        used.add(free)
        whole = _welded(parts)
        if skin is None:
            place = Y_TO_Z @ still[node]
            if joint >= 0:
                row = skeleton.of_joint[joint]
                place = skeleton.rest[row] @ np.linalg.inv(still[joint]) @ still[node]
            row = skeleton.add(OBJECT_ROW + free, skeleton.of_joint.get(joint, -1), place, Y_TO_Z @ world[:, node])
            whole["joints"] = np.full((len(whole["vertices"]), 1), row)
            whole["weights"] = np.ones((len(whole["vertices"]), 1))
        else:
            place = skeleton.binds[skin]
            total = whole["weights"].sum(1, keepdims=True)
            first = np.eye(1, whole["weights"].shape[1])  # what nothing holds stays with the first joint
            whole["weights"] = np.where(total > 1e-6, whole["weights"] / np.maximum(total, 1e-6), first)
            whole["joints"] = skeleton.rows[skin][whole["joints"]]
        whole["vertices"] = whole["vertices"] @ place[:3, :3].T + place[:3, 3]
        if np.linalg.det(place[:3, :3]) < 0:
            whole["faces"], whole["uvs"] = whole["faces"][:, ::-1], whole["uvs"][:, ::-1]
        found.append({**whole, "name": free})
    return found


def _primitive(document: Document, primitive: dict[str, Any], materials: Materials) -> dict[str, Any]:
    attributes = primitive["attributes"]
    vertices = document.accessor(attributes["POSITION"]).astype(np.float64)
    count = len(vertices)
    indices = document.accessor(primitive["indices"], whole=True)[:, 0] if "indices" in primitive else np.arange(count)
    faces = _triangles(indices, primitive.get("mode", 4))
    if faces.size and faces.max() >= count:
        raise ValueError("a mesh has faces of vertices that it has not")
    number = primitive.get("material")
    row = materials.number(number)
    surface = document.data["materials"][number].get("pbrMetallicRoughness", {}) if number is not None else {}
    uv = f"TEXCOORD_{surface.get('baseColorTexture', {}).get('texCoord', 0)}"
    uvs = document.accessor(attributes[uv])[:, :2] if uv in attributes else np.zeros((count, 2))
    tints = document.accessor(attributes["COLOR_0"])[:, :3] if "COLOR_0" in attributes else np.ones((count, 3))
    sets = [k for k in range(4) if f"JOINTS_{k}" in attributes and f"WEIGHTS_{k}" in attributes]
    joints = [document.accessor(attributes[f"JOINTS_{k}"], whole=True) for k in sets] or [
        np.zeros((count, 4), np.int64)
    ]
    weights = [document.accessor(attributes[f"WEIGHTS_{k}"]) for k in sets] or [np.zeros((count, 4))]
    for each in (*joints, *weights, uvs, tints):
        if len(each) != count:
            raise ValueError("a mesh has attributes of another length than its positions")
    flipped = uvs * [1, -1] + [0, 1]
    return {
        "vertices": vertices,
        "faces": faces,
        "uvs": flipped[faces],
        "materials": np.full(len(faces), row),
        "tints": tints,
        "joints": np.concatenate(joints, 1),
        "weights": np.maximum(np.concatenate(weights, 1), 0),
    }


def _triangles(indices: np.ndarray, mode: int) -> np.ndarray:
    if mode == 4:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    if len(indices) < 3:
        return np.zeros((0, 3), np.int64)
    if mode == 6:
        return np.stack([np.full(len(indices) - 2, indices[0]), indices[1:-1], indices[2:]], axis=1)
    faces = np.stack([indices[:-2], indices[1:-1], indices[2:]], axis=1)
    faces[1::2] = faces[1::2, [1, 0, 2]]
    return faces


def _welded(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Primitives as one mesh; vertices that differ in UVs alone are one, so that cloth holds together at seams."""
    width = max(part["joints"].shape[1] for part in parts)
    for part in parts:
        room = ((0, 0), (0, width - part["joints"].shape[1]))
        part["joints"], part["weights"] = np.pad(part["joints"], room), np.pad(part["weights"], room)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "faces"}
    starts = np.cumsum([0, *(len(part["vertices"]) for part in parts)])
    faces = np.concatenate([part["faces"] + start for part, start in zip(parts, starts, strict=False)])
    key = np.concatenate([joined["vertices"], joined["joints"], joined["weights"]], axis=1)
    _, kept, of_vertex = np.unique(key, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(kept)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    faces = place[of_vertex.reshape(-1)][faces]
    sound = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    for name in ("vertices", "tints", "joints", "weights"):
        joined[name] = joined[name][np.sort(kept)]
    for name in ("uvs", "materials"):
        joined[name] = joined[name][sound]
    return {**joined, "faces": faces[sound]}


def _shot(
    path: Path,
    meshes: list[dict[str, Any]],
    skeleton: Skeleton,
    materials: Materials,
    fps: float,
    regions: Mapping[str, str],
) -> Shot:
    rest, pose, lengths = skeleton.turned()
    starts = np.cumsum([0, *(len(mesh["vertices"]) for mesh in meshes)])
    width = max(mesh["joints"].shape[1] for mesh in meshes)
    pad = [((0, 0), (0, width - mesh["joints"].shape[1])) for mesh in meshes]
    faces = np.concatenate([mesh["faces"] + start for mesh, start in zip(meshes, starts, strict=False)])
    labels = [np.full(len(mesh["vertices"]), REGIONS.index(regions.get(mesh["name"], "body"))) for mesh in meshes]
    region_ids, of_face = np.concatenate(labels), np.concatenate([mesh["materials"] for mesh in meshes])
    for number, material in enumerate(materials.rows):
        if material.name in regions:
            region_ids[faces[of_face == number]] = REGIONS.index(regions[material.name])
    vertices = np.concatenate([mesh["vertices"] for mesh in meshes])
    cameras = _cameras(vertices, rest, pose)
    frames = len(pose)
    arrays = {
        "vertices": vertices,
        "faces": faces,
        "face_uvs": np.concatenate([mesh["uvs"] for mesh in meshes]),
        "face_materials": of_face,
        "vertex_tints": np.concatenate([mesh["tints"] for mesh in meshes]),
        "weight_indices": np.concatenate([np.pad(m["joints"], p) for m, p in zip(meshes, pad, strict=True)]),
        "weight_values": np.concatenate([np.pad(m["weights"], p) for m, p in zip(meshes, pad, strict=True)]),
        "region_ids": region_ids,
        "bone_parents": np.array(skeleton.parents),
        "bone_rest": rest,
        "bone_lengths": lengths,
        "bone_pose": pose,
        "viewmats": cameras.viewmats,
        "Ks": cameras.Ks,
        "sun_directions": SUNS[0] / np.linalg.norm(SUNS[0], axis=1, keepdims=True),
        "sun_colors": SUNS[1],
        "ambient": np.array(AMBIENT),
        "background": np.array(BACKGROUND),
    }
    objects = tuple(
        ObjectRange(mesh["name"], int(start), len(mesh["vertices"]))
        for mesh, start in zip(meshes, starts, strict=False)
    )
    meta = ShotMeta(
        safe_name(path.stem), fps, 1, frames, WIDTH, HEIGHT, objects, tuple(skeleton.names), tuple(materials.rows),
        source=Source("glTF", "2.0", path.name),
    )  # fmt: skip
    pictures = {f"texture_{k}": texture for k, texture in enumerate(materials.textures)}
    stored = {name: _stored(array) for name, array in arrays.items()}
    return Shot.from_arrays({"meta": meta.to_array(), **stored, **pictures})


def _stored(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int32)


def _cameras(vertices: np.ndarray, rest: np.ndarray, pose: np.ndarray) -> CameraPath:
    """One camera that stands before the character and sees it in all frames."""
    joints = np.concatenate([rest[:, :3, 3], pose.reshape(-1, 4, 4)[:, :3, 3]])
    reach = max(float(np.abs(vertices - rest[:, :3, 3].mean(0)).max()) / 2, 1e-3)
    low, high = np.minimum(vertices.min(0), joints.min(0)), np.maximum(vertices.max(0), joints.max(0))
    size = max(float(high[2] - low[2]), float(high[0] - low[0]) * HEIGHT / WIDTH, reach)
    aim = np.tile((low + high) / 2, (len(pose), 1))
    away = ROOM * size / 2 / np.tan(FOV / 2) + (high[1] - low[1]) / 2
    still = np.zeros(len(pose))
    return CameraPath.around(aim, still, 0.05, still + away, FOV, WIDTH, HEIGHT)
