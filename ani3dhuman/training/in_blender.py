"""Runs inside Blender, by its path: records takes of a .blend with the add-on's operator Record Takes.

    blender -b --python in_blender.py -- OPTIONS          PYTHON_WITH_BPY in_blender.py -- OPTIONS

The installed extension is used where it knows takes, else the add-on of the source checkout. What happens is told in
lines that begin with one of the marks below; nothing is saved.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, cast

PROGRESS, PROBLEM = "@progress ", "@problem "
ADDON = "ani3dhuman"


def installed() -> ModuleType | None:
    """The enabled extension, if there is one that records takes."""
    import addon_utils
    import bpy

    for repository in bpy.context.preferences.extensions.repos:
        name = f"bl_ext.{repository.module}.{ADDON}"
        if cast(Any, addon_utils).enable(name, default_set=False) is not None:
            if hasattr(bpy.types, "ANI3D_OT_record_takes"):
                return sys.modules[name]
            addon_utils.disable(name, default_set=False)
    return None


def from_source(root: str, libraries: str) -> ModuleType | None:
    """The add-on of the checkout `root`, with pyzmq and msgpack of the engine's Python where Blender has the same."""
    if not (Path(root) / "blender_addon" / "takes").is_dir():
        return None
    sys.path.insert(0, root)
    sys.path.append(libraries)
    try:
        addon = importlib.import_module("blender_addon")
        addon.register()
    except ImportError as error:
        print(f"The add-on of {root} does not load in this Blender: {error}", flush=True)
        return None
    return addon


def main() -> int:
    parser = argparse.ArgumentParser()
    for name in ("blend", "folder", "root", "libraries"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("takes", "frames", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])

    import bpy

    addon = installed() or from_source(options.root, options.libraries)
    if addon is None:
        tell(PROBLEM, "Blender has no Ani3DHuman extension that records takes. Install it: see docs/blender.md.")
        return 1
    session = sys.modules[f"{addon.__name__}.session"].session
    session.listener = lambda moment: tell(PROGRESS, [moment.step, moment.total])
    try:
        bpy.ops.wm.open_mainfile(filepath=options.blend, load_ui=False)
        cast(Any, bpy.ops).ani3d.record_takes(
            folder=options.folder, takes=options.takes, frames=options.frames, seed=options.seed
        )
    except RuntimeError as error:
        tell(PROBLEM, " ".join(str(error).removeprefix("Error: ").split()))
        return 1
    return 0


def tell(mark: str, what: object) -> None:
    print(mark + json.dumps(what), flush=True)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # Blender as a module may hang while it shuts down
