"""Small scenes for the tests: a cylinder with three bones, a skirt, a camera, and made-up frame caches."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import bpy
import numpy as np
from mathutils import Euler, Vector

BONES = ("hips", "spine", "head")


def armature(transform: bool = False) -> bpy.types.Object:
    """Three bones in a chain along z from 0 to 1.5 m, the middle one tilted; `transform` moves the object."""
    rig = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    joints = [Vector(p) for p in ((0, 0, 0), (0, 0.05, 0.5), (0.04, 0, 1.0), (0, 0, 1.5))]
    root = rig.data.edit_bones.new("control")
    root.head, root.tail, root.use_deform = (0, 0, -0.1), joints[0], False
    parent = root
    for name, head, tail in zip(BONES, joints, joints[1:], strict=False):
        bone = rig.data.edit_bones.new(name)
        bone.head, bone.tail, bone.parent = head, tail, parent
        bone.roll = 0.3 * len(name)
        parent = bone
    bpy.ops.object.mode_set(mode="OBJECT")
    if transform:
        rig.location, rig.rotation_euler, rig.scale = (1, -2, 0.5), Euler((0.2, 0.1, 1.0)), (1.3, 1.3, 1.3)
        bpy.context.view_layer.update()
    return rig


def tube(name: str, rig: bpy.types.Object, radius: float, low: float, high: float, flare: float = 0.0):
    """A closed-ring tube of quads along z, weighted smoothly (and not normalised) to the bones of `rig`."""
    rings, around = 9, 12
    angles = np.linspace(0, 2 * np.pi, around, endpoint=False)
    points, faces = [], []
    for ring in range(rings):
        up = ring / (rings - 1)
        wide = radius + flare * (1 - up)
        points += [(wide * np.cos(a), wide * np.sin(a), low + up * (high - low)) for a in angles]
        if ring:
            for i in range(around):
                a, b = (ring - 1) * around + i, (ring - 1) * around + (i + 1) % around
                faces.append((a, b, b + around, a + around))
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points, [], faces)
    mesh.uv_layers.new(name="UVMap")
    item = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(item)
    groups = [item.vertex_groups.new(name=bone) for bone in BONES]
    for index, point in enumerate(points):
        for group, centre in zip(groups, (0.25, 0.75, 1.25), strict=True):
            weight = max(0.0, 1 - abs(point[2] - centre) / 0.6)
            if weight:
                group.add([index], 0.6 * weight, "REPLACE")
    item.parent = rig
    modifier = item.modifiers.new("Armature", "ARMATURE")
    modifier.object = rig
    return item


def camera(location=(0.3, -4.0, 1.0)) -> bpy.types.Object:
    """A camera near `location` that looks at the character."""
    item = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    bpy.context.scene.collection.objects.link(item)
    item.location = location
    item.rotation_euler = (Vector((0, 0, 0.7)) - item.location).to_track_quat("-Z", "Y").to_euler()
    bpy.context.scene.camera = item
    return item


def character(frames: int = 8) -> bpy.types.Object:
    """Body and skirt on one armature that sways and travels, with camera and sun, selected and ready to bind."""
    rig = armature()
    tube("Body", rig, 0.15, 0.0, 1.5)
    tube("Skirt", rig, 0.2, 0.1, 0.8, flare=0.2)
    camera()
    sun = bpy.data.objects.new("Sun", bpy.data.lights.new("Sun", "SUN"))
    sun.rotation_euler, sun.data.energy = (0.6, 0.2, 0.0), 3.0
    scene = bpy.context.scene
    scene.collection.objects.link(sun)
    scene.world = bpy.data.worlds.new("World")
    scene.frame_start, scene.frame_end, scene.render.fps = 3, 2 + frames, 24
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 64, 96, 100
    for row, frame in enumerate(range(3, 3 + frames)):
        spine = rig.pose.bones["spine"]
        spine.rotation_mode = "XYZ"
        spine.rotation_euler = (0.4 * np.sin(row), 0.1 * row, 0)
        spine.keyframe_insert("rotation_euler", frame=frame)
        rig.pose.bones["hips"].location = (0.05 * row, 0, 0)
        rig.pose.bones["hips"].keyframe_insert("location", frame=frame)
    scene.frame_set(3)
    select(rig)
    return rig


def select(item: bpy.types.Object | None) -> None:
    """Make `item` the only selected and the active object."""
    bpy.context.view_layer.update()  # else it may lack new objects, and be made anew while it is gone through
    for other in [each for each in bpy.context.view_layer.objects if each is not None]:
        other.select_set(other == item)
    bpy.context.view_layer.objects.active = item


def random_pose(rig: bpy.types.Object, rng: np.random.Generator, scale: bool = True) -> None:
    """Turn, move and (evenly) scale every bone of `rig` at random."""
    for bone in rig.pose.bones:
        bone.rotation_mode = "QUATERNION"
        turn = np.r_[1.5, rng.normal(0, 0.7, 3)]
        bone.rotation_quaternion = turn / np.linalg.norm(turn)
        bone.location = rng.normal(0, 0.1, 3)
        bone.scale = [rng.uniform(0.8, 1.2) if scale else 1.0] * 3
    bpy.context.view_layer.update()


def evaluated_vertices(item: bpy.types.Object) -> np.ndarray:
    """(V,3) world vertices of `item` after all its modifiers."""
    evaluated = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
    points = np.empty(len(evaluated.data.vertices) * 3, np.float32)
    evaluated.data.vertices.foreach_get("co", points)
    world = np.array(evaluated.matrix_world, np.float64)
    return points.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def read_attribute(part, attribute, width: int) -> np.ndarray:
    """All values of a point attribute as (N,width) float32."""
    values = np.empty(len(attribute.data) * width, np.float32)
    attribute.data.foreach_get(part("compat").values_field(attribute), values)
    return values.reshape(-1, width)


def shown_gaussians(part, item: bpy.types.Object) -> dict[str, np.ndarray]:
    """The attributes that the point cloud object `item` is drawn with, as evaluated now: name -> (N,k)."""
    for modifier in item.modifiers:
        modifier.show_viewport = "Playback" in modifier.name  # without the ellipsoids on the points
    cloud = item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    widths = {"position": 3, "scale": 3, "rotation": 4, "radiance:base": 4}
    return {name: read_attribute(part, cloud.attributes[name], width) for name, width in widths.items()}


def same_turns(quats: np.ndarray) -> np.ndarray:
    """`quats` (...,4) with the sign that makes w positive: q and -q are one rotation."""
    return quats * np.where(quats[..., :1] < 0, -1, 1)


def skinned(shot: dict[str, np.ndarray], frame: int) -> np.ndarray:
    """(V,3) linear blend skinning of a shot's vertices at row `frame`, in float64, straight from its definition."""
    transforms = shot["bone_pose"][frame].astype(np.float64) @ np.linalg.inv(shot["bone_rest"].astype(np.float64))
    blended = np.einsum("vk,vkij->vij", shot["weight_values"], transforms[shot["weight_indices"]])
    points = np.concatenate([shot["vertices"], np.ones((len(shot["vertices"]), 1))], axis=1)
    return np.einsum("vij,vj->vi", blended, points)[:, :3]


