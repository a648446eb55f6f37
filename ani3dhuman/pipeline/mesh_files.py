"""Meshes of a result for other programs: MDD, Alembic with velocities through Blender; and where a file came from."""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.atomic import atomic_path, write_bytes
from ani3d_formats.errors import Ani3DError
from ani3d_formats.frames import FrameCache
from ani3d_formats.manifest import MANIFEST
from ani3d_formats.names import safe_name
from ani3d_formats.progress import Progress
from ani3d_formats.shot import Shot, save_arrays

from ..blender.program import run_script
from ..gltf.export_character import meshes_of


def write_mdd(folder: Path, cache: FrameCache, frames: range, progress: Progress | None = None) -> list[Path]:
    """`OBJECT.mdd` of each mesh in `folder`: places in metres, Z up, times in seconds from the first frame.

    Raises:
        Ani3DError: ``disk.full``, ``file.unwritable``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = cache.manifest.frame_start
    files: list[Path] = []
    for name, mesh in cache.meshes().items():
        points = mesh.vertices[frames[0] - first : frames[-1] - first + 1]
        times = (np.arange(len(frames)) / cache.manifest.fps).astype(">f4")
        path = folder / f"{safe_name(name, (file.stem for file in files))}.mdd"
        write_bytes(path, struct.pack(">ii", *points.shape[:2]) + times.tobytes() + points.astype(">f4").tobytes())
        files.append(path)
        if progress:
            progress.advance()
    return files


def speeds(points: np.ndarray, fps: float) -> np.ndarray:
    """Velocities (T,V,3) in metres a second of points (T,V,3)."""
    if len(points) == 1:
        return np.zeros_like(points)
    return (np.gradient(points.astype(np.float64), axis=0) * fps).astype(np.float32)


def write_alembic(
    path: Path, cache: FrameCache, shot: Shot, frames: range, blender: str | None, progress: Progress | None = None
) -> Path:
    """All meshes of a result as Alembic: points, UVs and velocities at every frame, written by Blender.

    Raises:
        Ani3DError: ``alembic.shot`` for a shot of another character; ``blender.missing``, ``blender.failed``.
        Cancelled: within a frame of the request.
    """
    first, held = cache.manifest.frame_start, cache.meshes()
    arrays: dict[str, np.ndarray] = {}
    names: list[str] = []
    for mesh in meshes_of(shot):
        found = held.get(mesh.name)
        if found is None or found.vertices.shape[1] != len(mesh.vertices):
            raise Ani3DError(
                "alembic.shot", f"The result has no such mesh '{mesh.name}'.", "Give the result's own shot."
            )
        points = found.vertices[frames[0] - first : frames[-1] - first + 1]
        number = len(names)
        names.append(mesh.name)
        arrays |= {f"points_{number}": points, f"speeds_{number}": speeds(points, cache.manifest.fps)}
        arrays |= {f"faces_{number}": mesh.faces, f"uvs_{number}": mesh.uvs.reshape(-1, 2)}
    with tempfile.TemporaryDirectory() as folder, atomic_path(path) as partial:
        source = Path(folder) / "meshes.npz"
        save_arrays(source, {"names": np.array(names), **arrays})
        options: dict[str, Any] = {"meshes": source, "target": partial.resolve()}
        options |= {"frame_start": frames[0], "fps": cache.manifest.fps}
        run_script("alembic", options, blender, progress)
        if not partial.is_file():
            raise Ani3DError("blender.failed", "Blender wrote no Alembic file.", "Choose a Blender with Alembic.")
    return path


def write_provenance(target: Path, cache: FrameCache, frames: range) -> Path:
    """A sidecar beside an exported file or folder: what it was made from, by what, with which settings."""
    manifest = cache.manifest
    said = {
        "schema": "ani3dhuman.provenance",
        "made_by": {"program": "ani3dhuman", "version": version("ani3dhuman")},
        "file": target.name,
        "source": cache.path.name,
        "source_manifest_sha256": hashlib.sha256((cache.path / MANIFEST).read_bytes()).hexdigest(),
        "frames": [frames[0], frames[-1]],
        "fps": manifest.fps,
        "unit": "metre",
        "origin": list(manifest.origin),
        "result": manifest.provenance,
    }
    path = target.with_name(f"{target.name}.provenance.json")
    write_bytes(path, (json.dumps(said, indent=1) + "\n").encode())
    return path
