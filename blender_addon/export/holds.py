# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds each garment and head of hair of a character, in an animator's words."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

import numpy as np

from ani3d_formats.pins import HOLDS, PIN_GROUP
from ani3d_formats.regions import is_loose

from ..background import beside
from ..regions.name_matching import split_words
from ..regions.parts import Hold
from .cloth_settings import own_cloth
from .figure import Figure
from .pin_weights import found_pins
from .skeleton import OBJECT

EVERYWHERE = 0.9  # share of a part's vertices that are held, from which on it is held all over
# place of the body: words that bones there have in their names
PLACES = {
    "the head": ("head", "skull", "face", "jaw"),
    "the neck": ("neck",),
    "the shoulders": ("shoulder", "clavicle", "collar", "shldr", "scapula"),
    "the hands": ("hand", "wrist", "finger", "thumb"),
    "the arms": ("arm", "upperarm", "forearm", "lowerarm", "elbow", "bicep"),
    "the chest": ("chest", "breast", "torso", "ribcage", "thorax", "upperchest"),
    "the waist": ("hips", "pelvis", "hip", "spine", "waist", "abdomen", "belly"),
    "the feet": ("foot", "feet", "toe", "toes", "ankle"),
    "the legs": ("leg", "thigh", "shin", "calf", "knee", "upleg", "upperleg", "lowerleg"),
}


def holds_of(figure: Figure) -> Generator[None, None, list[Hold]]:
    """What holds the garment and hair of each object of `figure`, in short steps."""
    found = yield from beside(partial(found_pins, figure))
    unheld = np.zeros(len(figure.vertices), bool)
    for piece in found.unheld:
        unheld[piece] = True
    with_skin = bool((~is_loose(figure.region_ids)).any())
    return [_hold(figure, number, found.weights, unheld, with_skin) for number in range(len(figure.members))]


def _hold(figure: Figure, number: int, pins: np.ndarray, unheld: np.ndarray, with_skin: bool) -> Hold:
    rows = figure.rows(number)
    loose = np.flatnonzero(is_loose(figure.region_ids[rows])) + rows.start
    if len(loose) == 0:
        return Hold()
    if unheld[loose].all():
        return Hold("held by nothing, so it follows the skeleton stiffly", True)
    held = loose[(pins[loose] >= HOLDS) & ~unheld[loose]]
    if len(held) == 0:
        return Hold("held by nothing, so it falls" if with_skin else "there is no body to hold it, so it falls", True)
    words = f"held {'all over' if len(held) > EVERYWHERE * len(loose) else 'at ' + _place(figure, held, pins)}"
    words += _source(figure, number)
    if (share := float(unheld[loose].mean())) > 0:
        return Hold(f"{words}; pieces of it ({max(share, 0.01):.0%}) are held by nothing and stiff", True)
    return Hold(words)


def _source(figure: Figure, number: int) -> str:
    """How the holding was told, where not by the guess."""
    member = figure.members[number]
    if member.hair >= 0:
        return ", its roots"
    if PIN_GROUP in figure.labelling.painted[number]:
        return ", as painted"
    rows = figure.rows(number)
    if figure.pin_weights is not None and (figure.pin_weights[rows] >= 0).any():
        cloth = own_cloth(member.item)
        return f", by the Cloth modifier's group '{cloth.settings.vertex_group_mass}'" if cloth else ""
    return ""


def _place(figure: Figure, held: np.ndarray, pins: np.ndarray) -> str:
    """Where on the body the vertices `held` are."""
    strength = np.zeros(len(figure.rig.names))
    np.add.at(strength, figure.weight_indices[held], figure.weight_values[held] * pins[held, None])
    places: dict[str, float] = {}
    for bone, share in zip(figure.rig.names, strength.tolist(), strict=True):
        places[place_of(bone)] = places.get(place_of(bone), 0.0) + share
    return max(places, key=lambda place: places[place])


def place_of(bone: str) -> str:
    """The place of the body that a bone's name speaks of; the name itself where it speaks of none."""
    words = split_words(bone.removeprefix(OBJECT))
    for place, known in PLACES.items():
        if any(word in known for word in words):
            return place
    return f"'{bone.removeprefix(OBJECT)}'"
