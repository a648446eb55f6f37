# SPDX-License-Identifier: GPL-3.0-or-later
"""Region labels: which vertices are body, face, hair or garment.

They are vertex groups `ani3d_body`, `ani3d_face`, `ani3d_hair`, `ani3d_garment` that an artist may paint; the
highest weight wins, a vertex in none is body. Binding a character writes a first guess where there are none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import bpy
import numpy as np

from ani3d_formats.regions import BODY, FACE, REGIONS

from ..regions.guess import Piece, guess_regions, vertex_labels
from ..regions.heads import head_bones
from ..regions.parts import PartEntry, regions_of

PREFIX = "ani3d_"
PIN_GROUP = "ani3d_pin"
# fmt: off
_WORDS = {
    "hair": ("hair", "brow", "lash", "beard", "ponytail", "bangs"),
    "garment": (
        "garment", "dress", "skirt", "cloth", "shirt", "coat", "jacket", "cape", "robe", "trouser", "pant", "jean",
        "tunic", "gown", "hood", "sleeve", "scarf", "blouse",
    ),
    "face": ("face", "eye", "teeth", "tongue", "mouth", "lip"),
}
# fmt: on


def region_ids(vertices: int, influences: dict[str, np.ndarray]) -> np.ndarray:
    """(V,) index into REGIONS. `influences`: vertex group name -> weights (V,), 0 outside the group."""
    nothing = np.zeros(vertices, np.float32)
    weights = np.stack([influences.get(PREFIX + region, nothing) for region in REGIONS])
    return np.argmax(weights, axis=0).astype(np.uint8)  # all zero: the first region, body


def has_regions(item: bpy.types.Object) -> bool:
    """True when somebody has labelled `item` already."""
    return any(PREFIX + region in item.vertex_groups for region in REGIONS)


def write_default_regions(item: bpy.types.Object) -> dict[str, int]:
    """Label `item` by the names of itself, its materials and its bones; returns vertices a region.

    A material's name speaks for its faces, else the object's name for all, else a Cloth modifier for garment; a
    vertex of body that the head bones hold is face.
    """
    mesh = item.data
    labels = np.full(len(mesh.vertices), REGIONS.index(_guess(item.name) or _simulated(item) or "body"))
    for polygon in mesh.polygons:
        slot = item.material_slots[polygon.material_index] if item.material_slots else None
        region = _guess(slot.material.name) if slot and slot.material else None
        if region:
            labels[list(polygon.vertices)] = REGIONS.index(region)
    heads = {group.index for group in item.vertex_groups if "head" in group.name.lower()}
    for vertex in mesh.vertices:
        if labels[vertex.index] == BODY and any(g.group in heads and g.weight > 0.5 for g in vertex.groups):
            labels[vertex.index] = FACE
    counts = {}
    for number, region in enumerate(REGIONS):
        members = np.flatnonzero(labels == number)
        if len(members):
            item.vertex_groups.new(name=PREFIX + region).add(members.tolist(), 1.0, "REPLACE")
            counts[region] = len(members)
    return counts


def _simulated(item: bpy.types.Object) -> str | None:
    return "garment" if any(modifier.type == "CLOTH" for modifier in item.modifiers) else None


def _guess(name: str) -> str | None:
    lowered = name.lower()
    return next((region for region, words in _WORDS.items() if any(word in lowered for word in words)), None)


def labels_for(
    scene: bpy.types.Scene,
    items: Sequence[bpy.types.Object],
    pieces: Sequence[Piece],
    bones: Sequence[str],
    parents: Sequence[int],
    painted: Sequence[Mapping[str, np.ndarray]],
) -> list[np.ndarray]:
    """Region ids (V,) uint8 of the vertices of each of `items`.

    Args:
        scene: its list of parts has the say, where it has a row for a part; it is not changed.
        items: the character's objects.
        pieces: the mesh of each, as it is exported.
        bones, parents: names (B,) and parents' rows (B,), -1 for a root, of the shot's bones.
        painted: for each of `items` weights (V,) by the names of its vertex groups; only `ani3d_*` are read.
    """
    heads = head_bones(bones, parents)
    guesses = guess_regions(pieces, heads)
    result = []
    for item, piece, guess, groups in zip(items, pieces, guesses, painted, strict=True):
        regions = {part.slot: part.region for part in guess} | regions_of(scene, item)
        result.append(painted_over(vertex_labels(piece, regions, heads), groups))
    return result


def part_entries(
    items: Sequence[bpy.types.Object],
    pieces: Sequence[Piece],
    bones: Sequence[str],
    parents: Sequence[int],
    motions: Sequence[str],
) -> list[PartEntry]:
    """Rows for `fill_parts`: the guess for each part of each of `items`, which moves as `motions` says."""
    guesses = guess_regions(pieces, head_bones(bones, parents))
    return [
        PartEntry(item, guess.slot, guess.region, guess.confidence, guess.reason, motion, guess.vertices)
        for item, motion, own in zip(items, motions, guesses, strict=True)
        for guess in own
    ]


def painted_over(labels: np.ndarray, groups: Mapping[str, np.ndarray]) -> np.ndarray:
    """`labels` (V,) where no region is painted, else the one with the highest weight."""
    nothing = np.zeros(len(labels), np.float32)
    weights = np.stack([groups.get(PREFIX + region, nothing) for region in REGIONS])
    return np.where(weights.max(axis=0) > 0, np.argmax(weights, axis=0), labels).astype(np.uint8)
