# SPDX-License-Identifier: GPL-3.0-or-later
"""A file's character animated without a window: bind, export, job, import, render.

    python -m blender_addon.headless shot.blend --out FOLDER        where bpy is a module
    blender -b -P headless.py -- shot.blend --out FOLDER            with Blender itself

Writes FOLDER/NAME_result.blend, and with `--render` the pictures of its frames. One line says what went wrong. On a
farm an engine that runs anywhere (`--endpoint`) does the work: the machine that renders needs nothing but Blender.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, cast

import bpy

NAME = "ani3dhuman"


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m blender_addon.headless", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("blend", type=Path, help="the file")
    parser.add_argument(
        "--out", type=Path, default=Path("out"), help="folder for what comes of it (default %(default)s)"
    )
    parser.add_argument("--armature", default="", help="the character's; by default the bound one, or the only one")
    parser.add_argument("--settings", default="", help="settings as JSON; by default those in the file's panel")
    parser.add_argument("--endpoint", default="", help="a running engine: its address, or the file that it left")
    parser.add_argument("--engine", default="ani3dhuman-engine", help="else the command that starts one (%(default)s)")
    parser.add_argument("--store", type=Path, help="its folder of jobs (default: FOLDER/engine)")
    parser.add_argument("--extension", type=Path, help="zip of the extension, where it is not installed")
    parser.add_argument("--render", action="store_true", help="render the frames, as the file's settings say")
    return parser.parse_args(arguments)


def enable(extension: Path | None) -> None:
    """Switch the extension on, after installing it from `extension` where that is given."""
    if extension:
        bpy.ops.extensions.package_install_files(
            filepath=str(extension.resolve()), repo="user_default", enable_on_install=True
        )
        return
    import addon_utils  # is found once bpy is there

    names = [module.__name__ for module in cast(Any, addon_utils).modules()]
    found = [name for name in names if name.rpartition(".")[2] == NAME]
    if not found:
        raise RuntimeError("The extension is not installed in this Blender. Give its zip with --extension.")
    addon_utils.enable(found[0])


def animate(options: argparse.Namespace) -> Path:
    """Do all of it; the file with the result.

    Raises:
        RuntimeError: with the sentence that the extension's button would show.
    """
    enable(options.extension)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.open_mainfile(filepath=str(options.blend.resolve()))
    result = out / f"{options.blend.stem}_result.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(result))  # results lie beside the file
    ani3d: Any = cast(Any, bpy.ops).ani3d
    if options.armature:
        ani3d.bind_character(armature=options.armature)
    store = options.store or out / "engine"
    if options.endpoint:
        ani3d.start_engine(endpoint=options.endpoint)
    else:
        ani3d.start_engine(command=options.engine, store=str(store.resolve()))
    try:
        ani3d.animate(settings=options.settings)
    finally:
        ani3d.stop_engine()
    bpy.ops.wm.save_mainfile()
    if options.render:
        bpy.context.scene.render.filepath = str(out / "frames" / f"{options.blend.stem}_")
        bpy.ops.render.render(animation=True)
    return result


def main(arguments: list[str]) -> int:
    """The exit status."""
    try:
        print(animate(_options(arguments)), flush=True)
    except KeyboardInterrupt:
        return 130
    except RuntimeError as problem:  # an operator reported an error: its text is for the user
        print(str(problem).removeprefix("Error: ").strip(), file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    after = sys.argv.index("--") + 1 if "--" in sys.argv else 1
    status = main(sys.argv[after:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Blender as a module may hang while it shuts down
