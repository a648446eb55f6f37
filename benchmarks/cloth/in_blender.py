"""Cloth by Blender's own solver, self-collision on: python -m benchmarks.cloth.in_blender IN.npz OUT.npz, in Blender.

IN.npz is what `benchmarks.cloth.peers` writes: garments from the innermost outwards, each of which collides with the
body, with itself and with those before it. OUT.npz as of `benchmarks/peers/newton_vbd.py`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import bpy
import numpy as np

from cloth_truth.simulate import add_moving_mesh, evaluated, make_cloth, make_collider

QUALITY, COLLISION_QUALITY = 10, 4
SELF_DISTANCE = 0.003  # metres


def main() -> None:
    arrays = dict(np.load(sys.argv[1]))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    cloth, limit = arrays["cloth"], float(arrays["limit"])
    frames, starts, names = len(cloth), arrays["starts"], [str(name) for name in arrays["fabrics"]]
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 1, frames
    bpy.context.scene.render.fps = max(1, round(float(arrays["fps"])))
    moved, least, spent, wall = np.full(cloth.shape, np.nan, np.float32), frames, 0.0, 0.0
    with tempfile.TemporaryDirectory(prefix="bench-cloth-") as folder:
        make_collider(add_moving_mesh("body", arrays["body"], _quads(arrays["body_faces"]), Path(folder)))
        for number, fabric in enumerate(names):
            own = slice(int(starts[number]), int(starts[number + 1]))
            faces = arrays["cloth_faces"]
            faces = faces[(faces[:, 0] >= own.start) & (faces[:, 0] < own.stop)] - own.start
            thing = add_moving_mesh(f"garment{number}", cloth[:, own], _quads(faces), Path(folder))
            make_cloth(thing, arrays["pins"][own], fabric, frames, float(arrays["fps"]))
            _strict(thing)
            began, clock, done = time.process_time(), time.perf_counter(), 0
            for frame in range(1, least + 1):
                bpy.context.scene.frame_set(frame)
                moved[frame - 1, own] = evaluated(thing, own.stop - own.start)
                done = frame
                if time.process_time() - began > limit / len(names):
                    break
            spent, wall = spent + time.process_time() - began, wall + time.perf_counter() - clock
            least = min(least, done)
            bpy.data.objects.remove(thing)
            if number + 1 < len(names):
                solid = np.where(np.isfinite(moved[:, own]), moved[:, own], cloth[:, own])
                make_collider(add_moving_mesh(f"done{number}", solid, _quads(faces), Path(folder)))
    np.savez(sys.argv[2], vertices=moved, frames=least, seconds=spent, wall=wall)
    sys.stdout.flush()
    os._exit(0)  # Blender may hang while it takes itself down


def _quads(faces: np.ndarray) -> np.ndarray:
    return np.concatenate([faces, faces[:, 2:]], axis=1)


def _strict(thing: bpy.types.Object) -> None:
    """Quality and collisions as an artist sets them for a hard shot."""
    modifier = cast(bpy.types.ClothModifier, thing.modifiers["Cloth"])
    modifier.settings.quality = QUALITY
    collisions = modifier.collision_settings
    collisions.collision_quality, collisions.use_self_collision = COLLISION_QUALITY, True
    collisions.self_distance_min, collisions.self_friction = SELF_DISTANCE, 5.0


if __name__ == "__main__":
    main()
