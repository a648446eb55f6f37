"""`ani3dhuman avatar`: what an avatar or a file of views holds."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to(parser: argparse.ArgumentParser) -> None:
    """Define the group's commands and options."""
    commands = parser.add_subparsers(dest="action", required=True)
    info = commands.add_parser("info", help="what a file holds")
    info.add_argument("file", type=Path, help="NAME.avatar or NAME.views.npz")
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


def described_avatar(path: Path) -> str:
    """A few lines about an avatar. Raises `Ani3DError` ``avatar.file_missing``, ``avatar.file_broken``."""
    import numpy as np

    from ani3d_formats.regions import REGIONS

    from ..avatar.file import AvatarFile

    file = AvatarFile.load(path)
    avatar = file.avatar
    widths = 1000 * np.percentile(avatar.scales[:, :2].max(1), (5, 50, 95))
    regions = np.bincount(avatar.region_ids, minlength=len(REGIONS))
    lines = [
        f"avatar of {file.name}, character {file.character}",
        f"{avatar.count:,} Gaussians on {len(avatar.binding.faces):,} faces: "
        + ", ".join(f"{name} {number:,}" for name, number in zip(REGIONS, regions, strict=True)),
        f"standard deviations {widths[0]:.2g}, {widths[1]:.2g}, {widths[2]:.2g} mm (5, 50, 95 %), "
        f"mean opacity {avatar.opacities.mean():.2f}",
        *(f"{name.replace('_', ' ')}: {value}" for name, value in file.notes.items()),
    ]
    return "\n".join(lines)


def _info(options: argparse.Namespace) -> None:
    described = described_avatar if options.file.suffix == ".avatar" else described_views
    print(described(options.file))
