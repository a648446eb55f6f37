"""How long Blender takes to show the next frame of a result: `.venv-blender/bin/python -m benchmarks.playback`.

Made-up Gaussians and one mesh copy are played by modifiers, as results are, and by a Python handler that writes every
frame's points, as they were before. Both are measured in turns in one run, so that ratios hold on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import bpy
import numpy as np

from ani3d_formats.frames import FrameCache, write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.playback_file import write_playback
from blender_addon import compat, display, playback


def made_up(folder: Path, count: int, frames: int, vertices: int, changing: bool) -> FrameCache:
    """A cache of random Gaussians, their colours still or `changing`, and one mesh."""
    rng = np.random.default_rng(0)
    quats = rng.normal(size=(frames, count, 4)).astype(np.float32)
    colors = rng.uniform(size=(frames if changing else 1, count, 3)).astype(np.float32)
    gaussians = GaussianFrames(
        rng.normal(size=(frames, count, 3)).astype(np.float32),
        quats / np.linalg.norm(quats, axis=-1, keepdims=True),
        np.broadcast_to(np.float32(0.005), (frames, count, 3)),
        np.full(count, 0.8, np.float32),
        np.broadcast_to(colors, (frames, count, 3)),
    )
    meshes = {"Body": rng.normal(size=(frames, vertices, 3)).astype(np.float32)}
    return FrameCache.open(write_cache(folder, gaussians, fps=24, frame_start=1, meshes=meshes))


def add_mesh_copy(cache: FrameCache, scene: bpy.types.Scene) -> None:
    mesh = bpy.data.meshes.new("Body")
    mesh.vertices.add(cache.meshes()["Body"].vertices.shape[1])
    item = bpy.data.objects.new("Body", mesh)
    scene.collection.objects.link(item)
    playback.play_point_cache(item, cache.path / cache.manifest.meshes[0].file, 1, scene)


def handler_of(cloud: Any, cache: FrameCache) -> Callable[..., None]:
    """The former way: before each frame its moving attributes are written into the points of `cloud`."""
    moving = [name for name, array in cache.arrays.items() if array.ndim == 3]

    def write(scene: bpy.types.Scene, *_: object) -> None:
        values = cache.frame(cache.nearest_frame(scene.frame_current))
        for name in moving:
            compat.write_attribute(cloud.attributes[name], values[name])
        cloud.update_tag()

    return write


def frame_seconds(scene: bpy.types.Scene, frames: int) -> list[float]:
    """Seconds of `frame_set` for every frame, the first one not counted."""
    seconds = []
    for frame in range(1, frames + 1):
        started = time.perf_counter()
        scene.frame_set(frame)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def measure(count: int, frames: int, vertices: int, rounds: int) -> dict[str, float]:
    """Median milliseconds a frame of each way, and seconds of the import's file."""
    figures: dict[str, float] = {}
    for colors in ("still", "changing"):
        with tempfile.TemporaryDirectory() as folder:
            cache = made_up(Path(folder) / "a.ani3d", count, frames, vertices, colors == "changing")
            started = time.perf_counter()
            write_playback(cache)
            figures[f"write_seconds_{colors}"] = time.perf_counter() - started
            seconds: dict[str, list[float]] = {"modifiers": [], "handler": []}
            for _ in range(rounds):
                for way, found in seconds.items():
                    bpy.ops.wm.read_factory_settings(use_empty=True)
                    scene = bpy.context.scene
                    item = compat.new_point_cloud_object("Gaussians", count, scene.collection)
                    playback.add_playback(item, cache, scene)
                    add_mesh_copy(cache, scene)
                    if way == "handler":
                        item.modifiers.clear()
                        bpy.app.handlers.frame_change_pre.append(handler_of(cast(Any, item.data), cache))
                    display.add_display(item)
                    found += frame_seconds(scene, frames)
            for way, found in seconds.items():
                figures[f"{way}_ms_{colors}"] = float(np.median(found)) * 1e3
            figures[f"ratio_{colors}"] = figures[f"modifiers_ms_{colors}"] / figures[f"handler_ms_{colors}"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=80_000, help="Gaussians")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--vertices", type=int, default=20_000, help="vertices of the mesh copy")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("out/bench/playback.json"))
    options = parser.parse_args()
    figures = measure(options.count, options.frames, options.vertices, options.rounds)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    known = {"blender": bpy.app.version_string, "gaussians": options.count, "frames": options.frames}
    options.out.write_text(json.dumps({**known, **figures}, indent=1) + "\n", encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
