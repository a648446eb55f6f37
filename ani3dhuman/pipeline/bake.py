"""A result as a rigged character: meshes that the skeleton moves, and cloth baked to bones of its own or shape keys."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin

from ..gltf.export_character import Bones, RiggedMesh, influences, meshes_of, write_rigged
from ..gltf.writer import GlbWriter
from ..mesh.decomposition import ROUNDS, decompose
from ..splats.axes import turn
from ..splats.gltf import add_splats
from .bake_gaussians import RiggedSplats, rigged_splats

GAUSSIANS = "Gaussians"  # the name of their node
RIGID = 1e-4  # metres: a mesh whose own weights miss the result by less keeps them


def bake(
    path: Path,
    cache: FrameCache,
    shot: Shot,
    frames: range,
    bones: int | None,
    progress: Progress | None = None,
    gaussians: bool = False,
) -> dict[str, tuple[float, float]]:
    """Write scene frames of a result as GLB with a skeleton.

    Args:
        bones: for each mesh that the shot's skeleton does not move to within `RIGID`; None gives such a mesh a shape
            key for each frame instead, which is exact.
        gaussians: write the result's Gaussians too, on the bones of what they lie on; not with shape keys.

    Returns:
        By object, and "Gaussians" where they are written, (root mean square, largest) metres between what the file
        shows and the result.

    Raises:
        Ani3DError: ``bake.shot`` for a shot of another character; ``bake.gaussians`` with shape keys, which Gaussians
            cannot follow; ``cache.attributes`` for a result without Gaussians; ``disk.full``, ``file.unwritable``.
        Cancelled: between rounds.
    """
    if gaussians and bones is None:
        hint = "Leave one of them out: on bones both move."
        raise Ani3DError("bake.gaussians", "Gaussians do not follow shape keys.", hint)
    if gaussians:
        cache.check_gaussians()
    held = cache.meshes()
    start, first = shot.meta.frame_start, cache.manifest.frame_start
    if not start <= frames[0] <= frames[-1] <= shot.meta.frame_end:
        raise Ani3DError("bake.shot", f"The shot has no frames {frames[0]}:{frames[-1]}.", "Give the result's shot.")
    apart = np.subtract(shot.meta.origin, cache.manifest.origin).astype(np.float32)
    skeleton = Bones.of(shot)
    pose = shot["bone_pose"][frames[0] - start : frames[-1] - start + 1].astype(np.float64)
    names, parents = list(skeleton.names), list(skeleton.parents)
    rests, poses = [skeleton.rest.astype(np.float64)], [pose]
    transforms = shot.skinning_transforms()[frames[0] - start : frames[-1] - start + 1]
    meshes, errors = [], {}
    for mesh, item in zip(meshes_of(shot), shot.meta.objects, strict=True):
        points = held[item.name].vertices if item.name in held else None
        if points is None or points.shape[1] != item.vertex_count:
            raise Ani3DError("bake.shot", f"The result has no mesh '{item.name}' as the shot's.", "Give its own shot.")
        points = points[frames[0] - first : frames[-1] - first + 1] - apart
        away = np.linalg.norm(skin(mesh.vertices, mesh.joints, mesh.weights, transforms) - points, axis=2)
        errors[item.name] = float(np.sqrt(np.mean(away**2))), float(away.max())
        if errors[item.name][1] <= RIGID:
            if progress:
                progress.advance(ROUNDS)
            meshes.append(mesh)
            continue
        if bones is None:
            meshes.append(_with_shapes(mesh, points, len(names)))
            errors[item.name] = 0.0, 0.0
            names.append(f"{item.name} still")
            parents.append(-1)
            rests.append(np.eye(4)[None])
            poses.append(np.tile(np.eye(4), (len(frames), 1, 1, 1)))
            if progress:
                progress.advance(ROUNDS)
            continue
        # from its first frame, which is as the cloth hangs, rather than from the bind pose
        found = decompose(points[0], points, bones, progress.advance if progress else None)
        errors[item.name] = found.rms, found.worst
        base, count = len(names), found.transforms.shape[1]
        centres = np.tile(np.eye(4), (count, 1, 1))
        for b in range(count):
            share = np.where(found.indices == b, found.weights, 0).sum(1)
            centres[b, :3, 3] = share @ points[0] / max(float(share.sum()), 1e-9)
        names += [f"{item.name} {b + 1}" for b in range(count)]
        parents += [-1] * count
        rests.append(centres)
        poses.append(found.transforms @ centres)
        meshes.append(replace(mesh, vertices=points[0], joints=found.indices + base, weights=found.weights))
    rest, moved = np.concatenate(rests), np.concatenate(poses, axis=1)
    all_bones = Bones(tuple(names), np.array(parents), rest, moved, cache.manifest.fps)
    further = None
    if gaussians:
        carried = rigged_splats(cache, frames, meshes, all_bones, apart)
        errors[GAUSSIANS] = carried.rms, carried.worst
        further = partial(_add_gaussians, carried=carried)
    extras = {"baked": {name: {"rms_m": round(a, 6), "max_m": round(b, 6)} for name, (a, b) in errors.items()}}
    write_rigged(path, meshes, all_bones, shot.meta.materials, shot.textures, extras, further)
    return errors


def _add_gaussians(glb: GlbWriter, skin: int, carried: RiggedSplats) -> None:
    """A node of Gaussians in bind pose, moved by the skin; who does not know them sees points that move."""
    more = influences(glb, carried.joints, carried.weights)
    primitive = add_splats(glb, carried.splats.turned(turn("z-up", "y-up")), more)
    mesh = glb.append("meshes", {"name": GAUSSIANS, "primitives": [primitive]})
    node = glb.append("nodes", {"name": GAUSSIANS, "mesh": mesh, "skin": skin})
    glb.document["scenes"][0]["nodes"].append(node)


def _with_shapes(mesh: RiggedMesh, points: np.ndarray, still: int) -> RiggedMesh:
    """A mesh of places (T,V,3) on one bone that never moves."""
    joints, weights = np.full((len(mesh.vertices), 1), still), np.ones((len(mesh.vertices), 1), np.float32)
    shapes = points[1:] - points[:1]
    return replace(mesh, vertices=points[0], joints=joints, weights=weights, shapes=shapes if len(shapes) else None)