def meta(shot: dict[str, np.ndarray]) -> dict:
    return json.loads(str(shot["meta"]))


def write_cache(folder: Path, arrays: dict[str, np.ndarray], frames: tuple[int, int], meshes=None) -> Path:
    """Write a frame cache with plain numpy: `arrays` (T,N,k) or static (N,k), `meshes` name -> (T,V,3)."""
    folder.mkdir(parents=True)
    entries = []
    for name, array in arrays.items():
        file = folder / (name.replace(":", "_") + ".npy")
        np.save(file, array.astype("<f4"))
        entries.append(
            {
                "name": name,
                "file": file.name,
                "dtype": "<f4",
                "shape": list(array.shape),
                "static": array.ndim == 2,
                "bytes": file.stat().st_size,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            }
        )
    listed = []
    for name, points in (meshes or {}).items():
        header = struct.pack("<12siiffi", b"POINTCACHE2\0", 1, points.shape[1], float(frames[0]), 1.0, len(points))
        data = header + points.astype("<f4").tobytes()
        (folder / f"{name}.pc2").write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        listed.append({"object": name, "file": f"{name}.pc2", "bytes": len(data), "sha256": digest})
    manifest = {
        "schema": "ani3dhuman.cache",
        "version": 1,
        "fps": 24.0,
        "frame_start": frames[0],
        "frame_end": frames[1],
        "count": next(iter(arrays.values())).shape[-2],
        "attributes": entries,
        "meshes": listed,
        "provenance": {},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def random_cache(folder: Path, frames: tuple[int, int], count: int = 50, meshes=None, changing: bool = False):
    """A cache of random Gaussians, scale, colour and opacity static or `changing`; returns (folder, arrays)."""
    rng = np.random.default_rng(7)
    length = frames[1] - frames[0] + 1
    quats = rng.normal(size=(length, count, 4))
    arrays = {
        "position": rng.normal(size=(length, count, 3)),
        "rotation": quats / np.linalg.norm(quats, axis=-1, keepdims=True),
        "scale": rng.uniform(0.01, 0.05, (count, 3)),
        "radiance:base": np.c_[rng.normal(0, 1.5, (count, 3)), rng.uniform(0, 1, count)],
    }
    if changing:
        arrays["scale"] = rng.uniform(0.01, 0.05, (length, count, 3))
        arrays["radiance:base"] = np.concatenate(
            [rng.normal(0, 1.5, (length, count, 3)), rng.uniform(0, 1, (length, count, 1))], axis=2
        )
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    return write_cache(folder, arrays, frames, meshes), arrays


def gaussians(result: str = "Rig") -> bpy.types.Object:
    """The Gaussians of a result."""
    return next(o for o in bpy.data.objects if o.ani3d.kind == "GAUSSIANS" and o.ani3d.result == result)


def assert_shows(part, item: bpy.types.Object, arrays: dict[str, np.ndarray], row: int) -> None:
    """Assert that `item` shows frame number `row` of `arrays`, (T,N,k) or (N,k) by name."""
    for name, found in shown_gaussians(part, item).items():
        expected = arrays[name] if arrays[name].ndim == 2 else arrays[name][row]
        if name == "rotation":
            found, expected = same_turns(found), same_turns(expected)
        np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=f"{name} at row {row}")
