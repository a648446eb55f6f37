"""Meshes out of the engine, through each Blender and into the engine again: how far vertices move.

They leave as USD, Alembic and glTF (the skeleton's meshes on it, cloth by shape keys), are imported by Blender, rigged
where the file has no rig, and exported by the extension as a shot.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ani3d_formats.frames import FrameCache
from ani3d_formats.shot import Shot
from ani3dhuman.pipeline.bake import bake
from ani3dhuman.pipeline.mesh_files import write_alembic
from ani3dhuman.splats.usd import write_usd

BLENDERS = {"5_0": ".venv-blender-5.0.1", "5_2": ".venv-blender-5.2.3", "5_3": ".venv-blender-5.3.0"}
FRAMES = 3


def found_blenders() -> dict[str, Path]:
    """Programs of the Blenders that are here, by version."""
    found = {version: Path(folder) / "bin" / "python" for version, folder in BLENDERS.items()}
    return {version: python for version, python in found.items() if python.exists()}


def round_trip(folder: Path, cache: FrameCache, shot: Shot) -> dict[str, float]:
    """Largest distance in metres between vertices of the result and those of the shot that comes back."""
    first, blenders = cache.manifest.frame_start, found_blenders()
    frames = range(first, first + FRAMES)
    some_python = str(next(iter(blenders.values())).absolute())
    files = {name: folder / f"round.{name}" for name in ("usdc", "abc", "glb")}
    write_usd(files["usdc"], cache, frames, shot)
    write_alembic(files["abc"], cache, shot, frames, some_python)
    bake(files["glb"], cache, shot, frames, None)
    build = [some_python, "-m", "tools.build_extension", "--out", str(folder / "extension")]
    extension = subprocess.run(build, check=True, capture_output=True, text=True).stdout.split()[-1]
    figures: dict[str, float] = {}
    for version, python in blenders.items():
        for name, path in files.items():
            target = folder / f"back.{name}.npz"
            target.unlink(missing_ok=True)
            words = ["-m", "benchmarks.formats.back_in_blender", extension, path, target, first, FRAMES]
            done = subprocess.run([str(python), *map(str, words)], capture_output=True, text=True)
            if not target.is_file():
                raise RuntimeError(done.stderr[-2000:])
            figures[f"round_trip_{name}_{version}_m"] = _furthest(cache, Shot.load(target))
    return {**figures, "round_trip_max_m": max(figures.values())}


def _furthest(cache: FrameCache, back: Shot) -> float:
    worst, evaluated = 0.0, back["evaluated_vertices"].astype(np.float64)
    origin = np.subtract(back.meta.origin, cache.manifest.origin)
    for name, points in cache.meshes().items():
        (item,) = (each for each in back.meta.objects if each.name.partition(".")[0] == name)
        for t in range(FRAMES):
            own, read = points.vertices[t], evaluated[t, item.rows] + origin
            worst = max(worst, _apart(own, read))
    return worst


def _apart(own: np.ndarray, read: np.ndarray) -> float:
    """Vertex by vertex where they come in the same order and number, else to the nearest."""
    if own.shape == read.shape and np.linalg.norm(own - read, axis=1).max() < 1e-3:
        return float(np.linalg.norm(own - read, axis=1).max())
    return float(max(cKDTree(read).query(own)[0].max(), cKDTree(own).query(read)[0].max()))
