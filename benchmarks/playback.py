"""How long Blender takes to show the next frame of a result: `.venv-blender/bin/python -m benchmarks.playback`.

Made-up Gaussians and one mesh copy are played by modifiers, as results are. Besides: what a result adds to a file, how
long saving takes, and with `--large` how long a cache of 2 GB takes to be opened again. Figures are named after the
version of Blender; those of others stay. With `--cold` it is measured instead what reading ahead gains where the files
are not in the system's memory: an animation at 24 frames a second, in turns with it and without.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import bpy
import numpy as np

from ani3d_formats.frames import CacheWriter, FrameCache, write_cache
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.playback_file import write_playback
from blender_addon import compat, display, playback, read_ahead


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


def frame_seconds(scene: bpy.types.Scene, frames: int) -> list[tuple[float, float]]:
    """Seconds, and seconds of the processor on all cores, of `frame_set` for every frame, the first one not counted."""
    seconds = []
    for frame in range(1, frames + 1):
        started, worked = time.perf_counter(), time.process_time()
        scene.frame_set(frame)
        seconds.append((time.perf_counter() - started, time.process_time() - worked))
    return seconds[1:]


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds a frame, seconds of the import's file and of saving, megabytes that a file grows by."""
    figures: dict[str, float] = {}
    for colors in ("still", "changing"):
        with tempfile.TemporaryDirectory() as folder:
            empty, saved = Path(folder) / "empty.blend", Path(folder) / "saved.blend"
            size = options.count, options.frames, options.vertices
            cache = made_up(Path(folder) / "a.ani3d", *size, colors == "changing")
            started = time.perf_counter()
            write_playback(cache)
            figures[f"write_seconds_{colors}"] = time.perf_counter() - started
            seconds: list[tuple[float, float]] = []
            for _ in range(options.rounds):
                bpy.ops.wm.read_factory_settings(use_empty=True)
                scene = bpy.context.scene
                bpy.ops.wm.save_as_mainfile(filepath=str(empty))
                item = compat.new_point_cloud_object("Gaussians", 1, scene.collection)
                playback.add_playback(item, cache, scene)
                display.add_display(item)
                started = time.perf_counter()
                bpy.ops.wm.save_as_mainfile(filepath=str(saved))
                figures[f"save_seconds_{colors}"] = time.perf_counter() - started
                figures[f"blend_growth_mb_{colors}"] = (saved.stat().st_size - empty.stat().st_size) / 1e6
                add_mesh_copy(cache, scene)
                seconds += frame_seconds(scene, options.frames)
            wall, processor = np.array(seconds).T * 1e3
            figures[f"median_ms_{colors}"] = float(np.median(wall))
            figures[f"p99_ms_{colors}"] = float(np.percentile(wall, 99))
            figures[f"processor_ms_{colors}"] = float(np.median(processor))
            figures[f"processor_p99_ms_{colors}"] = float(np.percentile(processor, 99))
    return figures


def cold(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of a frame change, colours changing, when the files were taken out of memory before each round."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene, taken = bpy.context.scene, dict[bool, list[float]]({True: [], False: []})
    scene.frame_end = options.frames
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "out") as folder:
        cache = made_up(Path(folder) / "a.ani3d", options.count, options.frames, options.vertices, changing=True)
        item = compat.new_point_cloud_object("Gaussians", 1, scene.collection)
        playback.add_playback(item, cache, scene)
        display.add_display(item)
        files = [played for each in playback.modifiers_of(item) if (played := read_ahead.played_by(*each))]
        for turn in range(2 * options.rounds):
            ahead, reader = turn % 2 == 0, read_ahead.ReadAhead()
            scene.frame_set(1)
            for file in cache.path.iterdir():
                forget(file)
            for frame in range(2, options.frames + 1):
                started = time.perf_counter()
                scene.frame_set(frame)
                taken[ahead].append(time.perf_counter() - started)
                if ahead:
                    reader.want(files, read_ahead.coming(scene, 1))
                time.sleep(max(0.0, 1 / 24 - (time.perf_counter() - started)))
            reader.end()
    return {
        f"cold_{name}_ms_{'ahead' if ahead else 'plain'}": 1e3 * float(np.percentile(seconds, share))
        for ahead, seconds in taken.items()
        for name, share in (("median", 50), ("p99", 99))
    }


def forget(file: Path) -> None:
    """Take a file out of the system's memory. Linux alone can."""
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def opened_again(gigabytes: float) -> dict[str, float]:
    """Seconds in which a file with a result of a large cache is opened, and shows its first frame and another."""
    count = 100_000
    frames = int(gigabytes * 1e9 / (44 * count))
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "out") as folder:
        with CacheWriter(Path(folder) / "a.ani3d", count=count, frame_start=1, frame_end=frames, fps=24) as writer:
            writer.static("scale", np.full((count, 3), 0.005, np.float32))
            for frame in range(frames):
                values = np.random.default_rng(frame).normal(size=(count, 11)).astype(np.float32)
                attributes = {"position": values[:, :3], "rotation": values[:, 3:7], "radiance:base": values[:, 7:]}
                writer.frame(attributes)
        cache = FrameCache.open(Path(folder) / "a.ani3d")
        write_playback(cache)
        started = time.perf_counter()
        again = FrameCache.open(cache.path)
        again.check_gaussians()
        write_playback(again)
        imported = time.perf_counter() - started
        bpy.ops.wm.read_factory_settings(use_empty=True)
        item = compat.new_point_cloud_object("Gaussians", 1, bpy.context.scene.collection)
        playback.add_playback(item, cache, bpy.context.scene)
        file = Path(folder) / "saved.blend"
        bpy.ops.wm.save_as_mainfile(filepath=str(file))
        started = time.perf_counter()
        bpy.ops.wm.open_mainfile(filepath=str(file))
        bpy.context.scene.frame_set(frames // 2)
        return {"gigabytes": gigabytes, "import_again_seconds": imported, "open_seconds": time.perf_counter() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="Gaussians")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--vertices", type=int, default=20_000, help="vertices of the mesh copy")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=float, default=0, help="gigabytes of a cache to be opened again")
    parser.add_argument("--cold", action="store_true", help="measure what reading ahead gains, and nothing else")
    parser.add_argument("--out", type=Path, default=Path("out/bench/playback.json"))
    options = parser.parse_args()
    large = opened_again(options.large) if options.large and not options.cold else {}
    figures = cold(options) if options.cold else measure(options) | large
    options.out.parent.mkdir(parents=True, exist_ok=True)
    version = bpy.app.version_string.split()[0]
    rows = json.loads(options.out.read_text()) if options.out.exists() else {}  # of other versions, which stay
    rows |= {"gaussians": options.count, "frames": options.frames}
    rows |= {f"blender_{version}_{name}": round(value, 3) for name, value in figures.items()}
    options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
