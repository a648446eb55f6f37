"""Simulate the cloth of planned sequences with Blender's solver, in the Blender environment: bpy and numpy only.

    python -m cloth_truth.simulate              reads one folder a line from standard input, answers one JSON line each
    python -m cloth_truth.simulate FOLDER ...   simulates these and ends

A folder holds `solver_input.npz`: fps; body_vertices (T,B,3) world metres and body_quads (Q,4), a triangle repeats its
last corner; layers, a JSON list of {name, fabric} from the innermost outwards; and for each layer i vertices_i (T,V,3)
as the skeleton alone moves them, quads_i, pins_i (V,) 1 held .. 0 free. Each layer collides with the body and with the
layers before it. The result is `solver_output.npz`: vertices_i (T,V,3) float32 and seconds. A folder that has one is
left alone.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import bpy
import numpy as np

from ani3d_formats.pc2 import write_pc2
from ani3d_formats.shot import save_arrays

# Mass a vertex; tension (and compression), shear, bending: stiffness of Blender's springs; damping of all but bending;
# air: damping by the air. Silk, cotton and denim are Blender's own presets. Much stiffer springs for the mass look
# right at first, but the solver then creeps: cloth hardly falls, and legs that move ratchet it up the body.
FABRICS = {
    "silk": {"mass": 0.15, "tension": 5.0, "shear": 5.0, "bending": 0.05, "damping": 0.0, "air": 1.0},
    "cotton": {"mass": 0.3, "tension": 15.0, "shear": 15.0, "bending": 0.5, "damping": 5.0, "air": 1.0},
    "wool": {"mass": 0.4, "tension": 15.0, "shear": 20.0, "bending": 2.0, "damping": 10.0, "air": 1.0},
    "denim": {"mass": 1.0, "tension": 40.0, "shear": 40.0, "bending": 10.0, "damping": 25.0, "air": 1.0},
    "hair": {"mass": 0.2, "tension": 15.0, "shear": 10.0, "bending": 0.3, "damping": 5.0, "air": 1.0},
}
REAL_TIME = 31.6  # frames a second at which Blender's cloth, which does not look at the rate, falls as it should
QUALITY = 6  # solver steps a frame
COLLISION_QUALITY = 3
SKIN, GAP = 0.002, 0.004  # metres: thickness of what is hit, distance that cloth keeps


def add_moving_mesh(name: str, vertices: np.ndarray, quads: np.ndarray, folder: Path) -> bpy.types.Object:
    """A mesh object that plays vertices (T,V,3) from scene frame 1 on, through a Mesh Cache modifier."""
    mesh = bpy.data.meshes.new(name)
    faces = [tuple(q[:3]) if q[2] == q[3] else tuple(q) for q in quads.tolist()]
    mesh.from_pydata(vertices[0].tolist(), [], faces)
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    path = folder / f"{name}.pc2"
    write_pc2(path, vertices, 1)
    cache = cast(bpy.types.MeshCacheModifier, thing.modifiers.new("Motion", "MESH_CACHE"))
    cache.cache_format, cache.filepath = "PC2", str(path)
    cache.time_mode, cache.frame_start, cache.interpolation = "FRAME", 1, "LINEAR"
    return thing


def make_collider(thing: bpy.types.Object) -> None:
    thing.modifiers.new("Collision", "COLLISION")
    thing.collision.thickness_outer = SKIN
    thing.collision.cloth_friction = 1.0
    thing.collision.damping = 0.2


def make_cloth(thing: bpy.types.Object, pins: np.ndarray, fabric: str, frames: int, fps: float) -> None:
    values = FABRICS[fabric]
    group = thing.vertex_groups.new(name="pin")
    for vertex in np.flatnonzero(pins > 1e-3).tolist():
        group.add([vertex], float(pins[vertex]), "REPLACE")
    cloth = cast(bpy.types.ClothModifier, thing.modifiers.new("Cloth", "CLOTH"))
    cloth.point_cache.frame_start, cloth.point_cache.frame_end = 1, frames
    settings = cloth.settings
    settings.quality = QUALITY
    settings.time_scale = REAL_TIME / fps
    settings.mass = values["mass"]
    settings.air_damping = values["air"]
    settings.tension_stiffness = settings.compression_stiffness = values["tension"]
    settings.shear_stiffness = values["shear"]
    settings.bending_stiffness = values["bending"]
    settings.tension_damping = settings.compression_damping = settings.shear_damping = values["damping"]
    settings.bending_damping = 0.5
    settings.vertex_group_mass = "pin"
    settings.pin_stiffness = 1.0
    collisions = cloth.collision_settings
    collisions.use_collision, collisions.use_self_collision = True, False
    collisions.collision_quality = COLLISION_QUALITY
    collisions.distance_min = GAP


def evaluated(thing: bpy.types.Object, count: int) -> np.ndarray:
    mesh = thing.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    values = np.empty(count * 3, np.float32)
    mesh.vertices.foreach_get("co", values)
    return values.reshape(-1, 3)


def simulate(arrays: dict[str, np.ndarray], parent: int | None = None) -> dict[str, np.ndarray]:
    """Simulate all layers of `arrays`; ends the process when the process `parent` is gone."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    body = arrays["body_vertices"]
    frames = len(body)
    scene.frame_start, scene.frame_end = 1, frames
    scene.render.fps = round(float(arrays["fps"]))
    layers = json.loads(str(arrays["layers"]))
    result: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory(prefix="cloth-truth-") as temporary:
        folder = Path(temporary)
        make_collider(add_moving_mesh("body", body, arrays["body_quads"], folder))
        for i, layer in enumerate(layers):
            rigid, quads = arrays[f"vertices_{i}"], arrays[f"quads_{i}"]
            thing = add_moving_mesh(f"layer{i}", rigid, quads, folder)
            make_cloth(thing, arrays[f"pins_{i}"], layer["fabric"], frames, float(arrays["fps"]))
            moved = np.empty_like(rigid)
            for frame in range(1, frames + 1):
                if parent is not None and os.getppid() != parent:
                    os._exit(1)
                scene.frame_set(frame)
                moved[frame - 1] = evaluated(thing, rigid.shape[1])
            result[f"vertices_{i}"] = moved
            bpy.data.objects.remove(thing)
            if i + 1 < len(layers):
                make_collider(add_moving_mesh(f"done{i}", moved, quads, folder))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return result


def simulate_folder(folder: Path, parent: int | None = None) -> float:
    """Make a folder's `solver_output.npz` if it has none; returns the seconds spent."""
    output = folder / "solver_output.npz"
    if output.exists():
        return 0.0
    began = time.perf_counter()
    with np.load(folder / "solver_input.npz") as file:
        result = simulate({name: file[name] for name in file.files}, parent)
    seconds = time.perf_counter() - began
    save_arrays(output, {**result, "seconds": np.array(seconds)})
    return seconds


def serve() -> None:
    """Answer folders from standard input until it closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Blender's own chatter must not mix with the answers
    parent = os.getppid()
    for line in sys.stdin:
        try:
            answer: dict[str, float | str] = {"seconds": simulate_folder(Path(line.strip()), parent)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        for name in sys.argv[1:]:
            print(f"{name}: {simulate_folder(Path(name)):.1f} s", flush=True)
    else:
        serve()
    sys.stdout.flush()
    os._exit(0)  # Blender may hang while it takes itself down
