"""Runs inside Blender, by its path: files that Blender alone reads and writes.

    blender -b --python script.py -- TASK OPTIONS          PYTHON_WITH_BPY script.py -- TASK OPTIONS

OPTIONS is JSON, the keyword arguments of the task's function below. It imports nothing of this program.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any, cast

PROGRESS = "@progress"


def fbx_to_glb(source: str, target: str) -> None:
    """All that an FBX file has as glTF: meshes, skins and every clip."""
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=source)
    for rig in [item for item in bpy.data.objects if item.type == "ARMATURE"]:
        # of a rig without a mesh glTF would say no rest pose
        mesh = bpy.data.meshes.new("carrier")
        mesh.from_pydata([(0, 0, 0), (1e-3, 0, 0), (0, 1e-3, 0)], [], [(0, 1, 2)])
        carrier = bpy.data.objects.new("carrier", mesh)
        bpy.context.scene.collection.objects.link(carrier)
        carrier.parent = rig
        carrier.vertex_groups.new(name=rig.data.bones[0].name).add([0, 1, 2], 1.0, "REPLACE")
        cast(Any, carrier.modifiers.new("Armature", "ARMATURE")).object = rig
    bpy.ops.export_scene.gltf(filepath=target, export_format="GLB", export_animations=True, export_yup=True)


def alembic(meshes: str, target: str, frame_start: int, fps: float) -> None:
    """Meshes of an .npz as Alembic: `names`, and by number `faces_N`, `uvs_N`, `points_N` (T,V,3), `speeds_N`."""
    import bpy
    import numpy as np

    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = max(1, round(fps)), max(1, round(fps)) / fps
    with np.load(meshes) as file:
        arrays = {name: file[name] for name in file.files}
    made = []
    for number, name in enumerate(arrays["names"]):
        points, faces, uvs = (arrays[f"{what}_{number}"] for what in ("points", "faces", "uvs"))
        mesh = bpy.data.meshes.new(str(name))
        mesh.from_pydata(points[0].tolist(), [], faces.tolist())
        mesh.uv_layers.new(name="st").data.foreach_set("uv", np.ascontiguousarray(uvs.reshape(-1), np.float32))
        mesh.attributes.new("velocity", "FLOAT_VECTOR", "POINT")
        mesh["moves"] = 0.0  # only what is animated is written at every frame
        mesh.keyframe_insert('["moves"]', frame=frame_start)
        mesh["moves"] = 1.0
        mesh.keyframe_insert('["moves"]', frame=frame_start + len(points))
        scene.collection.objects.link(bpy.data.objects.new(str(name), mesh))
        made.append((mesh, points, arrays[f"speeds_{number}"]))
    frames = len(made[0][1])
    scene.frame_start, scene.frame_end = frame_start, frame_start + frames - 1

    def at_frame(scene: Any, depsgraph: Any = None) -> None:
        t = min(max(scene.frame_current - frame_start, 0), frames - 1)
        for mesh, points, speeds in made:
            mesh.vertices.foreach_set("co", np.ascontiguousarray(points[t].reshape(-1), np.float32))
            data = np.ascontiguousarray(speeds[t].reshape(-1), np.float32)
            cast(Any, mesh.attributes["velocity"]).data.foreach_set("vector", data)
            mesh.update()
        print(PROGRESS, flush=True)

    bpy.app.handlers.frame_change_pre.append(at_frame)
    scene.frame_set(frame_start)
    bpy.ops.wm.alembic_export(
        filepath=target,
        start=scene.frame_start,
        end=scene.frame_end,
        as_background_job=False,
        export_hair=False,
        export_particles=False,
        uvs=True,
    )


TASKS: dict[str, Any] = {"fbx_to_glb": fbx_to_glb, "alembic": alembic}


def main() -> int:
    task, options = sys.argv[sys.argv.index("--") + 1 :]
    try:
        TASKS[task](**json.loads(options))
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # Blender as a module may hang while it shuts down
