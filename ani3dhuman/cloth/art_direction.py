"""What an artist wishes of single garments: their order, how near the rig they stay, how strongly they swing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ani3d_formats.shot import Shot
from ani3d_formats.shot_meta import ObjectRange
from ani3d_formats.shot_scene import PULLS

from .fabrics import FABRICS, ClothSettings

STIFF = 0.06  # share of the way to the skin in 1/720 s at stay weight 1, which keeps cloth within millimetres
STAY_POWER = 4  # so that half a weight lets cloth swing by some centimetres
STRENGTH_POWER = 8  # so that half the strength lets it swing about half as far
BLENDED = 0.25  # strength below which what is left of the swing is blended away, down to the skeleton's motion at 0


CHANGED = {  # number of a fabric that an artist may set: least, most
    "density": (0.005, 20.0),
    "stretch": (1.0, 1e5),
    "bend": (1e-8, 1.0),
    "damping": (0.0, 1.0),
    "air": (0.0, 10.0),
    "friction": (0.0, 1.0),
}


def fabric_of(item: ObjectRange, usual: ClothSettings, warn: Callable[[str], None]) -> ClothSettings:
    """The fabric of an object's cloth: its own, else the `usual`, with its own numbers and thickness.

    `warn` is called with a sentence on each number that is not taken as it is.
    """
    fabric = FABRICS.get(item.fabric, usual)
    if item.fabric and item.fabric not in FABRICS:
        warn(f"Object '{item.name}': there is no fabric '{item.fabric}', so it takes the usual one.")
    changes: dict[str, Any] = {}
    for name, value in item.fabric_changes.items():
        if name not in CHANGED:
            warn(f"Object '{item.name}': fabrics have no number '{name}', so it changes nothing.")
            continue
        least, most = CHANGED[name]
        if not least <= value <= most:
            warn(f"Object '{item.name}': its {name} of {value:g} is taken as {min(max(value, least), most):g}.")
        changes[name] = float(min(max(value, least), most))
    return replace(fabric, **changes, thickness=item.thickness or fabric.thickness)


@dataclass(frozen=True)
class ArtDirection:
    """Wishes for P particles.

    Attributes:
        objects: (P,) the number of each particle's object.
        layer: (P,) 1 next to the skin; 0 leaves the order to the distance from the body.
        thickness: (P,) metres kept from what is met; 0 for the fabric's.
        stay: (P,) 0 free .. 1 near the rig.
        weight: (P,) how much of gravity reaches it.
        strength: (T,O) of each object's simulation, 0..1; one frame where nothing changes.
    """

    objects: np.ndarray
    layer: np.ndarray
    thickness: np.ndarray
    stay: np.ndarray
    weight: np.ndarray
    strength: np.ndarray

    @classmethod
    def of_shot(cls, shot: Shot) -> ArtDirection:
        """The wishes of a shot, for all its vertices."""
        counts = [item.vertex_count for item in shot.meta.objects]
        objects = np.repeat(np.arange(len(counts)), counts)
        strength = shot.arrays.get("cloth_strength", np.ones(len(counts), np.float32))
        pulls = shot.arrays.get("cloth_pulls", np.ones((len(counts), len(PULLS)), np.float32))
        return cls(
            objects=objects,
            layer=np.array([item.layer for item in shot.meta.objects], np.int32)[objects],
            thickness=np.array([item.thickness for item in shot.meta.objects], np.float32)[objects],
            stay=np.clip(shot.arrays.get("stay_weights", np.zeros(len(objects), np.float32)), 0, 1),
            weight=pulls[objects, PULLS.index("gravity")],
            strength=np.clip(strength.reshape(-1, len(counts)), 0, 1),
        )

    def part(self, rows: np.ndarray) -> ArtDirection:
        """The wishes for particles `rows` alone."""
        rest = {name: getattr(self, name)[rows] for name in ("objects", "layer", "thickness", "stay", "weight")}
        return replace(self, **rest)

    def strength_at(self, frame: float) -> np.ndarray:
        """(P,) the strength of the simulation at a frame; the first frame's before it, the last one's after it."""
        return self.strength[int(min(max(frame, 0), len(self.strength) - 1))][self.objects]

    def holds(self, frame: float, hold: np.ndarray) -> np.ndarray:
        """How strongly particles return to the skin in 1/720 s: `hold` (P,), or more where it is wished."""
        stay, weak = self.stay**STAY_POWER, (1 - self.strength_at(frame)) ** STRENGTH_POWER
        return np.maximum(hold, STIFF * np.maximum(stay, weak))

    def blended(self, moved: np.ndarray, skinned: np.ndarray) -> np.ndarray:
        """`moved` (T,P,3), and where the strength nears 0, the motion of the skeleton (T,P,3): exactly it at 0."""
        if self.strength.min(initial=1) >= BLENDED:
            return moved
        blended = moved.copy()
        for t in range(len(moved)):
            share = np.minimum(self.strength_at(t) / BLENDED, 1)
            weak = share < 1
            off = moved[t, weak] - skinned[t, weak]
            blended[t, weak] = skinned[t, weak] + share[weak, None].astype(np.float32) * off
        return blended
