# SPDX-License-Identifier: GPL-3.0-or-later
"""Region labels: which vertices are body, face, hair or garment.

They are vertex groups `ani3d_body`, `ani3d_face`, `ani3d_hair`, `ani3d_garment` that an artist may paint; the
highest weight wins, a vertex in none is body. Binding a character writes a first guess where there are none.
"""

from __future__ import annotations

import bpy
import numpy as np

from ani3d_formats.regions import BODY, FACE, REGIONS

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


def region_ids(item: bpy.types.Object, influences: dict[str, np.ndarray]) -> np.ndarray:
    """(V,) index into REGIONS. `influences`: vertex group name -> weights (V,), 0 outside the group."""
    vertices = len(item.data.vertices)
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
