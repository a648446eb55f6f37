# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects of this file the meshes of a cache were made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bpy

from ani3d_formats.frames import FrameCache

from .export.hair import is_thread
from .properties import object_group
from .rest_shape import CONVERTIBLE
from .sentence import said


@dataclass(frozen=True)
class Source:
    """An object of the character and the PC2 file with its places; `hair`: as strands, which Gaussians alone show."""

    item: bpy.types.Object
    file: Path
    hair: bool


def find_sources(scene: bpy.types.Scene, cache: FrameCache, warn: Callable[[str], None]) -> list[Source]:
    """The sources of the meshes in `cache`, those in `scene` first; one sentence for each that this file lacks."""
    known = [item for item in (*scene.objects, *bpy.data.objects) if object_group(item).kind == "NONE"]
    found = []
    for entry in cache.manifest.meshes:
        item = next((o for o in known if o.name == entry.object), None)
        item = item or next((o for o in known if _is_told(o, entry.object)), None)
        if item is None or item.type not in {*CONVERTIBLE, "CURVES"}:
            warn(said("The mesh '{name}' is not in this file, so its mesh cache is left out.", name=entry.object))
            continue
        grown = item.type == "MESH" and item.name != entry.object and _is_told(item, entry.object, " hair")
        found.append(Source(item, cache.path / entry.file, grown or item.type == "CURVES" or is_thread(item)))
    return found


def _is_told(item: bpy.types.Object, name: str, what: str = "( hair)?") -> bool:
    """Whether `name` stands for `item` in a shot: after its instancers, before what grows on it, or with a number."""
    return re.fullmatch(f"(.*/)?{re.escape(item.name)}{what}( [0-9]+)?", name, re.DOTALL) is not None
