# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of a character's parts on `scene.ani3d`: one row for every material of every object.

It is the scene's own, so linked objects keep their labels without an override. What an artist chose by hand stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy

from ani3d_formats.regions import BODY, REGIONS

from ..properties import BY_HAND, Ani3DPart, Ani3DScene, scene_group


@dataclass(frozen=True)
class Hold:
    """What holds a part: a sentence's end such as "held at the waist", "" for what follows the skeleton anyway; `loose`
    where nothing does, in whole or in part."""

    words: str = ""
    loose: bool = False


@dataclass(frozen=True)
class PartEntry:
    """One row. `slot` is the material's name, "" where faces have none; `region` an index into REGIONS; `confidence`
    0..1; `motion` such as "skinned" or "recorded"; `left_out` why the part is not in the shot, "" where it is;
    `strands` for the hair that grows on the object."""

    item: bpy.types.Object
    slot: str = ""
    region: int = BODY
    confidence: float = 1.0
    reason: str = ""
    motion: str = "skinned"
    vertices: int = 0
    left_out: str = ""
    strands: bool = False
    hold: Hold = Hold()


def fill_parts(scene: bpy.types.Scene, entries: Sequence[PartEntry]) -> None:
    """Make `entries` the rows of `scene`. Regions chosen by hand stay, also of objects that are not among `entries`:
    those rows are kept out of sight until their object is bound again."""
    group = scene_group(scene)
    chosen = [_Chosen(p.object, p.name, p.slot, p.strands, p.region) for p in group.parts if p.chosen]
    group.parts.clear()
    for entry in entries:
        same = (row for row in chosen if (row.slot, row.strands) == (entry.slot, entry.strands))
        by_hand = next((row for row in same if _stands_for(row, entry.item)), None)
        region = by_hand.region if by_hand else REGIONS[entry.region]
        row = _add(group, _Chosen(entry.item, entry.item.name, entry.slot, entry.strands, region))
        row.confidence = 1.0 if by_hand else entry.confidence
        row.reason = BY_HAND if by_hand else entry.reason
        row.guess = REGIONS[entry.region]
        row.motion, row.vertices, row.left_out = entry.motion, entry.vertices, entry.left_out
        row.hold, row.loose = entry.hold.words, entry.hold.loose
        row.chosen = by_hand is not None
        if by_hand:
            chosen.remove(by_hand)
    for absent in chosen:
        row = _add(group, absent)
        row.current, row.reason, row.chosen = False, BY_HAND, True
    group.active_part = min(group.active_part, max(0, len(group.parts) - 1))


def regions_of(scene: bpy.types.Scene, item: bpy.types.Object, strands: bool = False) -> dict[str, int]:
    """Region ids of the rows of `item`, or of the hair that grows on it, by the names of materials."""
    rows = [part for part in scene_group(scene).parts if part.strands == strands and _stands_for(part, item)]
    return {part.slot: REGIONS.index(part.region) for part in rows}


def active_part(scene: bpy.types.Scene) -> Ani3DPart | None:
    """The row chosen in the panel's list, if it is in sight."""
    settings = scene_group(scene)
    if not 0 <= settings.active_part < len(settings.parts):
        return None
    part: Ani3DPart = settings.parts[settings.active_part]
    return part if part.current else None


def is_gone(part: Ani3DPart) -> bool:
    """True for an object that was deleted: the list alone keeps it in the file until the next Bind."""
    return part.object is None or not part.object.users_collection


def slot_names(item: bpy.types.Object) -> tuple[str, ...]:
    """Name of the material in each slot of `item`, "" where a slot is empty."""
    return tuple(slot.material.name if slot.material else "" for slot in item.material_slots)


@dataclass(frozen=True)
class _Chosen:
    object: bpy.types.Object | None
    name: str
    slot: str
    strands: bool
    region: str


def _stands_for(row: Ani3DPart | _Chosen, item: bpy.types.Object) -> bool:
    """True for the row of `item`, of the linked object that it overrides, or of an object of its name that is gone."""
    override = item.override_library
    if row.object is None:
        return row.name == item.name
    return row.object == item or (override is not None and row.object == override.reference)


def _add(group: Ani3DScene, known: _Chosen) -> Ani3DPart:
    row = group.parts.add()
    row.object, row.name, row.slot, row.strands = known.object, known.name, known.slot, known.strands
    row.region = known.region
    return row
