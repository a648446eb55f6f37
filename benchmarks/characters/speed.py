"""How long Bind and Export take for a character of 100,000 vertices over 250 frames, beside playing it. In Blender.

python -m benchmarks.characters.speed ZIP [--out FILE]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, cast

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="ani3d-speed-")  # before bpy: never the user's own

import bpy
import numpy as np

from . import rigs

FRAMES, VERTICES = 250, 100_000


def build() -> None:
    """The human with a skirt, its body subdivided for good until the character has enough vertices."""
    rig = rigs.build("unreal", Path())
    body = bpy.data.objects["Body"]
    while len(body.data.vertices) < VERTICES:
        finer = cast(bpy.types.SubsurfModifier, body.modifiers.new("Fine", "SUBSURF"))
        finer.levels = 1
        bpy.context.view_layer.objects.active = body
        bpy.ops.object.modifier_move_to_index(modifier=finer.name, index=0)
        bpy.ops.object.modifier_apply(modifier=finer.name)
    modifier = cast(bpy.types.DecimateModifier, body.modifiers.new("Fewer", "DECIMATE"))
    modifier.ratio = (VERTICES - len(bpy.data.objects["Skirt"].data.vertices)) / len(body.data.vertices)
    bpy.ops.object.modifier_move_to_index(modifier=modifier.name, index=0)
    bpy.ops.object.modifier_apply(modifier=modifier.name)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, FRAMES
    camera = bpy.data.objects.new("View", bpy.data.cameras.new("View"))
    scene.collection.objects.link(camera)
    scene.camera, camera.location, camera.rotation_euler = camera, (0, -5, 1), (1.57, 0, 0)
    bpy.ops.object.select_all(action="DESELECT")
    rig.select_set(True)
    bpy.context.view_layer.objects.active = rig


def playing() -> float:
    """Seconds to play the shot and nothing else."""
    scene, started = bpy.context.scene, time.monotonic()
    for frame in range(1, FRAMES + 1):
        scene.frame_set(frame)
        bpy.context.evaluated_depsgraph_get()
    return time.monotonic() - started


def sampling(turns: int = 10) -> tuple[float, float]:
    """Time of playing and reading every frame over that of playing alone, and the error of that figure.

    Turns alternate, as do the frames of a turn, between playing alone and playing and reading; for each frame the least
    of its turns counts, which other work on the machine disturbed least. The error is the jackknife's over the turns.
    """
    shot = importlib.import_module("bl_ext.user_default.ani3dhuman.export.shot")
    scene, rig = bpy.context.scene, cast(Any, bpy.context.scene).ani3d.armature
    alone, read = np.full((2, turns, FRAMES - 1), np.inf)
    for turn in range(turns):
        steps = shot.export_steps(bpy.context, shot.Request(rig, range(1, FRAMES + 1)), print)
        while next(steps)[:2] != (1, FRAMES):  # what is read once, and the first frame
            pass
        for row, frame in enumerate(range(2, FRAMES + 1)):
            started = time.perf_counter()
            if (turn + row) % 2:  # the other one follows, at the same frame, where it is cheaper
                scene.frame_set(frame)
                bpy.context.evaluated_depsgraph_get()
                alone[turn, row] = time.perf_counter() - started
                next(steps)
            else:
                next(steps)
                read[turn, row] = time.perf_counter() - started
                scene.frame_set(frame)
                bpy.context.evaluated_depsgraph_get()
        steps.close()
    ratio = float(read.min(0).sum() / alone.min(0).sum())
    kept = [np.delete(np.arange(turns), turn) for turn in range(turns)]
    others = np.array([read[rows].min(0).sum() / alone[rows].min(0).sum() for rows in kept])
    return ratio, float(np.sqrt((turns - 1) / turns * ((others - others.mean()) ** 2).sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zip", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/bench/characters_speed.json"))
    options = parser.parse_args()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=str(options.zip), repo="user_default", enable_on_install=True)
    build()
    vertices = sum(len(cast(bpy.types.Mesh, o.data).vertices) for o in bpy.data.objects if o.type == "MESH")
    figures: dict[str, float] = {"vertices": vertices, "frames": FRAMES}
    playing()
    before, started = playing(), time.monotonic()
    cast(Any, bpy.ops).ani3d.bind_character()
    bound = time.monotonic()
    cast(Any, bpy.ops).ani3d.export_shot(filepath=str(options.out.parent.resolve() / "speed_shot.npz"))
    ended = time.monotonic()
    alone = (before + playing()) / 2
    figures |= {"bind_s": bound - started, "export_s": ended - bound, "playing_s": alone}
    figures["bind_and_export_s"] = ended - started
    figures["sampling_over_playing"], figures["sampling_error"] = sampling()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({k: round(v, 3) for k, v in figures.items()}, indent=2), encoding="utf-8")
    (options.out.parent / "speed_shot.npz").unlink()
    print(options.out.read_text(encoding="utf-8"))
    sys.stdout.flush()
    os._exit(0)  # Blender as a module may hang when it ends


if __name__ == "__main__":
    main()
