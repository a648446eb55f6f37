"""The command line of the library: run a shot, look into a cache."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from types import FrameType

from .errors import Ani3DError, Cancelled


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the `ani3dhuman` command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="ani3dhuman", description="Rigged humans that look alive.")
    commands = parser.add_subparsers(dest="command", required=True)

    animate = commands.add_parser("animate", help="run all stages on an exported shot")
    animate.add_argument("shot", type=Path, help="shot.npz, exported by the Blender add-on")
    animate.add_argument("-o", "--out", type=Path, required=True, help="result folder; finished stages are reused")
    animate.add_argument("--preset", default="preview", help="draft, preview (default) or final")
    animate.add_argument("--set", metavar="NAME=VALUE", action="append", default=[], help="override one setting")
    animate.set_defaults(run=_animate)

    inspect = commands.add_parser("inspect", help="print and plot what a cache holds")
    inspect.add_argument("cache", type=Path, help="NAME.ani3d folder")
    inspect.add_argument("--plot", type=Path, help="picture to write (default: NAME.png beside the cache)")
    inspect.set_defaults(run=_inspect)

    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except Cancelled as stop:
        print(stop, file=sys.stderr)
        return 130
    except Ani3DError as error:
        print(f"error: {error.message}\n{error.hint}", file=sys.stderr)
        return 1
    return 0


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
    # heavy imports wait until the arguments are known to be good
    from .pipeline.animate import animate
    from .pipeline.settings import Settings
    from .presentation.terminal import Bars, table
    from .shot import Shot

    settings = Settings.from_dict({"preset": options.preset, **_parse_overrides(options.set)})
    shot = Shot.load(options.shot)
    stopping = [False]

    def stop(signum: int, frame: FrameType | None) -> None:
        stopping[0] = True

    previous = signal.signal(signal.SIGINT, stop)
    bars = Bars()
    try:
        out = animate(shot, options.out, settings, bars.listen, lambda: stopping[0])
    finally:
        bars.close()
        signal.signal(signal.SIGINT, previous)
    print(table(json.loads((out / "report.json").read_text(encoding="utf-8"))))
    print(f"results in {out}")


def _inspect(options: argparse.Namespace) -> None:
    from .cache.inspect import describe, plot

    print(describe(options.cache))
    picture = options.plot or options.cache.with_suffix(".png")
    plot(options.cache, picture)
    print(f"plotted in {picture}")


if __name__ == "__main__":
    sys.exit(main())
