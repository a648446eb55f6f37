"""The command line of the library: run a shot, look into a cache, render it as film, fetch priors, ask the doctor."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ani3d_formats.errors import Ani3DError, Cancelled

from .commands import avatar, doctor, imports, models, prior, splats, view
from .commands.common import add_spread, numbers, size, spread_as_asked, watched
from .commands.failure import cancelled_line, failure_line


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the `ani3dhuman` command; returns the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["engine"]:  # a program above this library, found by its name
        return int(importlib.import_module("engine.__main__").main(words[1:]))
    parser = argparse.ArgumentParser(prog="ani3dhuman", description="Rigged humans that look alive.")
    commands = parser.add_subparsers(dest="command", required=True)

    animate = commands.add_parser("animate", help="run all stages on an exported shot")
    animate.set_defaults(run=_animate)
    restore = commands.add_parser("restore", help="the coarse video of a shot and what a prior makes of it, no more")
    restore.set_defaults(run=_restore)
    for job in (animate, restore):
        job.add_argument("shot", type=Path, help="shot.npz, exported by the Blender add-on")
        job.add_argument("-o", "--out", type=Path, required=True, help="result folder; finished stages are reused")
        job.add_argument(
            "--stages", type=Path, help="folder of finished stages that many jobs share (default: OUT/.work)"
        )
        job.add_argument("--preset", default="preview", help="cloth, draft, preview (default) or final")
        job.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="override one setting")
        job.add_argument("--prior", metavar="NAME", help="short for --set prior=NAME: see ani3dhuman models list")
        job.add_argument(
            "--coarse", metavar="LAYER", help="short for --set coarse=LAYER: physics (default), rigid or evaluated"
        )

    inspect = commands.add_parser(
        "inspect", help="print and plot what a cache holds, or print what Gaussians a file holds"
    )
    inspect.add_argument("cache", type=Path, help="NAME.ani3d folder, or a file of Gaussians such as NAME.ply")
    inspect.add_argument("--plot", type=Path, help="picture to write (default: NAME.png beside the cache)")
    inspect.set_defaults(run=_inspect)

    splats.add_export(commands.add_parser("export", help="a result as USD, or as a PLY, SPZ ... of every frame"))
    imports.add_to(commands.add_parser("import", help="people, characters and motions of other programs"))
    splats.add_convert(commands.add_parser("convert", help="Gaussians of other programs from format to format"))
    _add_render(commands.add_parser("render", help="render a cache as film: motion blur, depth of field, EXR"))
    view.add_to(commands.add_parser("view", help="look at a result in the browser, or as one file to send"))
    avatar.add_to(commands.add_parser("avatar", help="look into an avatar or a file of views"))
    models.add_to(commands.add_parser("models", help="list, fetch and verify the priors that restoration can use"))
    prior.add_to(commands.add_parser("prior", help="train the compact prior, or fine-tune it on your character"))
    doctor.add_to(commands.add_parser("doctor", help="what this machine has, and which priors run on it"))
    compile_ahead = commands.add_parser("compile", help="compile all kernels now, which the first job does otherwise")
    compile_ahead.set_defaults(run=_compile)

    commands.add_parser(
        "engine", help="the service for Blender: serve, status, jobs, logs, stop, gc, repair", add_help=False
    )

    options = parser.parse_args(words)
    try:
        options.run(options)
        sys.stdout.flush()
    except (Cancelled, KeyboardInterrupt) as stop:
        print(cancelled_line(stop), file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        print(failure_line(error, options), file=sys.stderr)
        return 1
    return 0


def _add_render(render: argparse.ArgumentParser) -> None:
    render.add_argument("cache", type=Path, help="NAME.ani3d folder")
    render.add_argument("--shot", type=Path, required=True, help="shot.npz with the cameras")
    render.add_argument("-o", "--out", type=Path, required=True, help="folder for the pictures, made when missing")
    render.add_argument("--format", default="exr", help="exr (default), png (16 bits) or mp4")
    render.add_argument("--float", action="store_true", help="32-bit EXR instead of 16-bit")
    render.add_argument("--frames", metavar="A:B", help="first and last scene frame, or one frame (default: all)")
    sizes = render.add_mutually_exclusive_group()
    sizes.add_argument("--size", metavar="WxH", help="picture size in pixels (default: the shot's)")
    sizes.add_argument("--scale", type=float, default=1.0, help="picture size relative to the shot's")
    behind = render.add_mutually_exclusive_group()
    behind.add_argument("--background", metavar="RRGGBB", help="sRGB colour behind (default: the shot's)")
    behind.add_argument("--transparent", action="store_true", help="nothing behind: alpha in exr and png")
    render.add_argument("--samples", type=int, default=32, help="pictures averaged per frame (default: 32)")
    render.add_argument("--shutter", type=float, default=0.5, help="open time in frames (default: 0.5; 0: no blur)")
    render.add_argument("--shutter-position", default="center", help="start, center (default) or end is on the frame")
    render.add_argument("--fstop", type=float, help="aperture for depth of field; needs --focus (default: all sharp)")
    render.add_argument("--focus", type=float, metavar="METRES", help="distance that is sharp, along the view")
    render.add_argument(
        "--focal", type=float, metavar="MM", help="focal length (default: from the shot's view, on a 36 mm sensor)"
    )
    render.add_argument("--seed", type=int, default=0, help="of the jitter; the same seed gives the same picture")
    add_spread(render)
    render.set_defaults(run=_render)


def _parse_overrides(pairs: list[str]) -> dict[str, object]:
    """``NAME=VALUE`` pairs; values are JSON where they parse, else text."""
    values: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise Ani3DError("settings.syntax", f"--set {pair} has no '='.", "Write it as --set NAME=VALUE.")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


def _animate(options: argparse.Namespace) -> None:
    from .pipeline.work import work

    _run_job(options, work)


def _restore(options: argparse.Namespace) -> None:
    from .pipeline.restore_shot import restore_shot

    _run_job(options, restore_shot)


def _run_job(options: argparse.Namespace, work: Callable[..., Path]) -> None:
    from ani3d_formats.shot import Shot

    from .pipeline.compile_ahead import compile_kernels
    from .pipeline.settings import Settings
    from .presentation.terminal import table
    from .storage.stage_quota import ROOM, SharedStages

    short = {name: value for name in ("prior", "coarse") if (value := getattr(options, name)) is not None}
    settings = Settings.from_dict({"preset": options.preset, **short, **_parse_overrides(options.set)})
    shot = Shot.load(options.shot)
    stages = SharedStages(options.stages, ROOM) if options.stages else None
    with watched() as (bars, stopped):
        compile_kernels(bars.listen, stopped)
        out = work(shot, options.out, settings, bars.listen, stopped, stages=stages)
    print(table(json.loads((out / "report.json").read_text(encoding="utf-8"))))
    print(f"results in {out}")


def _compile(options: argparse.Namespace) -> None:
    from .pipeline.compile_ahead import are_compiled, compile_kernels

    with watched() as (bars, stopped):
        compile_kernels(bars.listen, stopped)
    print("kernels are compiled" if are_compiled() else "nothing can be kept here: each program compiles for itself")


def _inspect(options: argparse.Namespace) -> None:
    if options.cache.is_file():
        from .splats.description import described

        print(described(options.cache))
        return
    from .presentation.cache_sheet import describe, plot

    print(describe(options.cache))
    picture = options.plot or options.cache.with_suffix(".png")
    plot(options.cache, picture)
    print(f"plotted in {picture}")


def _render(options: argparse.Namespace) -> None:
    frames = numbers("--frames", options.frames, r"(-?\d+)(?::(-?\d+))?", "Write it as --frames 1:48 or --frames 12.")
    wanted = size("--size", options.size)
    color = numbers("--background", options.background, r"#?" + r"([\da-fA-F]{2})" * 3, "Write it as F0F0F0.", 16)

    import numpy as np

    from ani3d_formats.frames import FrameCache
    from ani3d_formats.shot import Shot

    from .pipeline.film import Delivery, render_shot
    from .pipeline.stages import picture_size
    from .rendering.exposure import Exposure

    exposure = Exposure(
        samples=options.samples,
        shutter=options.shutter,
        shutter_position=options.shutter_position,
        fstop=options.fstop,
        focal_length=options.focal,
        focus_distance=options.focus,
        seed=options.seed,
    )
    if not (0 < options.scale <= 16 and min(wanted or [8]) >= 8):
        raise Ani3DError("film.size", "The picture size is out of range.", "Give --scale up to 16, or --size from 8x8.")
    shot = Shot.load(options.shot)
    background = np.array(color, np.float32) / 255 if color else shot.background_srgb
    chosen = (frames[0], frames[-1]) if frames else None
    delivery = Delivery(options.format, None if options.transparent else background, options.float, chosen)
    cache = FrameCache.open(options.cache)
    cameras = shot.cameras.reframed(*(wanted or picture_size(shot, options.scale)))
    apart = np.subtract(shot.meta.origin, cache.manifest.origin)
    with watched() as (bars, stopped), spread_as_asked(options):
        files = render_shot(
            cache,
            cameras.moved(apart) if apart.any() else cameras,
            shot.meta.frame_start,
            options.out,
            exposure,
            delivery,
            bars.listen,
            stopped,
        )
    print(f"{len(files)} files in {options.out}, the last is {files[-1].name}")


if __name__ == "__main__":
    sys.exit(main())
