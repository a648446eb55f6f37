"""`ani3dhuman avatar`: what a file of views holds."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to(parser: argparse.ArgumentParser) -> None:
    """Define the group's commands and options."""
    commands = parser.add_subparsers(dest="action", required=True)
    info = commands.add_parser("info", help="what a file of views holds")
    info.add_argument("file", type=Path, help="NAME.views.npz")
    info.set_defaults(run=_info)


def described_views(path: Path) -> str:
    """A few lines about a file of views. Raises `Ani3DError` ``views.*``."""
    from ani3d_formats.views import Views

    views = Views.load(path)
    meta = views.meta
    lines = [
        f"views of {meta.name}, character {meta.character}",
        f"{views.count} of {meta.width}x{meta.height} pixels, {meta.samples} samples, by {meta.application or '?'}",
        f"{len(views.vertices_at)} poses of {views.vertices_at.shape[1]} vertices",
    ]
    return "\n".join(lines)


def _info(options: argparse.Namespace) -> None:
    print(described_views(options.file))
