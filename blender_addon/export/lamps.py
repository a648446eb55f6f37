# SPDX-License-Identifier: GPL-3.0-or-later
"""One light object of a scene as numbers: where it is, how much light it sends out, and its shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import bpy
import numpy as np

from ani3d_formats.shot_lights import LAMP_KINDS

from .. import compat
from ..sentence import said

SUN = -1
BRIGHTEST = 1e9  # times white
_KINDS = {"SUN": SUN, "POINT": LAMP_KINDS.index("point"), "SPOT": LAMP_KINDS.index("spot")}
Note = Callable[[str], None]


@dataclass(frozen=True)
class Lamp:
    """A light at one frame, in the world's frame.

    Attributes:
        kind: `SUN`, or a number of `LAMP_KINDS`.
        matrix: (4,4) unit axes and place, metres; light leaves along -Z. A spot's X and Y axes are as long as its cone
            is stretched.
        color: (3,) irradiance of a sun, W/m^2; power of a lamp, W.
        shape: of a sun, its angular diameter, and 1 where it casts shadows. Of a lamp, sizes along X and Y, metres;
            the full angle of its cone, radians; a spot's blend; 1 where it casts shadows.
    """

    kind: int
    matrix: np.ndarray
    color: np.ndarray
    shape: tuple[float, ...]


def read_lamp(name: str, light: bpy.types.Light, matrix: np.ndarray, note: Note) -> Lamp | None:
    """A light object's light; none where it gives none, with a `note` of why where that is not plain to see."""
    lamp = _read(name, light, matrix, note)
    if lamp is not None and not is_bright([*lamp.color, *lamp.shape]):
        note(said("The light '{name}' is left out: its size or its strength is beyond all reason.", name=name))
        return None
    return lamp


def _read(name: str, light: bpy.types.Light, matrix: np.ndarray, note: Note) -> Lamp | None:
    settings = cast(Any, light)
    if light.type == "AREA" and settings.cycles.is_portal:
        return None
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    color = np.array(light.color, np.float64) * settings.energy
    color = color * compat.light_factor(light) * _node_factor(name, light, note)
    if not is_bright([*color, *matrix.ravel()]) or lengths.min() < 1e-12:
        note(
            said(
                "The light '{name}' is left out: it is scaled to zero, or its strength is beyond all reason.", name=name
            )
        )
        return None
    frame = np.eye(4)
    frame[:3, :3], frame[:3, 3] = matrix[:3, :3] / lengths, matrix[:3, 3]
    shadow = float(settings.use_shadow)
    if light.type == "SUN":
        if not getattr(settings, "normalize", True):
            color = color * _disc(settings.angle)
        return Lamp(SUN, frame, color, (settings.angle, shadow))
    if light.type == "AREA":
        kind, size = _area(settings, lengths)
        if min(size) <= 0:
            note(said("The light '{name}' is left out: its area is zero.", name=name))
            return None
        if not getattr(settings, "normalize", True):
            color = color * size[0] * size[1] * (math.pi / 4 if LAMP_KINDS[kind] == "ellipse" else 1.0)
        return Lamp(kind, frame, color, (*size, settings.spread, 0.0, shadow))
    size = (2 * settings.shadow_soft_size, 2 * settings.shadow_soft_size)
    if not getattr(settings, "normalize", True) and settings.shadow_soft_size > 0:
        color = color * 4 * math.pi * settings.shadow_soft_size**2
    if light.type == "SPOT":
        frame[:3, :2] *= lengths[:2] / lengths[2]
        return Lamp(_KINDS["SPOT"], frame, color, (*size, settings.spot_size, settings.spot_blend, shadow))
    return Lamp(_KINDS["POINT"], frame, color, (*size, 2 * math.pi, 0.0, shadow))


def is_bright(values: Iterable[float]) -> bool:
    """Whether numbers of a light are finite, and such as somebody may mean."""
    return bool((np.abs(list(values)) < BRIGHTEST).all())


def _disc(angle: float) -> float:
    """What Cycles multiplies a sun's strength with that is not normalized: pi r^2 of its disc at distance 1."""
    return math.pi * math.tan(angle / 2) ** 2 if angle > 0 else 1.0


def _area(settings: Any, lengths: np.ndarray) -> tuple[int, tuple[float, float]]:
    """The kind of an area light, and its sizes in the world, metres."""
    round_, even = settings.shape in ("DISK", "ELLIPSE"), settings.shape in ("SQUARE", "DISK")
    sizes = settings.size, settings.size if even else settings.size_y
    return LAMP_KINDS.index("ellipse" if round_ else "rectangle"), (sizes[0] * lengths[0], sizes[1] * lengths[1])


def _node_factor(name: str, light: bpy.types.Light, note: Note) -> np.ndarray:
    """(3,) what the shader nodes of a light multiply its colour with."""
    tree = compat.light_nodes(light)
    output: Any = next((n for n in tree.nodes if n.type == "OUTPUT_LIGHT"), None) if tree else None
    if output is None:
        return np.ones(3)
    links = output.inputs["Surface"].links
    emission: Any = links[0].from_node if links else None
    if emission is None:
        return np.zeros(3)
    if emission.type != "EMISSION" or emission.inputs["Color"].is_linked or emission.inputs["Strength"].is_linked:
        note(said("The nodes of the light '{name}' are not exported: its own colour is.", name=name))
        return np.ones(3)
    return np.array(emission.inputs["Color"].default_value[:3], np.float64) * emission.inputs["Strength"].default_value
