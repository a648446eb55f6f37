"""`ani3dhuman view`: a result in the browser, or in one file to send."""

from __future__ import annotations

import argparse
import tempfile
import webbrowser
from pathlib import Path

from ani3d_formats.errors import Ani3DError

from .common import numbers


def add_to(parser: argparse.ArgumentParser) -> None:
    """Define the options of `view`."""
    parser.add_argument("cache", type=Path, help="NAME.ani3d folder")
    parser.add_argument("--shot", type=Path, help="shot.npz: meshes, regions, skeleton, what bones alone miss")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write this one file, and open nothing")
    parser.add_argument("--frames", metavar="A:B", help="first and last scene frame (default: all)")
    parser.set_defaults(run=_view)


def _view(options: argparse.Namespace) -> None:
    from ani3d_formats.frames import FrameCache
    from ani3d_formats.shot import Shot

    from ..viewer.page import write_page

    cache = FrameCache.open(options.cache)
    start, end = cache.manifest.frame_start, cache.manifest.frame_end
    wanted = numbers("--frames", options.frames, r"(-?\d+)(?::(-?\d+))?", "Write it as --frames 1:48.") or [start, end]
    if not start <= wanted[0] <= wanted[-1] <= end:
        raise Ani3DError("cache.frame", f"{options.cache} has no such frames.", f"It holds --frames {start}:{end}.")
    path = options.html or Path(tempfile.mkdtemp(prefix="ani3dhuman-view-")) / f"{options.cache.stem}.html"
    shot = Shot.load(options.shot) if options.shot else None
    write_page(path, cache, range(wanted[0], wanted[-1] + 1), shot)
    print(f"{path}, {path.stat().st_size / 1e6:.1f} MB")
    if not options.html and not webbrowser.open(path.resolve().as_uri()):
        print("No browser was found: open that file in one.")
