"""A user's session in Blender, as a script: install the extension, bind, export, animate, import, save.

Runs inside Blender's environment. Every step is an operator call, as a click would be. Progress goes to
standard output as lines that `run.py` turns into bars.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, cast

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--blend", type=Path, required=True, help="scene to open")
arguments.add_argument("--extension", type=Path, required=True, help="extension zip")
arguments.add_argument("--engine", required=True, help="engine program")
arguments.add_argument("--out", type=Path, required=True, help="folder for everything the demo writes")
arguments.add_argument("--settings", default='{"preset": "preview"}', help="settings of the job, JSON")
options = arguments.parse_args()
out = options.out.resolve()
os.environ["BLENDER_USER_RESOURCES"] = str(out / "blender_user")  # never the user's own Blender

import bpy  # noqa: E402
import numpy as np  # noqa: E402

PREFIX = "@progress "


def tell(**moment: object) -> None:
    """One progress line for run.py."""
    print(PREFIX + json.dumps(moment), flush=True)


def timed(stage: str, operator: Any, **values: object) -> None:
    """Call an operator and tell how long it took."""
    tell(stage=stage, step=0, total=1, eta=0.0, elapsed=0.0, message="")
    started = time.monotonic()
    operator(**values)
    tell(stage=stage, step=1, total=1, eta=0.0, elapsed=time.monotonic() - started, message="")


def install(extension: Path):  # type: ignore[no-untyped-def]
    """Install and enable the extension zip; returns its module."""
    bpy.ops.extensions.package_install_files(filepath=str(extension), repo="user_default", enable_on_install=True)
    return sys.modules["bl_ext.user_default.ani3dhuman"]


def play(kind: str, frame: int) -> np.ndarray:
    """Positions (N,3) of the result's object of `kind` at a frame, as Blender evaluates them."""
    scene = bpy.context.scene
    scene.frame_set(frame)
    objects = [o for o in cast(Any, scene.objects) if o.ani3d.kind == kind]
    if not objects:
        raise SystemExit(f"The reopened scene has no result of kind {kind}.")
    for item in objects:
        item.hide_viewport = False
        if kind == "GAUSSIANS":  # where they are, without what draws a shape at each
            for modifier in item.modifiers:
                modifier.show_viewport = "Playback" in modifier.name
    graph = bpy.context.evaluated_depsgraph_get()
    of = [item.evaluated_get(graph).data for item in objects]
    data = max(of, key=lambda data: len(data.points if kind == "GAUSSIANS" else data.vertices))
    points = data.points if kind == "GAUSSIANS" else data.vertices
    values = np.empty(len(points) * 3, np.float32)
    points.foreach_get("co", values)
    return values.reshape(-1, 3)


def check_playing(first: int, last: int) -> None:
    """What the result has, meshes and mostly Gaussians, must move between two frames, or the session fails."""
    there = {cast(Any, item).ani3d.kind for item in cast(Any, bpy.context.scene).objects}
    for kind in ("GAUSSIANS", "MESH") if "GAUSSIANS" in there else ("MESH",):
        moved = float(np.abs(play(kind, first) - play(kind, last)).max())
        if not moved > 0.01:
            raise SystemExit(f"The reopened result does not play: {kind} moved {moved:.4f} m.")
        print(f"reopened, {kind.lower()} play: largest movement between two frames {moved:.2f} m", flush=True)


def main() -> None:
    timed("install", lambda: install(options.extension))
    started: dict[str, float] = {}

    def listener(moment) -> None:  # type: ignore[no-untyped-def]
        stage, _, what = (moment.stage or moment.state).partition(" ")
        begun = started.setdefault(stage, time.monotonic())
        tell(
            stage=stage,
            step=moment.step,
            total=max(moment.total, 1),
            eta=moment.eta if np.isfinite(moment.eta) else 0.0,
            elapsed=time.monotonic() - begun,
            message=moment.message or what,
        )

    sys.modules["bl_ext.user_default.ani3dhuman.session"].session.listener = listener
    bpy.ops.wm.open_mainfile(filepath=str(options.blend.resolve()))
    scene = bpy.context.scene
    rig = next(o for o in scene.objects if o.type == "ARMATURE")
    ani3d: Any = cast(Any, bpy.ops).ani3d  # the extension's operators
    ani3d.bind_character(armature=rig.name)
    ani3d.export_shot(filepath=str(out / "shot.npz"))
    timed("engine", ani3d.start_engine, command=options.engine, store=str(out / "engine_store"))
    try:
        ani3d.submit(shot=str(out / "shot.npz"), settings=options.settings)
        ani3d.follow()
        ani3d.fetch_result(directory=str(out / "result"))
    finally:
        ani3d.stop_engine()
    result = out / "demo_result.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(result))
    first, last = scene.frame_start, (scene.frame_start + scene.frame_end) // 2
    bpy.ops.wm.open_mainfile(filepath=str(result))
    check_playing(first, last)


try:
    main()
    code = 0
except KeyboardInterrupt:
    code = 130
except RuntimeError as problem:  # an operator reported an error: its text is for the user
    print(str(problem).strip(), file=sys.stderr)
    code = 130 if "cancelled" in str(problem) else 1
except SystemExit as problem:
    print(problem, file=sys.stderr)
    code = 1
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)  # Blender as a module may hang while it shuts down
