"""Meshes out of the engine, through Blender's importers and back: how far vertices move."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np

from ani3d_formats.frames import FrameCache
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.bake import bake
from ani3dhuman.pipeline.mesh_files import write_alembic
from ani3dhuman.splats.usd import write_usd

BLENDERS = {"5.0": ".venv-blender-5.0.1", "5.3": ".venv-blender-5.3.0"}
FRAMES = 3
READ = """
import bpy, sys, numpy as np
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps = 24
path, first = sys.argv[1], int(sys.argv[3])
if path.endswith('.glb'): bpy.ops.import_scene.gltf(filepath=path, merge_vertices=True)
elif path.endswith('.abc'): bpy.ops.wm.alembic_import(filepath=path, as_background_job=False)
else: bpy.ops.wm.usd_import(filepath=path)
found = {}
for t in range(int(sys.argv[4])):
    bpy.context.scene.frame_set((first if not path.endswith('.glb') else 0) + t)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    for item in bpy.data.objects:
        if item.type != 'MESH': continue
        mesh, at = item.evaluated_get(depsgraph).to_mesh(), np.array(item.matrix_world)
        points = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.vertices.foreach_get('co', points)
        found[f'{item.name}/{t}'] = points.reshape(-1, 3) @ at[:3, :3].T + at[:3, 3]
np.savez(sys.argv[2], **found)
"""


def round_trip(folder: Path, cache: FrameCache, shot: Shot) -> dict[str, float]:
    """Largest distance in metres between vertices and what each Blender reads; of GLB the meshes that bones move."""
    first = cache.manifest.frame_start
    frames = range(first, first + FRAMES)
    origin = np.array(cache.manifest.origin, np.float32)
    python = str(Path(BLENDERS["5.0"]) / "bin" / "python")
    files = {name: folder / f"round.{name}" for name in ("usdc", "abc", "glb")}
    write_usd(files["usdc"], cache, frames, shot)
    write_alembic(files["abc"], cache, shot, frames, python)
    errors = bake(files["glb"], cache, shot, frames, 8, Progress("bake", 100))
    figures: dict[str, float] = {}
    for version, environment in BLENDERS.items():
        for name, path in files.items():
            target = folder / f"read.{name}.npz"
            command = [str(Path(environment) / "bin" / "python"), "-c", READ, str(path), str(target)]
            subprocess.run([*command, str(first), str(FRAMES)], check=True, capture_output=True)
            worst = 0.0
            with np.load(target) as found:
                for mesh, points in cache.meshes().items():
                    if name == "glb" and errors[mesh][1] > 1e-4:
                        continue
                    for t in range(FRAMES):
                        own = points.vertices[t] + (origin if name == "usdc" else 0)
                        keys = [key for key in found.files if key.startswith(mesh) and key.endswith(f"/{t}")]
                        worst = max(worst, min(_apart(own, found[key]) for key in keys))
            figures[f"round_trip_{name}_{version.replace('.', '_')}_m"] = worst
    return {**figures, "round_trip_max_m": max(figures.values())}


def _apart(own: np.ndarray, read: np.ndarray) -> float:
    """Vertex by vertex where they come in the same order and number, else to the nearest."""
    if own.shape == read.shape and np.linalg.norm(own - read, axis=1).max() < 1e-3:
        return float(np.linalg.norm(own - read, axis=1).max())
    from scipy.spatial import cKDTree

    return float(max(cKDTree(read).query(own)[0].max(), cKDTree(own).query(read)[0].max()))
